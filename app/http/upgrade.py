"""Access to the connection of a WSGI request: to open WebSockets, and to notice when a client disconnects.

Works with the handler of this package and with that of gevent-websocket, which does the handshake itself.
gevent-websocket 0.10.1 would send no close codes, lose messages when two greenlets write, and accept frames of any
size, so its socket is taken over and its own WebSocket object is marked as closed.

Unless WAITING is set, gevent-websocket answers the handshake before it calls the application, which then cannot refuse
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..runtime.gunicorn import NO_SOCKJS, NO_WEBSOCKETS
from ..runtime.yielding import yield_if_due
from .head import HTTPError

WAITING = "gentrifugo.waiting_handler"
"""The key in a WSGI environ for the handler of gevent-websocket, if it has not answered the handshake yet."""


def open_websocket(environ: dict[str, Any]) -> tuple[Any, Callable[[int], bytes]]:
    """Complete the WebSocket handshake; returns its socket and recv. Raises HTTPError."""
    handler = environ.get("gentrifugo.handler")
    if handler is not None:
        socket, recv = handler.upgrade()
        return socket, recv
    stock = environ.get("wsgi.websocket")
    if stock is None and WAITING in environ:
        stock = _answer_handshake(environ)
    if stock is not None:
        return _take_over(stock)
    if environ["REQUEST_METHOD"] != "GET":
        raise HTTPError(405, "WebSocket handshake requires method GET", {"Allow": "GET"})
    if _asks_for_websocket(environ):
        raise HTTPError(501, NO_WEBSOCKETS)
    raise HTTPError(400, 'WebSocket endpoint: missing header "Upgrade: websocket"')


def is_open(environ: dict[str, Any]) -> bool:
    """Return whether the server has completed the WebSocket handshake already, so that only a close can refuse it."""
    return environ.get("wsgi.websocket") is not None


def _asks_for_websocket(environ: dict[str, Any]) -> bool:
    upgrade, connection = environ.get("HTTP_UPGRADE", ""), environ.get("HTTP_CONNECTION", "")
    return upgrade.lower() == "websocket" and "upgrade" in connection.lower()


def _answer_handshake(environ: dict[str, Any]) -> Any:
    """Let gevent-websocket open the WebSocket; None if the request is not for one. Raises HTTPError if it refuses."""
    handler = environ[WAITING]
    if _asks_for_websocket(environ) and handler.request_version != "HTTP/1.1":
        raise HTTPError(400, "WebSocket handshake requires HTTP/1.1")
    reasons = handler.upgrade_websocket()
    stock = environ.get("wsgi.websocket")
    if stock is not None:
        handler.write(b"")  # sends the head of the response
    elif reasons:
        raise HTTPError(handler.code, reasons[0], _websocket_headers(handler))
    return stock


def _websocket_headers(handler: Any) -> dict[str, str]:
    """Return the headers of gevent-websocket's response that describe what it supports."""
    headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in handler.response_headers)
    return {name: value for name, value in headers if name.startswith("Sec-WebSocket")}


def _take_over(stock: Any) -> tuple[Any, Callable[[int], bytes]]:
    """Return socket and recv of a `geventwebsocket.websocket.WebSocket` that has not been read from."""
    handler = stock.handler
    stock.closed = True
    stock.stream = None
    # The handler's buffered file may hold the first frames already; read1 hands these out first.
    read = handler.rfile.read1

    def recv(size: int) -> bytes:
        yield_if_due()  # reading data that has arrived does not wait
        data: bytes = read(size)
        return data

    return handler.socket, recv


def socket_of(environ: dict[str, Any]) -> Any:
    """Return gevent's socket of the request. Raises HTTPError if the server does not provide it."""
    handler = environ.get("gentrifugo.handler")
    if handler is not None:
        return handler.socket
    try:
        # In gevent's pywsgi a body reads from the socket's file. With "Connection: upgrade", the body is that file.
        body = environ["wsgi.input"]
        return getattr(body, "rfile", body).raw._sock
    except (AttributeError, KeyError):
        raise HTTPError(501, NO_WEBSOCKETS if _asks_for_websocket(environ) else NO_SOCKJS) from None
