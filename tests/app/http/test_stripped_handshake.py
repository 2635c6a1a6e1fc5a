"""Behaviour of WebSocket handshakes without the headers that a proxy must pass on: response and log name it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import pytest
from flask import Flask
from gevent.socket import create_connection, socketpair

from gentrifugo.app.exchange.wsgi_exchange import WSGIExchange
from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.stripped_handshake import REASON, forget_stripped_handshakes, is_stripped
from tests.app.conftest import config
from tests.flask_sites import in_thread, serve
from tests.sockjs_client import Answer
from tests.sockjs_client import Service as Peer
from tests.waiting import seconds

__all__ = ["serve"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
STRIPPED = {"Connection": "close", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
PATHS = ["/websocket", "/0/session/websocket", "/uni_websocket"]
LINE = f"WebSocket handshake refused: {REASON}"


@pytest.fixture(autouse=True)
def nothing_logged_before(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    forget_stripped_handshakes()
    caplog.set_level("INFO", "gentrifugo")
    yield
    forget_stripped_handshakes()


def refusals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "handshake" in message]


@pytest.fixture
def ask(serve: Callable[[Flask], int]) -> Callable[[str, Mapping[str, str]], Answer]:
    peer = Peer("127.0.0.1", serve(flask_app(config(uni_websocket=True))), "/connection")
    return lambda path, headers: in_thread(lambda: peer.request("GET", path, headers=headers))


@pytest.mark.parametrize("path", PATHS)
def test_handshake_without_upgrade_names_the_proxy_and_is_logged_once(
    ask: Callable[[str, Mapping[str, str]], Answer], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        refused = ask(path, STRIPPED)
        assert refused.status == 400
        assert refused.text == f'WebSocket endpoint: missing header "Upgrade: websocket"; {REASON}\n'
    assert refusals(caplog) == [LINE]


def test_handshake_without_connection_names_the_proxy(
    ask: Callable[[str, Mapping[str, str]], Answer], caplog: pytest.LogCaptureFixture
) -> None:
    refused = ask("/websocket", {**STRIPPED, "Upgrade": "websocket"})
    assert refused.text == f'WebSocket endpoint: missing header "Connection: Upgrade"; {REASON}\n'
    assert refusals(caplog) == [LINE]


def test_handshake_in_the_version_of_http_that_nginx_uses_by_default_names_the_proxy(
    serve: Callable[[Flask], int], caplog: pytest.LogCaptureFixture
) -> None:
    port = serve(flask_app(config()))
    with create_connection(("127.0.0.1", port), timeout=seconds(5)) as socket:
        head = f"GET /connection/websocket HTTP/1.0\r\nHost: localhost\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        socket.sendall(head.encode())
        assert f"WebSocket handshake requires HTTP/1.1; {REASON}".encode() in socket.recv(1000)
    assert refusals(caplog) == [LINE]


def test_page_that_is_opened_at_the_path_is_no_handshake(
    ask: Callable[[str, Mapping[str, str]], Answer], caplog: pytest.LogCaptureFixture
) -> None:
    assert ask("/websocket", {}).text == 'WebSocket endpoint: missing header "Upgrade: websocket"\n'
    assert refusals(caplog) == []


def test_other_mistakes_in_a_handshake_do_not_name_the_proxy(
    ask: Callable[[str, Mapping[str, str]], Answer], caplog: pytest.LogCaptureFixture
) -> None:
    whole = {**STRIPPED, "Connection": "Upgrade", "Upgrade": "websocket"}
    assert "proxy" not in ask("/websocket", {**whole, "Sec-WebSocket-Key": "short"}).text
    assert "proxy" not in ask("/websocket", {**whole, "Sec-WebSocket-Version": "8"}).text
    assert refusals(caplog) == []


def test_handshake_through_another_server_names_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    ours, client = socketpair()
    environ = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "wsgi.input": SimpleNamespace(raw=SimpleNamespace(_sock=ours)),
    }
    with ours, client, pytest.raises(HTTPError) as refused:
        WSGIExchange("/websocket", environ, lambda *arguments: print).upgrade(print)
    assert refused.value.reason == f'WebSocket endpoint: missing header "Upgrade: websocket"; {REASON}'
    assert refusals(caplog) == [LINE]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"upgrade": "websocket", "connection": "Upgrade"}, False),
        ({"sec-websocket-key": KEY}, True),
        ({"sec-websocket-key": KEY, "upgrade": "WebSocket"}, True),
        ({"sec-websocket-key": KEY, "connection": "upgrade"}, True),
        ({"sec-websocket-key": KEY, "upgrade": "WebSocket", "connection": "keep-alive, Upgrade"}, False),
    ],
)
def test_headers_identify_a_stripped_handshake(headers: Mapping[str, str], expected: bool) -> None:
    assert is_stripped(headers) is expected
