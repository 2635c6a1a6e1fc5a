"""What the HTTP server holds of a connection, and how it closes one that it cannot serve."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT
from typing import Any, NoReturn

import gevent
import pytest
from gevent.event import Event
from gevent.socket import create_connection
from gevent.ssl import SSLContext

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.runtime.wait_limit import WaitLimit
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.service import Service
from gentrifugo.app.tls.context import server_context
from tests.app.conftest import config
from tests.certificates import make_certificate
from tests.greenlets import eventually, nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

HANDSHAKE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

API_REQUESTS = {
    "v1": b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n"
    b'{"method":"channels"}',
    "later version": b"POST /api/channels HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
}


def no_application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    raise AssertionError("no request is served here")


def kept_state() -> list[object]:
    """Return all objects that hold the state of HTTP requests."""
    return [found for found in gc.get_objects() if isinstance(found, HTTPConnection | WaitLimit)]


@pytest.fixture
def service(nothing_left_behind: None) -> Iterator[Service]:
    service = Service(config(insecure_api=True))
    service.start()
    yield service
    service.close_connections()
    service.stop()


def test_state_of_http_requests_is_released_when_a_websocket_is_open(service: Service) -> None:
    http = HTTPServer(("127.0.0.1", 0), port_app(service, ENDPOINTS), log=None)
    http.start()
    with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as socket:
        socket.sendall(HANDSHAKE)
        assert socket.recv(1000).startswith(b"HTTP/1.1 101 ")
        eventually(lambda: service.open_websockets == 1)
        assert not kept_state()
        assert service.node.metrics.greenlets == 1
    eventually(lambda: service.node.metrics.greenlets == 0)
    http.stop()


@pytest.mark.parametrize("request_", API_REQUESTS.values(), ids=API_REQUESTS)
@pytest.mark.parametrize("opens_websocket", [False, True])
def test_state_of_api_requests_is_released_without_the_garbage_collector(
    service: Service, request_: bytes, opens_websocket: bool
) -> None:
    http = HTTPServer(("127.0.0.1", 0), port_app(service, ENDPOINTS), log=None)
    http.start()
    gc.collect()
    gc.disable()  # an application may do that
    try:
        with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as socket:
            socket.sendall(request_)
            assert socket.recv(1000).startswith(b"HTTP/1.1 200 ")
            if opens_websocket:
                socket.sendall(HANDSHAKE)
                assert socket.recv(1000).startswith(b"HTTP/1.1 101 ")
                eventually(lambda: service.open_websockets == 1)
                assert not kept_state()
        eventually(lambda: service.node.metrics.greenlets == 0)
        assert not kept_state()
    finally:
        gc.enable()
        http.stop()


def test_connection_is_closed_if_no_greenlet_can_be_started(capfd: pytest.CaptureFixture[str]) -> None:
    def refuse(*_: object) -> NoReturn:
        raise MemoryError("no memory for another greenlet")

    http = HTTPServer(("127.0.0.1", 0), no_application, log=None, spawn=refuse)
    http.start()
    with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as socket:
        assert socket.recv(1000) == b""
    http.stop()
    assert "no memory for another greenlet" in capfd.readouterr().err  # gevent reports it, and accepts the next one


def test_accepted_connections_send_without_delay() -> None:
    accepted: list[int] = []

    class Server(HTTPServer):
        def handle(self, client_socket: Any, address: Any) -> None:
            accepted.append(client_socket.getsockopt(IPPROTO_TCP, TCP_NODELAY))

    http = Server(("127.0.0.1", 0), no_application, log=None)
    http.start()
    with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as socket:
        assert socket.recv(1000) == b""
    http.stop()
    assert accepted == [1]


def test_client_that_disconnects_during_a_response_over_tls_is_not_logged_as_an_error(
    tmp_path: Path, nothing_left_behind: None, capfd: pytest.CaptureFixture[str]
) -> None:
    has_ended = Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield bytes(1000)
                gevent.sleep(0.001)
        finally:
            has_ended.set()

    certificate = make_certificate(tmp_path)
    options = Config(secret="s", ssl=True, ssl_cert=str(certificate.cert), ssl_key=str(certificate.key))
    http = HTTPServer(("127.0.0.1", 0), application, log=None, ssl_context=server_context(options))
    http.start()
    client = SSLContext(PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, CERT_NONE
    with client.wrap_socket(create_connection(("127.0.0.1", http.server_port), timeout=seconds(5))) as socket:
        socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert socket.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert has_ended.wait(seconds(5))
    http.stop()
    assert "Traceback" not in capfd.readouterr().err
