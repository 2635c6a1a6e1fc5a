"""The server of an application under test: in the process of the test, without sockets and without gevent's patch.

It is used while `TESTING` is set in the configuration of the application (docs/testing.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import gevent
from flask import Flask

from ...engines.base import HistoryOptions, PublishConditions, PublishEffect, Suppressed
from ...engines.memory import MemoryEngine
from ..config.config import Config
from ..model.events import Publication
from ..node.commands import Commands
from ..node.hooks import Hook
from ..service import Service
from .backend import HistoryMessage, history_message
from .hook_context import call

LOOP_ITERATIONS = 5
"""Iterations of the event loop, in which ready greenlets run, and those that these make ready."""
POLL_INTERVAL = 0.002
"""Seconds between two checks while a test waits."""


class RecordingEngine(MemoryEngine):
    """The memory engine without a greenlet of its own. Calls `record` with every publication."""

    def __init__(self, record: Callable[[Publication], None]) -> None:
        super().__init__(sweeps=False)
        self._record = record

    def may_have_subscribers(self, channel: str) -> bool:
        """Return True, so that every publication is passed to the engine and recorded."""
        return True

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        """Publish a publication and record it, unless a condition has suppressed it. Raises EngineError."""
        result = super().publish(publication, history, once)
        if not isinstance(result, Suppressed):
            offset, epoch = result or (0, "")
            self._record(publication._replace(offset=offset, epoch=epoch))
        return result


class InProcessServer:
    """A server whose greenlets run only during the calls of the application and of its test clients.

    So nothing needs to be stopped, and the server is deleted with the application. Use it in one thread. `config` is
    the configuration of the application; the engine is always the memory engine.
    """

    def __init__(self, app: Flask, config: Config, hooks: Iterable[tuple[str, Hook]]) -> None:
        self.published: list[HistoryMessage] = []
        """All publications of the application and of clients, oldest first."""
        own = replace(config, engine="memory", workers=1, client_write_delay=0)
        self.service = Service(own, call_hook=partial(call, app), engine=RecordingEngine(self._record))
        for event, hook in hooks:
            self.service.node.hooks.add(event, hook)
        self._depth = 0
        self.service.start(in_background=False)

    def _record(self, publication: Publication) -> None:
        self.published.append(history_message(publication))

    @contextmanager
    def running(self) -> Iterator[Commands]:
        """Provide the commands of the server in a `with` block, then let hooks run and messages be delivered."""
        self._depth += 1
        try:
            yield self.service.node
        finally:
            # Calls that hooks make return at once: the outermost call waits for these hooks.
            if self._depth == 1:
                self._run_until_idle()
            self._depth -= 1

    def _run_until_idle(self) -> None:
        """Run all ready greenlets, and wait for running hooks, at most `hook_timeout`."""
        deadline = time.monotonic() + self.service.config.hook_timeout
        while True:
            for _ in range(LOOP_ITERATIONS):
                gevent.sleep(0)
            if not self.service.node.has_pending_notifications or time.monotonic() > deadline:
                return
            gevent.sleep(POLL_INTERVAL)

    def wait_for(self, check: Callable[[], object], timeout: float) -> bool:
        """Let the server run until `check` returns a true value. Returns False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        timers = self.service.node.timers
        with self.running():
            timers.start()
            try:
                while not check():
                    if time.monotonic() >= deadline:
                        return False
                    gevent.sleep(POLL_INTERVAL)
            finally:
                timers.stop()
        return True
