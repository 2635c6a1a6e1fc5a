"""Selects the backend for the calls of an application: node of this process, Redis, or test server."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from flask import Flask, has_request_context

from ..node.commands import Commands
from ..node.hooks import Hook
from ..runtime.monkey import NOT_PATCHED, is_patched
from ..service import Service
from ..views.several_workers import refusal
from .in_process import InProcessServer
from .publisher import Publisher

BACKENDS = "gentrifugo_backends"
"""The key of an application's backends in `app.extensions`."""
NEEDS_REDIS = (
    "the memory engine cannot reach a server in another process: use the HTTP API; "
    'set app.config["GENTRIFUGO_ENGINE"] = "redis" for calls from other processes'
)
NO_SERVER_HERE = (
    f"{NOT_PATCHED} In a program beside the server, such as flask shell, use the HTTP API, or set "
    'app.config["GENTRIFUGO_ENGINE"] = "redis".'
)
NOT_TESTING = 'the application {name!r} is not in test mode: set app.config["TESTING"] = True'

_test_server_numbers = itertools.count(1)


def _is_background_process() -> bool:
    """Return whether another process has created this one with `multiprocessing`, and it does not serve requests."""
    return multiprocessing.parent_process() is not None and not has_request_context()


class Backends:
    """Selects and caches the backends of one application. They are created at the first call.

    `hooks` are the hooks of the extension, to which more may be added later.
    """

    def __init__(self, app: Flask, service: Service, hooks: Sequence[tuple[str, Hook]]) -> None:
        self._app = app
        self._service = service
        self._hooks = hooks
        self._redis: Publisher | None = None
        self._test_server: InProcessServer | None = None
        self._serves_alone = False
        """Whether a request has shown that this process is the only one, or that an engine connects it with others."""
        self.test_server_number = 0
        """Counts the servers of tests in this process."""

    def nearest(self) -> AbstractContextManager[Commands]:
        """Return the commands of the node of this process, which is started if necessary.

        If gevent has not patched the process, or it is a child of the one with the node, they are sent through Redis.
        For an application under test, they are those of the test server, unless a server has started. Raises
        RuntimeError if the engine is memory, and the process is such a one or one of several that serve the site.
        """
        service = self._service
        if service.started and service.process_id != os.getpid():
            return nullcontext(self.outside().commands)
        if self._app.testing and not service.started:
            return self.test_server().running()
        if not (service.started or is_patched()):
            if service.is_single:
                raise RuntimeError(NEEDS_REDIS if _is_background_process() else NO_SERVER_HERE)
            return nullcontext(self.outside().commands)
        if not self._serves_alone:
            self._check_alone()
        if not service.started:
            service.start()
        return nullcontext(service.node)

    def _check_alone(self) -> None:
        """Raise RuntimeError in one of several processes that no engine connects. Only one request is checked."""
        if refused := refusal(self._app):
            raise RuntimeError(refused)
        self._serves_alone = has_request_context()

    def outside(self) -> Publisher:
        """Return commands through Redis, without a node in this process. Raises RuntimeError for the memory engine."""
        if self._service.is_single:
            raise RuntimeError(NEEDS_REDIS)
        if self._redis is None:
            self._redis = Publisher(self._service.config)
        return self._redis

    def test_server(self) -> InProcessServer:
        """Return the test server, which is empty at first. Raises RuntimeError if the application is not under test."""
        if not self._app.testing:
            raise RuntimeError(NOT_TESTING.format(name=self._app.name))
        if self._test_server is None:
            self._test_server = InProcessServer(self._app, self._service.config, self._hooks)
            self.test_server_number = next(_test_server_numbers)
        return self._test_server

    def forget_test_server(self) -> None:
        """Let the next call of a test begin with an empty server."""
        self._test_server = None

    @property
    def has_test_server(self) -> bool:
        """Whether a test uses the application with a server of its own."""
        return self._test_server is not None

    @property
    def has_started(self) -> bool:
        """Whether a server of the application has started, so that it takes no more hooks."""
        return self._service.node.hooks.is_sealed or self.has_test_server


def backends_of(app: Flask) -> Backends:
    """Return the backends of an application that the extension was initialized with."""
    backends: Backends = app.extensions[BACKENDS]
    return backends


def number_of_test_server(app: Flask) -> int:
    """Return the number of an application's test server, which is higher for newer ones; 0 if it has none."""
    backends: Backends | None = app.extensions.get(BACKENDS)
    return backends.test_server_number if backends is not None and backends.has_test_server else 0
