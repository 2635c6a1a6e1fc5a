"""Closes clients in time when gunicorn stops a worker of another class than ours, such as gevent-websocket's."""

from __future__ import annotations

import atexit
import functools
import signal
import time
from collections.abc import Callable
from typing import Any

import gevent

from ..service import Service

STOP_TIME = 2.0
"""Seconds of gunicorn's graceful_timeout that are kept for stopping the node; when it is over, gunicorn kills."""


@functools.cache  # once for each service
def close_clients_on_exit(service: Service) -> None:
    """Close the clients when gunicorn stops the worker, which would otherwise wait 30 seconds for them to leave.

    Hooks may use the rest of the time. A second call for the same service does nothing.
    """
    leave = _Leave(service)
    atexit.register(leave.finish)  # this worker calls nothing else of ours when it ends
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        worker = signal.getsignal(number)
        if callable(worker):
            signal.signal(number, leave.handler_before(worker))


class _Leave:
    """The stop of one service, which begins with a signal."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._deadline = 0.0

    def handler_before(self, worker: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        """A handler of a signal that closes the clients, and then does what the worker does."""

        def handle(number: int, frame: Any) -> Any:
            if number == signal.SIGTERM:  # with the other signals gunicorn asks for a quick exit
                self._deadline = time.monotonic() + _graceful_timeout(worker) - STOP_TIME
            gevent.spawn(self._service.close_connections)
            return worker(number, frame)

        return handle

    def finish(self) -> None:
        """The worker's own work is done: give hooks the time that is left, and stop the node."""
        self._service.wait_until_idle(self._deadline)
        self._service.stop()


def _graceful_timeout(handler: Callable[[int, Any], Any]) -> float:
    """Seconds until gunicorn kills the worker of which `handler` is a method; 0 when it is no such method."""
    settings = getattr(getattr(handler, "__self__", None), "cfg", None)
    return float(getattr(settings, "graceful_timeout", 0))
