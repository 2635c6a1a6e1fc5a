"""Under gevent-websocket's stock gunicorn worker: its connections, served by our own WebSocket.

gevent-websocket 0.10.1 does the handshake. After that it would send no close codes,
lose messages when two greenlets write, and take frames of any size, so its socket is
taken over and its own WebSocket object told that it is closed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import gevent

from .service import Service


def take_over(stock: Any) -> tuple[Any, Callable[[int], bytes]]:
    """Socket and recv of a `geventwebsocket.websocket.WebSocket` that nobody has read from."""
    handler = stock.handler
    stock.closed = True
    stock.stream = None
    # The handler's buffered file may hold the first frames already; read1 hands these out first.
    return handler.socket, handler.rfile.read1


def close_clients_on_exit(service: Service) -> None:
    """Tell the clients when gunicorn ends the worker; without that it would wait for them for 30 seconds."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        worker = signal.getsignal(number)
        if callable(worker):
            signal.signal(number, _after_closing(service, worker))


def _after_closing(service: Service, worker: Callable[[int, Any], Any]) -> Callable[[int, Any], Any]:
    def handle(number: int, frame: Any) -> Any:
        gevent.spawn(service.close_connections)
        return worker(number, frame)

    return handle
