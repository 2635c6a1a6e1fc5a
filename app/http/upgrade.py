"""The connection behind a WSGI request, for what WSGI has no words for: WebSockets, and waiting for a client to go.

Works with our handler and with gevent-websocket's. gevent-websocket 0.10.1 does the
handshake. After that it would send no close codes, lose messages when two greenlets
write, and take frames of any size, so its socket is taken over and its own WebSocket
object told that it is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .head import HTTPError


def open_websocket(environ: dict[str, Any]) -> tuple[Any, Callable[[int], bytes]]:
    """Answer the request with a WebSocket: its socket and recv. Raises HTTPError."""
    handler = environ.get("gentrifugo.handler")
    if handler is not None:
        socket, recv = handler.upgrade()
        return socket, recv
    stock = environ.get("wsgi.websocket")
    if stock is not None:
        return _take_over(stock)
    if environ["REQUEST_METHOD"] != "GET":
        raise HTTPError(405, "a WebSocket is opened with GET", {"Allow": "GET"})
    upgrade, connection = environ.get("HTTP_UPGRADE", ""), environ.get("HTTP_CONNECTION", "")
    if upgrade.lower() == "websocket" and "upgrade" in connection.lower():
        raise HTTPError(501, "this server cannot open WebSockets: run gentrifugo, or gunicorn with its worker")
    raise HTTPError(400, 'this is a WebSocket endpoint: the request has no "Upgrade: websocket"')


def is_open(environ: dict[str, Any]) -> bool:
    """Whether the server has answered with a WebSocket before it asked us: only a close can refuse it now."""
    return environ.get("wsgi.websocket") is not None


def _take_over(stock: Any) -> tuple[Any, Callable[[int], bytes]]:
    """Socket and recv of a `geventwebsocket.websocket.WebSocket` that nobody has read from."""
    handler = stock.handler
    stock.closed = True
    stock.stream = None
    # The handler's buffered file may hold the first frames already; read1 hands these out first.
    return handler.socket, handler.rfile.read1


def socket_of(environ: dict[str, Any]) -> Any:
    """gevent's socket of the request. Raises HTTPError when the server does not let it be found."""
    handler = environ.get("gentrifugo.handler")
    if handler is not None:
        return handler.socket
    try:
        # In gevent's pywsgi a body reads from the socket's file; told "Connection: upgrade", it is that file.
        body = environ["wsgi.input"]
        return getattr(body, "rfile", body).raw._sock
    except (AttributeError, KeyError):
        reason = "this server cannot serve SockJS: run gentrifugo, or gunicorn with its worker"
        raise HTTPError(501, reason) from None
