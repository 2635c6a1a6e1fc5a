"""Behaviour of WebSockets behind WSGI: how each server is recognized, and the error if it cannot open a WebSocket."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, ClassVar

import gevent
import pytest

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.upgrade import WAITING, is_open, open_websocket, socket_of
from tests.waiting import seconds

UPGRADE = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "WebSocket", "HTTP_CONNECTION": "keep-alive, Upgrade"}


def refusal(call: Any, environ: dict[str, Any]) -> HTTPError:
    with pytest.raises(HTTPError) as refused:
        call(environ)
    return refused.value


@pytest.mark.parametrize(
    ("environ", "status", "says"),
    [
        ({"REQUEST_METHOD": "POST"}, 405, "WebSocket handshake requires method GET"),
        ({"REQUEST_METHOD": "GET"}, 400, 'missing header "Upgrade: websocket"'),
        (UPGRADE, 501, "this server cannot open WebSockets"),
    ],
    ids=["another method", "no upgrade", "another server"],
)
def test_server_without_websocket_support_is_refused_with_reason(
    environ: dict[str, Any], status: int, says: str
) -> None:
    refused = refusal(open_websocket, environ)
    assert (refused.status, says in refused.reason) == (status, True)


def test_the_websocket_of_another_library_is_taken_over() -> None:
    handler = SimpleNamespace(socket=object(), rfile=SimpleNamespace(read1=bytes))
    stock = SimpleNamespace(handler=handler, closed=False, stream=object())
    environ = {**UPGRADE, "wsgi.websocket": stock}
    assert is_open(environ)
    socket, recv = open_websocket(environ)
    assert (socket, recv(3)) == (handler.socket, bytes(3))
    assert (stock.closed, stock.stream) == (True, None)


def test_peer_of_another_library_that_always_sends_does_not_block_other_greenlets() -> None:
    handler = SimpleNamespace(socket=object(), rfile=SimpleNamespace(read1=bytes))
    _, recv = open_websocket({**UPGRADE, "wsgi.websocket": SimpleNamespace(handler=handler)})
    others = gevent.spawn(lambda: None)
    deadline = time.monotonic() + seconds(10)
    while not others.ready() and time.monotonic() < deadline:
        recv(3)
    assert others.ready()


@pytest.mark.parametrize("is_upgrade", [False, True], ids=["a body", "told to upgrade"])
def test_the_socket_of_a_request_is_found_below_its_body(is_upgrade: bool) -> None:
    socket = object()
    file = SimpleNamespace(raw=SimpleNamespace(_sock=socket))
    assert socket_of({"wsgi.input": file if is_upgrade else SimpleNamespace(rfile=file)}) is socket


def test_socket_of_a_request_under_http_connection_is_found() -> None:
    handler = SimpleNamespace(socket=object())
    assert socket_of({"gentrifugo.handler": handler}) is handler.socket


@pytest.mark.parametrize("environ", [{}, {"wsgi.input": object()}], ids=["no body", "a body of another server"])
def test_server_without_access_to_its_socket_is_refused(environ: dict[str, Any]) -> None:
    refused = refusal(socket_of, environ)
    assert (refused.status, "SockJS" in refused.reason) == (501, True)
    for_websocket = refusal(socket_of, {**environ, **UPGRADE})
    assert (for_websocket.status, "WebSockets" in for_websocket.reason, "SockJS" in for_websocket.reason) == (
        501,
        True,
        False,
    )


class Waiting:
    """The required part of a handler of gevent-websocket that has not answered yet, and that refuses the request."""

    request_version = "HTTP/1.1"
    code = 426
    response_headers: ClassVar = [(b"Sec-WebSocket-Version", b"13"), (b"Content-Length", b"7")]

    def upgrade_websocket(self) -> list[str]:
        return ["No Websocket protocol version defined"]


def test_refusal_of_another_library_keeps_its_reason() -> None:
    refused = refusal(open_websocket, {**UPGRADE, WAITING: Waiting()})
    assert (refused.status, refused.reason) == (426, "No Websocket protocol version defined")
    assert refused.headers == {"Sec-WebSocket-Version": "13"}


def test_a_handshake_with_another_version_of_http_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Waiting, "request_version", "HTTP/1.0")
    assert refusal(open_websocket, {**UPGRADE, WAITING: Waiting()}).reason == "WebSocket handshake requires HTTP/1.1"
