"""Requests through WSGI whose server has no socket, or whose client has disconnected."""

from __future__ import annotations

import io
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.socket import socketpair
from gevent.ssl import SSLContext

from gentrifugo.app.config.config import Config
from gentrifugo.app.exchange.wsgi_exchange import WSGIExchange, serve_wsgi
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Timers
from gentrifugo.app.sockjs.endpoint import SockJS
from gentrifugo.app.sockjs.options import SockJSOptions
from gentrifugo.app.tls.context import server_context
from tests.app.sockjs.fakes import FakePeer
from tests.certificates import make_certificate
from tests.waiting import seconds

REQUEST = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1", "PATH_INFO": "/sockjs", "HTTP_HOST": "a"}


class Response:
    """Records the response; with `is_disconnected` the client has disconnected."""

    def __init__(self, is_disconnected: bool = False) -> None:
        self._has_gone = is_disconnected
        self.status = ""
        self.body = b""

    def __call__(self, status: str, headers: list[tuple[str, str]]) -> Any:
        if self._has_gone:
            raise ConnectionResetError
        self.status = status
        return self._write

    def _write(self, data: bytes) -> None:
        self.body += data


@pytest.fixture
def connection(nothing_left_behind: None) -> Iterator[Any]:
    ours, client = socketpair()
    yield ours
    ours.close()
    client.close()


@pytest.fixture
def endpoint(nothing_left_behind: None) -> SockJS:
    def serve_raw(*arguments: Any, **named: Any) -> None:
        raise AssertionError("nobody asks for a WebSocket")

    return SockJS(
        "/sockjs", lambda transport, opening: FakePeer(transport), serve_raw, Flusher(0), Timers(), SockJSOptions
    )


def on(connection: Any, **more: Any) -> dict[str, Any]:
    """The environ of a request on a connection."""
    file = SimpleNamespace(raw=SimpleNamespace(_sock=connection), peek=lambda: b"", read=lambda size: b"")
    return {**REQUEST, "wsgi.input": file, **more}


def test_a_request_is_answered(endpoint: SockJS, connection: Any) -> None:
    response = Response()
    assert serve_wsgi(endpoint, "", on(connection), response) == []
    assert (response.status, response.body) == ("200 OK", b"Welcome to SockJS!\n")


def test_server_without_access_to_its_socket_is_named_in_the_error(endpoint: SockJS) -> None:
    response = Response()
    (body,) = serve_wsgi(endpoint, "", {**REQUEST, "wsgi.input": io.BytesIO()}, response)
    assert response.status == "501 Refused"
    assert body.endswith(b"\n")


def test_response_to_a_disconnected_client_is_ignored(
    endpoint: SockJS, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert serve_wsgi(endpoint, "", on(connection), Response(is_disconnected=True)) == []
    assert not caplog.records


def test_request_is_passed_completely_to_another_process(connection: Any) -> None:
    body = {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "2", "QUERY_STRING": "a=b"}
    exchange = WSGIExchange("", on(connection, **body), Response())
    head, rest = exchange.received().split(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"GET /sockjs?a=b HTTP/1.1"
    assert sorted(line.lower() for line in lines) == [b"content-length: 2", b"content-type: text/plain", b"host: a"]
    assert rest == b""


def test_tls_connection_with_data_read_ahead_cannot_be_upgraded(nothing_left_behind: None, tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    config = Config(secret="s", ssl=True, ssl_cert=str(made.cert), ssl_key=str(made.key))
    trusting = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    ours, other = socketpair()
    accepting = gevent.spawn(server_context(config).wrap_socket, ours, server_side=True)
    client = trusting.wrap_socket(other)
    accepted = accepting.get(timeout=seconds(5))
    with client, accepted, accepted.makefile("rb", -1) as file:
        accepted.settimeout(seconds(1))
        exchange = WSGIExchange("", {**REQUEST, "wsgi.input": file}, Response())
        exchange.socket = accepted
        assert exchange.received() == b"GET /sockjs HTTP/1.1\r\nhost: a\r\n\r\n"
        assert accepted.gettimeout() == seconds(1)
        client.sendall(b"more")
        assert file.read(4) == b"more"
