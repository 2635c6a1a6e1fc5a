"""The server of the `gentrifugo` command: listens, reloads, and takes leave properly."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from flask import Flask
from gevent.event import Event

from .. import __version__
from . import limits, listeners, logs, open_files
from .config import Config, ConfigError, Loaded
from .handler import Handler
from .mounted import ADMIN, API, own_ports, service_of
from .service import API_PATH, SOCKJS_PATH, WEBSOCKET_PATH, Service
from .tls import HTTPServer, server_context
from .wsgi import flask_app, port_app

if TYPE_CHECKING:
    from .autocert import Autocert

log = logging.getLogger(__name__)

SHUTDOWN_CHECK = 0.05
"""Seconds between two looks at who is still there."""


def serve(loaded: Loaded, reload: Callable[[Config], Loaded], application: Flask | None = None) -> int:
    """Serve until a signal ends it; the exit status. Every error is one line in the log.

    `application` is one that carries a service and has pages of its own.
    """
    try:
        logs.configure(loaded.config)
    except OSError as error:
        raise ConfigError([f"log_file: cannot open {loaded.config.log_file}: {error.strerror}"]) from None
    for warning in loaded.warnings:
        log.warning("%s", warning)
    try:
        with pid_file(loaded.config.pid_file):
            Server(loaded, reload, application or flask_app(Service(loaded.config))).run()
    except ConfigError as error:
        for problem in error.problems:
            log.critical("%s", problem)
        return 1
    return 0


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
        self._servers: list[HTTPServer] = []
        service.node.configure(loaded.config)

    def run(self) -> None:
        """Serve until INT or TERM. Raises ConfigError when the address cannot be bound."""
        config = self._loaded.config
        open_files.raise_limit()
        autocert = _autocert(config) if config.ssl_autocert and not config.ssl else None
        tls = {"ssl_context": autocert.context if autocert else server_context(config)} if config.speaks_tls else {}
        given = listeners.given(os.environ)
        main = given.pop(listeners.MAIN, None) or _main_listener(config)
        where = listeners.described(main)
        for listener, application in [(main, self._application), *self._others(given)]:
            self._servers.append(_http(listener, application, tls))
        challenges = None
        if autocert is not None:
            for http in self._servers:
                http.challenge_context = autocert.challenge_context
            if config.ssl_autocert_http:
                from . import http_challenges

                challenges = http_challenges.server(config.ssl_autocert_http_addr, autocert.tokens)
                challenges.start()
        self._service.start()
        for http in self._servers:
            http.start()
        if autocert is not None:
            autocert.start()
        self._announce(where)
        handlers: list[Any] = [
            gevent.signal_handler(signal.SIGHUP, self._on_reload),
            gevent.signal_handler(signal.SIGUSR1, logs.reopen),
            gevent.signal_handler(signal.SIGINT, self._on_stop, "INT"),
            gevent.signal_handler(signal.SIGTERM, self._on_stop, "TERM"),
        ]
        self._stop.wait()
        self._take_leave()
        if autocert is not None:
            autocert.stop()
        if challenges is not None:
            challenges.stop(timeout=0.5)
        listeners.remove(config.unix_socket)
        for handler in handlers:
            handler.cancel()

    def _others(self, given: Mapping[str, socket.socket]) -> Iterator[tuple[socket.socket, Flask]]:
        """The listeners beside the main one, each with its endpoints alone; two may share one."""
        config = self._service.config
        ports: dict[int, list[str]] = {}
        for endpoints, port in own_ports(config).items():
            if endpoints not in given:
                ports.setdefault(port, []).append(endpoints)
        for port, names in ports.items():
            yield listeners.listen(config.address, port, f"{names[0]}_port"), port_app(self._service, names)
        for endpoints, listener in given.items():
            yield listener, port_app(self._service, [endpoints])

    def _announce(self, where: str) -> None:
        config = self._loaded.config
        ports = own_ports(config)
        prefix = config.http_prefix
        http, ws = ("https", "wss") if config.speaks_tls else ("http", "ws")
        places = {name: f"{where.rpartition(':')[0]}:{port}" for name, port in ports.items()}
        log.info("Gentrifugo %s, pid %d, %s engine", __version__, os.getpid(), self._service.node.engine_name)
        log.info("configuration: %s", self._loaded.path or self._loaded.origin)
        log.info("clients connect to %s://%s%s%s", ws, where, prefix, WEBSOCKET_PATH)
        log.info("SockJS clients connect to %s://%s%s%s", http, where, prefix, SOCKJS_PATH)
        log.info("backends publish to %s://%s%s%s", http, places.get(API, where), prefix, API_PATH)
        if config.web:
            log.info("the web interface is at %s://%s%s/", http, places.get(ADMIN, where), prefix)
        if ADMIN in ports:
            log.info("the admin endpoints are at %s://%s%s", http, places[ADMIN], prefix)
        for limit in limits.all_limits():
            log.log(logging.DEBUG if limit.is_enough else logging.WARNING, "%s", limit)
        log.info("listening on %s://%s", http, where)

    def _on_stop(self, name: str) -> None:
        if self._stop.is_set():
            log.warning("%s again: exiting at once", name)
            os._exit(1)
        log.info("%s: shutting down", name)
        self._stop.set()

    def _on_reload(self) -> None:
        log.info("HUP: reading the configuration again")
        try:
            loaded = self._reload(self._service.config)
            context = server_context(loaded.config) if loaded.config.ssl else None
        except ConfigError as error:
            for problem in error.problems:
                log.error("%s", problem)
            log.error("the configuration is not valid; the running one stays")
            return
        for warning in loaded.warnings:
            log.warning("%s", warning)
        self._service.node.configure(loaded.config)
        logs.set_level(loaded.config)
        if context is not None:
            for http in self._servers:
                http.renew(context)
        log.info("the configuration is in force")

    def _take_leave(self) -> None:
        """Tell every client, refuse new requests meanwhile, and end when all have gone or the time is up."""
        deadline = time.monotonic() + max(self._service.config.shutdown_timeout - 1, 0)
        self._service.close_connections()
        while self._service.is_busy and time.monotonic() < deadline:
            gevent.sleep(SHUTDOWN_CHECK)
        if self._service.open_connections:
            log.warning("%d clients have not left in time", self._service.open_connections)
        for http in self._servers:
            http.stop(timeout=0.5)
        self._service.stop()
        log.info("stopped")


def _autocert(config: Config) -> Autocert:
    """Raises ConfigError."""
    try:
        from .autocert import Autocert
    except ImportError as error:
        problem = f"ssl_autocert: {error.name} is not installed: pip install 'gentrifugo[autocert]'"
        raise ConfigError([problem]) from None
    return Autocert(config)


def _main_listener(config: Config) -> socket.socket:
    if config.unix_socket:
        return listeners.listen_at(config.unix_socket, config.unix_socket_mode)
    return listeners.listen(config.address, config.port)


def _http(listener: socket.socket, application: Flask, tls: Mapping[str, Any]) -> HTTPServer:
    return HTTPServer(listener, application, handler_class=Handler, log=None, error_log=log, **tls)


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[None]:
    """Hold the pid file while the body runs; nothing happens when `path` is empty. Raises ConfigError."""
    if not path:
        yield
        return
    try:
        Path(path).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise ConfigError([f"pid_file: cannot write {path}: {error.strerror}"]) from None
    try:
        yield
    finally:
        Path(path).unlink(missing_ok=True)
