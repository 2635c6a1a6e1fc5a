"""Behaviour of views with bodies that are too slow or too large, under HTTPConnection and under pywsgi.

gunicorn's gevent workers use pywsgi, which has no such limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import create_connection, socket

from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.node.hooks import PRIVATE_SUBSCRIBE, REFRESH
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.views.credential_views import MAX_REQUEST_SIZE, register_credential_views
from gentrifugo.app.views.mounted import service_of
from tests.app.conftest import config
from tests.flask_sites import port_of
from tests.waiting import seconds

SOON = 0.1
"""http_header_timeout."""
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PATHS = [
    ("/api/", JSON),
    ("/api/", FORM),
    ("/api/", "multipart/form-data; boundary=x"),
    ("/api/", "text/plain"),
    ("/centrifuge/auth/", JSON),
    ("/centrifuge/refresh/", FORM),
    ("/connection/000/session/xhr", "text/plain"),
    ("/connection/000/session/xhr_send", "text/plain"),
    ("/connection/000/session/jsonp_send", FORM),
]


@pytest.fixture(params=[HTTPConnection, WSGIHandler])
def connect(request: pytest.FixtureRequest, nothing_left_behind: None) -> Iterator[Callable[[], socket]]:
    application = flask_app(config(insecure_api=True, http_header_timeout=SOON))
    service = service_of(application)
    assert service is not None
    for event in (PRIVATE_SUBSCRIBE, REFRESH):
        service.node.hooks.add(event, lambda context: pytest.fail("a hook was called"))
    register_credential_views(application, service)
    service.start()
    server = WSGIServer(("127.0.0.1", 0), application, handler_class=request.param, log=None)
    server.start()
    peers: list[socket] = []

    def connected() -> socket:
        peers.append(create_connection(("127.0.0.1", port_of(server)), timeout=seconds(10)))
        return peers[-1]

    yield connected
    for peer in peers:
        peer.close()
    service.close_connections()
    service.stop()
    server.stop(timeout=seconds(5))


def head(path: str, content_type: str, framing: str) -> bytes:
    origin = "Origin: http://localhost\r\nCookie: a=b\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{origin}Content-Type: {content_type}\r\n{framing}\r\n\r\n"
    ).encode()


def all_that_comes(peer: socket) -> bytes:
    """All data that the server sends until it closes the connection."""
    received = b""
    with suppress(ConnectionResetError):
        while data := peer.recv(65536):
            received += data
    return received


def trickle(peer: Any, piece: bytes) -> None:
    with suppress(OSError):  # the server has ended the connection
        while True:
            peer.sendall(piece)
            gevent.sleep(SOON / 50)


@pytest.mark.parametrize(
    ("framing", "piece"), [("Content-Length: 60000", b" "), ("Transfer-Encoding: chunked", b"1\r\n \r\n")]
)
@pytest.mark.parametrize(("path", "content_type"), PATHS)
def test_slow_body_ends_with_a_timeout(
    connect: Callable[[], socket], path: str, content_type: str, framing: str, piece: bytes
) -> None:
    peer = connect()
    peer.sendall(head(path, content_type, framing))
    sender = gevent.spawn(trickle, peer, piece)
    answer = all_that_comes(peer)
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert answer.endswith(b"timeout while reading the request\n")
    sender.kill()


@pytest.mark.parametrize(("path", "content_type"), PATHS)
def test_body_with_too_large_content_length_is_refused(
    connect: Callable[[], socket], path: str, content_type: str
) -> None:
    peer = connect()
    size = 20 << 20 if path == "/api/" else 4 * MAX_REQUEST_SIZE
    peer.sendall(head(path, content_type, f"Connection: close\r\nContent-Length: {size}"))
    answer = peer.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 "), answer
