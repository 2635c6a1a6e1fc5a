"""Behaviour of TLS on a port without it, and of its absence on a port with it: the log says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT, SSLError

import pytest
from gevent.socket import create_connection
from gevent.ssl import SSLContext

from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.http.misplaced_tls import (
    MAX_LOGGED_PEERS,
    forget_misplaced_tls,
    note_misplaced_tls,
    note_missing_tls,
)
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.service import Service
from gentrifugo.app.tls.context import server_context
from tests.app.conftest import config
from tests.certificates import make_certificate
from tests.waiting import seconds

MISPLACED = "a client at 127.0.0.1 speaks TLS on a port without TLS: use ws:// or http://, or set option ssl"
MISSING = "a client at 127.0.0.1 does not speak TLS on a port with TLS: use wss:// or https://"


@pytest.fixture(autouse=True)
def nothing_logged_before(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    forget_misplaced_tls()
    caplog.set_level("INFO", "gentrifugo")
    yield
    forget_misplaced_tls()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service(config())
    service.start()
    yield service
    service.close_connections()
    service.stop()


def test_tls_on_a_port_without_it_is_refused_at_once_and_logged_once(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    http = HTTPServer(("127.0.0.1", 0), port_app(service, ENDPOINTS), log=None)
    http.start()
    context = SSLContext(PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, CERT_NONE
    for _ in range(2):
        with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as plain, pytest.raises(SSLError):
            context.wrap_socket(plain)
    http.stop()
    assert caplog.messages == [MISPLACED]


def test_tls_handshake_in_two_parts_is_recognized(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    http = HTTPServer(("127.0.0.1", 0), port_app(service, ENDPOINTS), log=None)
    http.start()
    with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as plain:
        plain.sendall(b"\x16")
        assert b"this port has no TLS: use http:// or ws://" in plain.recv(1000)
    http.stop()
    assert caplog.messages == [MISPLACED]


def test_request_without_tls_on_a_port_that_requires_it_is_logged(
    service: Service, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    made = make_certificate(tmp_path)
    context = server_context(config(ssl=True, ssl_cert=str(made.cert), ssl_key=str(made.key)))
    http = HTTPServer(("127.0.0.1", 0), port_app(service, ENDPOINTS), log=None, ssl_context=context)
    http.start()
    with create_connection(("127.0.0.1", http.server_port), timeout=seconds(5)) as plain:
        plain.sendall(b"GET /?token=secret HTTP/1.1\r\nHost: localhost\r\nCookie: session=secret\r\n\r\n")
        assert b"this port requires TLS" in plain.recv(1000)
    http.stop()
    assert caplog.messages == [MISSING]


def test_addresses_of_many_peers_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3 * MAX_LOGGED_PEERS):
        note_misplaced_tls(f"192.0.2.{number}")
        note_missing_tls(f"192.0.2.{number}")
    assert len(caplog.messages) == 2 * MAX_LOGGED_PEERS
