"""Adapts other worker classes of gunicorn, such as that of gevent-websocket.

It closes the connections of clients when gunicorn stops, and lets the application refuse WebSockets before they open.
"""

from __future__ import annotations

import atexit
import functools
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import gevent

from ..config.endpoints import SOCKET_PATH, SOCKJS_PATH
from ..http.upgrade import WAITING
from ..net.bulk_send import describe_speedups
from ..runtime.gunicorn import GEVENT_WORKERS
from ..service import Service

log = logging.getLogger(__name__)

STOP_TIME = 2.0
"""Seconds of gunicorn's graceful_timeout that are reserved for stopping the node, before gunicorn kills the process."""


@functools.cache  # once for each process
def log_speedups() -> None:
    """Log whether the C module for sending is used, which our own worker and the command do when they start."""
    log.info("%s", describe_speedups())


@functools.cache  # once for each service
def close_clients_on_exit(service: Service) -> None:
    """Close all clients when gunicorn stops the worker, which would otherwise wait 30 seconds for their connections.

    Hooks may use the remaining time. A second call for the same service does nothing.
    """
    leave = _WorkerShutdown(service)
    atexit.register(leave.finish)  # this worker has no other hook for its end
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        worker = signal.getsignal(number)
        if callable(worker):
            signal.signal(number, leave.handler_before(worker))


class _WorkerShutdown:
    """The shutdown of one service, which begins with a signal."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._deadline = 0.0

    def handler_before(self, worker: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        """Return a signal handler that closes the clients, and then calls the handler of the worker."""

        def handle(number: int, frame: Any) -> Any:
            if number == signal.SIGTERM:  # with the other signals gunicorn asks for a quick exit
                self._deadline = time.monotonic() + _graceful_timeout(worker) - STOP_TIME
            gevent.spawn(self._service.close_connections)
            return worker(number, frame)

        return handle

    def finish(self) -> None:
        """Wait for hooks during the remaining time, and stop the node, after the worker has finished."""
        self._service.wait_until_idle(self._deadline)
        self._service.stop()


def _graceful_timeout(handler: Callable[[int, Any], Any]) -> float:
    """Return the seconds until gunicorn kills the worker with the method `handler`; 0 if it is not such a method."""
    settings = getattr(getattr(handler, "__self__", None), "cfg", None)
    return float(getattr(settings, "graceful_timeout", 0))


_services: WeakSet[Service] = WeakSet()
"""The services whose WebSocket handshakes wait for the application."""


def answer_handshakes_late(service: Service) -> None:
    """Let gevent-websocket call the application before it answers handshakes that are for a service, under gunicorn."""
    workers = sys.modules.get(GEVENT_WORKERS)
    if workers is not None and "geventwebsocket.handler" in sys.modules:
        _services.add(service)
        workers.PyWSGIServer.pre_start_hook = staticmethod(_calls_application_first)


def _calls_application_first(handler: Any) -> bool:
    """Return whether a request is passed to the application before gevent-websocket answers the handshake."""
    path = handler.environ["PATH_INFO"]
    if not any(_is_for(service, path) for service in list(_services)):
        return False
    handler.environ[WAITING] = handler
    return True


def _is_for(service: Service, path: str) -> bool:
    """Return whether a path belongs to WebSockets of a service, whose application may be mounted below a prefix."""
    prefix = service.config.http_prefix
    endpoints = [f"{prefix}{endpoint}/" for endpoint in (SOCKJS_PATH, SOCKET_PATH)]
    return any((endpoint in f"{path}/") if prefix else f"{path}/".startswith(endpoint) for endpoint in endpoints)
