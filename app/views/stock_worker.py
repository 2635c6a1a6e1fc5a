"""Under gevent-websocket's stock gunicorn worker: taking leave of the clients."""

from __future__ import annotations

import atexit
import signal
import time
from collections.abc import Callable
from typing import Any

import gevent

from ..service import Service

STOP_TIME = 2.0
"""Seconds of gunicorn's graceful_timeout that are kept for the stop of the node; at its end gunicorn kills."""
CHECK = 0.02
"""Seconds between two looks at who is still there."""


def close_clients_on_exit(service: Service) -> None:
    """Tell the clients when gunicorn ends the worker; without that it would wait for them for 30 seconds.

    Hooks get the rest of the time. A second call for the same service does nothing.
    """
    if service.leave_is_arranged:
        return
    service.leave_is_arranged = True
    leave = _Leave(service)
    atexit.register(leave.finish)  # gunicorn has no other word for it under this worker
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        worker = signal.getsignal(number)
        if callable(worker):
            signal.signal(number, leave.handler_before(worker))


class _Leave:
    """The end of one service, which begins with a signal."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._deadline = 0.0

    def handler_before(self, worker: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
        """A handler of a signal that tells the clients, and then does what the worker does."""

        def handle(number: int, frame: Any) -> Any:
            if number == signal.SIGTERM:  # the others are for ends without patience
                self._deadline = time.monotonic() + _graceful_timeout(worker) - STOP_TIME
            gevent.spawn(self._service.close_connections)
            return worker(number, frame)

        return handle

    def finish(self) -> None:
        """The worker's own work is done: give hooks the time that is left, and stop the node."""
        while self._service.is_busy and time.monotonic() < self._deadline:
            gevent.sleep(CHECK)
        self._service.stop()


def _graceful_timeout(handler: Callable[[int, Any], Any]) -> float:
    """Seconds until gunicorn kills a worker, of which `handler` is a method; 0 for what is no worker."""
    settings = getattr(getattr(handler, "__self__", None), "cfg", None)
    return float(getattr(settings, "graceful_timeout", 0))
