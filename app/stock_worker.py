"""Under gevent-websocket's stock gunicorn worker: taking leave of the clients."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable
from typing import Any

import gevent

from .service import Service


def close_clients_on_exit(service: Service) -> None:
    """Tell the clients when gunicorn ends the worker; without that it would wait for them for 30 seconds."""
    atexit.register(service.leave_siblings)  # gunicorn has no other word for it under this worker
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        worker = signal.getsignal(number)
        if callable(worker):
            signal.signal(number, _after_closing(service, worker))


def _after_closing(service: Service, worker: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
    def handle(number: int, frame: Any) -> Any:
        gevent.spawn(service.close_connections)
        return worker(number, frame)

    return handle
