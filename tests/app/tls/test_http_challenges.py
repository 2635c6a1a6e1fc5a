"""The plain HTTP server for challenges: challenges are answered, and other requests are redirected to HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import gevent
import pytest
from gevent import socket

from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.server import http_connection
from gentrifugo.app.tls import http_challenges
from tests.flask_sites import port_of
from tests.greenlets import nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

HOST = {"Host": "realtime.example.com:8080"}


@pytest.fixture
def port(nothing_left_behind: None) -> Iterator[int]:
    server = http_challenges.server("127.0.0.1:0", {"token": "token.thumbprint"})
    server.start()
    yield port_of(server)
    server.stop(timeout=seconds(1))


def get(port: int, target: str) -> tuple[int, str | None, bytes]:
    """Status, Location and body; in a thread, because it blocks and the server runs in this one."""

    def ask() -> tuple[int, str | None, bytes]:
        connection = HTTPConnection("127.0.0.1", port, timeout=seconds(5))
        try:
            connection.request("GET", target, headers={**HOST, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.headers["Location"], answer.read()
        finally:
            connection.close()

    answer = gevent.get_hub().threadpool.spawn(ask).get(timeout=seconds(10))
    assert answer is not None
    return answer


def test_a_challenge_is_answered(port: int) -> None:
    assert get(port, "/.well-known/acme-challenge/token") == (200, None, b"token.thumbprint")


def test_an_unknown_challenge_is_answered_with_404(port: int) -> None:
    assert get(port, "/.well-known/acme-challenge/other")[0] == 404


@pytest.mark.parametrize("target", ["/", "/a%20b?c=d&e=%2F", "/%0d%0aSet-Cookie:%20evil", "/%C3%A9"])
def test_other_requests_are_redirected_to_https(port: int, target: str) -> None:
    status, location, _ = get(port, target)
    assert status == 308
    assert location is not None
    assert location.lower().replace("%3a", ":") == f"https://realtime.example.com{target}".lower()


@pytest.mark.parametrize("address", ["", "realtime.example.com", ":port"])
def test_an_invalid_address_is_an_error(address: str) -> None:
    with pytest.raises(ConfigError, match="ssl_autocert_http_addr"):
        http_challenges.server(address, {})


@pytest.mark.parametrize(
    ("begun", "answer"),
    [(b"", b""), (b"GET / HTTP/1.1\r\nHost: a", b"HTTP/1.1 408 Request Timeout")],
    ids=["nothing", "half a request"],
)
def test_a_stalled_request_is_closed_after_the_timeout(
    port: int, begun: bytes, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_TIMEOUT", 0.1)
    with socket.create_connection(("127.0.0.1", port), timeout=seconds(5)) as client:
        client.sendall(begun)
        received = b"".join(iter(lambda: client.recv(4096), b""))
    assert received.split(b"\r\n")[0] == answer
