"""The server process of the `gentrifugo` command: startup, configuration reload, and shutdown."""

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
from ..config.contradictions import closing_time
from ..config.loading import LoadedConfig
from ..config.node_name import with_worker_name
from ..config.options import ConfigError
from ..extension.wsgi import flask_app, port_app
from ..runtime import limits
from ..runtime.serving_process import tune_for_serving
from ..server import listeners
from ..server.http_server import HTTPServer
from ..server.listener_names import listener_endpoints
from ..server.listeners import Listeners
from ..tls.context import server_context
from ..views.mounted import endpoints_of, service_of
from .announcement import announce
from .early_signals import take_pending_reload, unblock_early_signals
from .pid_file import pid_file
from .startup_checks import run_checked
from .supervised import is_worker, master_of, number_of_worker

if TYPE_CHECKING:
    from ..tls.autocert import Autocert

log = logging.getLogger(__name__)

SHUTDOWN_CHECK_INTERVAL = 0.05
"""Seconds between two checks whether connections are still open during shutdown."""
LAST_REQUEST_TIMEOUT = 0.2
"""Seconds that a stopping worker waits for requests on connections that it has already accepted."""


def run_server(loaded: LoadedConfig, reload: Callable[[Config], LoadedConfig], application: Flask | None = None) -> int:
    """Run a server until a signal stops it; returns the exit status. Each error is one line in the log.

    `application` is a Flask application with a Gentrifugo server; None creates an application without other pages.
    """

    def run() -> int:
        return Server(loaded, reload, application or flask_app(loaded.config)).run()

    # The master has already run the startup checks for its workers.
    return logs.run_logged(loaded, run, _log_mark(loaded)) if is_worker(os.environ) else run_checked(loaded, run)


class Server:
    """One server process. The Flask `application` contains the service that it runs."""

    def __init__(self, loaded: LoadedConfig, reload: Callable[[Config], LoadedConfig], application: Flask) -> None:
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
        service.node.configure(_config_of_process(loaded.config))

    def run(self) -> int:
        """Run until SIGINT or SIGTERM; returns the exit status. Raises ConfigError if an address cannot be bound."""
        config = self._loaded.config
        limits.raise_open_files()
        context = self._tls_context()
        opened = listeners.open_all(config, os.environ)
        try:
            with self._signals(), pid_file(config.pid_file if self._master is None else ""):
                self._start(opened, context)
                self._stop.wait()
                self._shut_down()
        finally:
            opened.close()
        return 0

    def _tls_context(self) -> SSLContext | None:
        """Return the TLS context for new connections; None without TLS.

        Raises ConfigError if the certificate is unusable.
        """
        config = self._loaded.config
        if config.ssl:
            return server_context(config)
        if config.ssl_autocert:
            self._autocert = _autocert(config)
            return self._autocert.context
        return None

    def _start(self, opened: Listeners, context: SSLContext | None) -> None:
        for name, listener in opened.sockets.items():
            endpoints = listener_endpoints(name)
            application = port_app(self._service, endpoints) if endpoints else self._application
            http = HTTPServer(
                listener,
                application,
                log=None,
                error_log=log,
                ssl_context=context,
                challenge_context=self._autocert.challenge_context if self._autocert is not None else None,
                is_shared=self._master is not None,
            )
            self._servers.append(http)
        self._apply_early_reload()
        tune_for_serving()
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
        unblock_early_signals()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals during the `with` block. Ignore them after it, so that they cannot change the exit status."""
        self._handlers = [
            gevent.signal_handler(signal.SIGHUP, self._on_reload),
            gevent.signal_handler(signal.SIGUSR1, logs.reopen),
            gevent.signal_handler(signal.SIGTERM, self._on_stop, "SIGTERM"),
        ]
        if self._master is None:
            self._handlers.append(gevent.signal_handler(signal.SIGINT, self._on_stop, "SIGINT"))
        yield
        # The handlers are replaced, not cancelled first: between the two steps a signal would kill the process.
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _on_stop(self, name: str) -> None:
        if self._stop.is_set():
            if self._master is not None:
                # Often one TERM goes to all processes of a group or a container, and the master sends another one to
                # its workers. A second TERM to the master ends them with KILL.
                return
            log.warning("%s received again: exiting immediately", name)
            os._exit(1)
        log.info("%s: shutting down", name)
        self._stop.set()

    def _apply_early_reload(self) -> None:
        """Reload if SIGHUP has arrived while this process started, so that no client meets the previous options.

        Raises ConfigError in a worker if the configuration is invalid. The master has replaced the previous one by
        then, so this worker must not serve with it. The master starts another worker later.
        """
        if take_pending_reload():
            if self._master is None:
                self._on_reload()
            else:
                self._apply_reload()

    def _on_reload(self) -> None:
        try:
            self._apply_reload()
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error("invalid configuration, keeping the current one")

    def _apply_reload(self) -> None:
        """Load the configuration again and use it. Raises ConfigError, and changes nothing then."""
        log.info("SIGHUP: reloading configuration")
        loaded = self._reload(self._loaded.config)
        context = server_context(loaded.config) if loaded.config.ssl else None
        for warning in loaded.warnings:
            log.warning("%s", warning)
        if context is not None:
            for http in self._servers:
                http.use_tls_context(context)
        if loaded.config is self._loaded.config:  # its options cannot change
            log.info("certificate reloaded" if context is not None else "nothing to reload")
            return
        self._loaded = loaded
        self._service.node.configure(_config_of_process(loaded.config))
        logs.set_level(loaded.config)
        log.info("configuration reloaded")

    def _shut_down(self) -> None:
        """Close all clients and refuse new requests; return when all connections have ended, or at shutdown_timeout."""
        if self._master is not None:
            self._stop_listening()
        deadline = time.monotonic() + closing_time(self._service.config.shutdown_timeout)
        closing = gevent.spawn(self._service.close_connections)  # blocks while the engine is unreachable
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
        """Stop accepting: the other workers accept new connections on the same sockets."""
        for http in self._servers:
            http.close()
        gevent.sleep(LAST_REQUEST_TIMEOUT)


def _config_of_process(config: Config) -> Config:
    """Return the configuration of the node in this process, which has a name of its own among several workers."""
    return with_worker_name(config, number_of_worker(os.environ)) if config.workers > 1 else config


def _log_mark(loaded: LoadedConfig) -> str:
    """Return what begins the log lines of this worker; empty if it is the only one."""
    return f"[worker {number_of_worker(os.environ)}] " if loaded.config.workers > 1 else ""


def _autocert(config: Config) -> Autocert:
    """Create the manager of automatic certificates. Raises ConfigError if its libraries are not installed."""
    try:
        from ..tls.autocert import Autocert
    except ImportError as error:
        problem = f"ssl_autocert: {error.name} is not installed: pip install '/path/to/the/clone[autocert]'"
        raise ConfigError([problem]) from None
    return Autocert(config)
