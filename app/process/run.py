"""The server of the `gentrifugo` command: listens, reloads, and takes leave properly."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
from flask import Flask
from gevent.event import Event
from gevent.ssl import SSLContext

from .. import logs
from ..config.config import Config
from ..config.loading import Loaded
from ..config.options import ConfigError
from ..extension.wsgi import flask_app, port_app
from ..runtime import limits
from ..server import listeners
from ..server.http_connection import HTTPConnection
from ..server.http_server import HTTPServer
from ..server.listeners import Listeners
from ..tls.context import server_context
from ..views.mounted import endpoints_of, service_of
from .announcement import announce
from .pid_file import pid_file
from .startup_checks import run_checked
from .supervised import is_worker, master_of

if TYPE_CHECKING:
    from ..tls.autocert import Autocert

log = logging.getLogger(__name__)

SHUTDOWN_CHECK_INTERVAL = 0.05
"""Seconds between two looks at who is still there."""
LAST_REQUEST_TIMEOUT = 0.2
"""Seconds for the requests of those whom a worker has accepted before it left that to others."""


def run_server(loaded: Loaded, reload: Callable[[Config], Loaded], application: Flask | None = None) -> int:
    """Serve until a signal ends it; the exit status. Every error is one line in the log.

    `application` is one that carries a service and has pages of its own.
    """

    def run() -> int:
        return Server(loaded, reload, application or flask_app(loaded.config)).run()

    # The master has made the checks for all its workers.
    return logs.guarded(loaded, run) if is_worker(os.environ) else run_checked(loaded, run)


class Server:
    """One process of the server; the application carries its service."""

    def __init__(self, loaded: Loaded, reload: Callable[[Config], Loaded], application: Flask) -> None:
        service = service_of(application)
        assert service is not None
        self._loaded = loaded
        self._reload = reload
        self._stop = Event()
        self._application = application
        self._service = service
        self._master = master_of(os.environ)
        self._servers: list[HTTPServer] = []
        self._autocert: Autocert | None = None
        self._handlers: list[Any] = []
        service.node.configure(loaded.config)

    def run(self) -> int:
        """Serve until INT or TERM; the exit status. Raises ConfigError when the address cannot be bound."""
        config = self._loaded.config
        limits.raise_open_files()
        context = self._tls_context()
        opened = listeners.open_all(config, os.environ)
        try:
            with pid_file(config.pid_file if self._master is None else ""):
                self._start(opened, context)
                with self._signals():
                    self._stop.wait()
                    self._shut_down()
        finally:
            opened.close()
        return 0

    def _tls_context(self) -> SSLContext | None:
        """What new connections shake hands with, if they do. Raises ConfigError."""
        config = self._loaded.config
        if config.ssl:
            return server_context(config)
        if config.ssl_autocert:
            self._autocert = _autocert(config)
            return self._autocert.context
        return None

    def _start(self, opened: Listeners, context: SSLContext | None) -> None:
        for name, listener in opened.sockets.items():
            endpoints = listeners.listener_endpoints(name)
            application = port_app(self._service, endpoints) if endpoints else self._application
            http = HTTPServer(
                listener,
                application,
                handler_class=HTTPConnection,
                log=None,
                error_log=log,
                ssl_context=context,
                challenge_context=self._autocert.challenge_context if self._autocert is not None else None,
                is_shared=self._master is not None,
            )
            self._servers.append(http)
        self._service.start()
        for http in self._servers:
            http.start()
        if self._autocert is not None:
            self._autocert.start()
        if self._master is None:
            announce(self._loaded, opened, endpoints_of(self._application))
        else:
            log.info("worker %d ready", os.getpid())
            self._master.send_ready()
            gevent.spawn(self._master.watch, self._stop.set)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Heed signals while the body runs. One that comes after that must not change how the process ends."""
        self._handlers = [
            gevent.signal_handler(signal.SIGHUP, self._on_reload),
            gevent.signal_handler(signal.SIGUSR1, logs.reopen),
            gevent.signal_handler(signal.SIGTERM, self._on_stop, "SIGTERM"),
        ]
        if self._master is None:
            self._handlers.append(gevent.signal_handler(signal.SIGINT, self._on_stop, "SIGINT"))
        yield
        # Not cancelled before: that would leave a moment in which each ends the process with a status of its own.
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _on_stop(self, name: str) -> None:
        if self._stop.is_set():
            log.warning("%s received again: exiting immediately", name)
            os._exit(1)
        log.info("%s: shutting down", name)
        self._stop.set()

    def _on_reload(self) -> None:
        log.info("SIGHUP: reloading configuration")
        try:
            loaded = self._reload(self._service.config)
            context = server_context(loaded.config) if loaded.config.ssl else None
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error("invalid configuration, keeping the current one")
            return
        for warning in loaded.warnings:
            log.warning("%s", warning)
        self._service.node.configure(loaded.config)
        logs.set_level(loaded.config)
        if context is not None:
            for http in self._servers:
                http.renew(context)
        log.info("configuration reloaded")

    def _shut_down(self) -> None:
        """Tell every client, refuse new requests meanwhile, and end when all have gone or the time is up."""
        if self._master is not None:
            self._stop_listening()
        deadline = time.monotonic() + max(self._service.config.shutdown_timeout - 1, 0)
        closing = gevent.spawn(self._service.close_connections)  # an engine that is away would hold it up
        while time.monotonic() < deadline and (self._service.is_busy or not closing.ready()):
            gevent.sleep(SHUTDOWN_CHECK_INTERVAL)
        closing.kill()
        if self._service.open_connections:
            log.warning("shutdown timeout: %d connections still open", self._service.open_connections)
        if self._autocert is not None:
            self._autocert.stop()
        for http in self._servers:
            http.stop(timeout=0.5)
        self._service.stop()
        log.info("stopped")

    def _stop_listening(self) -> None:
        """Other workers listen at the same sockets, so nobody has to be refused who comes from now on."""
        for http in self._servers:
            http.close()
        gevent.sleep(LAST_REQUEST_TIMEOUT)


def _autocert(config: Config) -> Autocert:
    """Raises ConfigError."""
    try:
        from ..tls.autocert import Autocert
    except ImportError as error:
        problem = f"ssl_autocert: {error.name} is not installed: pip install 'gentrifugo[autocert]'"
        raise ConfigError([problem]) from None
    return Autocert(config)
