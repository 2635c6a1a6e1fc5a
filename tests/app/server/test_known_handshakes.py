"""Handshakes that a server answers from memory, compared with handshakes that are parsed and checked one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import SHUT_WR
from ssl import CERT_NONE, PROTOCOL_TLS_CLIENT
from typing import Any

import pytest
from gevent.socket import create_connection
from gevent.ssl import SSLContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.http import repeated_head
from gentrifugo.app.http.head import Head, parse_head
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from gentrifugo.app.net.direct_socket import DirectSocket
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.server.known_handshakes import MAX_HANDSHAKE, MAX_KNOWN, MAX_QUERY, KnownHandshakes
from gentrifugo.app.service import Service
from gentrifugo.app.tls.context import server_context
from gentrifugo.app.websocket.compression import Deflate
from tests.app.conftest import config
from tests.certificates import make_certificate
from tests.greenlets import eventually, nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OTHER_KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="
FIRST = "GET /connection/websocket HTTP/1.1"
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")


def handshake(*headers: str, key: str = KEY, first: str = FIRST) -> bytes:
    lines = (first, "Host: here", *UPGRADE, f"Sec-WebSocket-Key: {key}", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


class Site:
    """A server, and the requests that have opened its WebSockets, which end at once."""

    def __init__(self, ssl_context: SSLContext | None = None) -> None:
        self.service = Service(config(trusted_proxies="127.0.0.1", websocket_compression=True, allowed_origins=""))
        self.openings: list[Opening | None] = []
        self.num_parsed = 0
        """The number of handshakes that were parsed."""
        self.service.sockjs._raw = self._serve
        self.service.start()
        self.http = HTTPServer(("127.0.0.1", 0), port_app(self.service, ENDPOINTS), log=None, ssl_context=ssl_context)
        self.http.start()

    def _serve(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None:
        self.openings.append(opening)
        socket.sendall(f"{deflate is not None} {requested}".encode())

    def forget(self) -> None:
        """Forget all handshakes that the server knows."""
        self.http._handshakes = KnownHandshakes()

    def answer(self, request: bytes) -> bytes:
        """Return all that the server sends until it ends the connection."""
        with create_connection(("127.0.0.1", self.http.server_port), timeout=seconds(5)) as socket:
            socket.sendall(request)
            socket.shutdown(SHUT_WR)
            received = b""
            while data := socket.recv(10000):
                received += data
            return received

    def outcomes(self, requests: list[bytes], forgets: bool) -> list[tuple[bytes, list[Opening | None]]]:
        """Return the answer to each request, and the Opening of the WebSocket that it has opened."""
        self.forget()
        outcomes = []
        for request in requests:
            if forgets:
                self.forget()
            self.openings = []
            answer = self.answer(request)
            outcomes.append((answer.partition(b"\r\nDate: ")[0], self.openings))
        return outcomes

    def stop(self) -> None:
        self.service.close_connections()
        self.service.stop()
        self.http.stop()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, nothing_left_behind: None) -> Iterator[Site]:
    site = Site()

    def parse(raw: bytes) -> Head:
        site.num_parsed += 1
        return parse_head(raw)

    monkeypatch.setattr(repeated_head, "parse_head", parse)
    yield site
    site.stop()


KEYS = st.sampled_from(
    [KEY, OTHER_KEY, f"{KEY} ", f" {KEY}", "short==", "", f"{KEY}\x00", f"{KEY}a", "\xe4" * 22 + "=="]
)
LINES = st.sampled_from(
    [
        *(
            "Origin: http://here",
            "Origin: http://there",
            "Cookie: a=b",
            "cookie: a=b",
            "Cookie: c",
            "Content-Length: 1",
        ),
        *(
            "X-Forwarded-For: 192.0.2.1",
            "X-Forwarded-For: 192.0.2.2, 127.0.0.1",
            "X-Real-IP: 192.0.2.3",
            "X-Real-IP: \xe4",
        ),
        *("X-Forwarded-Proto: https", "X-Forwarded-Host: there", "Sec-WebSocket-Protocol: centrifuge-protobuf"),
        *("Sec-WebSocket-Extensions: permessage-deflate", "Authorization: Bearer x", " folded", "no colon"),
        *(f"Sec-WebSocket-Key: {KEY}", "Connection: close", "Upgrade: h2c", "Expect: 100-continue"),
    ]
)
FIRSTS = st.sampled_from(
    [
        *[FIRST] * 4,
        "GET /connection/websocket?format=protobuf HTTP/1.1",
        f"{FIRST[:-1]}0",
        "POST / HTTP/1.1",
        "nonsense",
    ]
)
REQUESTS = st.builds(
    lambda lines, key, first: handshake(*lines, key=key, first=first), st.lists(LINES, max_size=3), KEYS, FIRSTS
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(REQUESTS, min_size=1, max_size=6).map(lambda requests: [*requests, *requests]))
@example([handshake(), handshake(key=OTHER_KEY), handshake(key=f"{KEY}\x00")])
@example([handshake("X-Real-IP: 192.0.2.1"), handshake("X-Real-IP: 192.0.2.2"), handshake("X-Real-IP: nowhere")])
@example([handshake("X-Real-IP: \xe4"), handshake("X-Real-IP: 192.0.2.2")])
@example([handshake("X-Real-IP: 192.0.2.3", "X-Real-IP: \xe4")] * 2)
@example([handshake("Cookie: a", "Cookie: b"), handshake("Cookie: c", "Cookie: d")])
@example([handshake("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")] * 2)
def test_answers_and_openings_are_those_of_the_long_way(site: Site, requests: list[bytes]) -> None:
    assert site.outcomes(requests, forgets=False) == site.outcomes(requests, forgets=True)


@pytest.mark.parametrize("last", "AQgw")  # bits that do not belong to the 16 bytes are not compared, as in the long way
def test_key_of_each_client_is_answered(site: Site, last: str) -> None:
    key = f"{OTHER_KEY[:-3]}{last}=="
    accepted = site.answer(handshake(key=key))
    assert accepted.startswith(b"HTTP/1.1 101 ")
    assert site.answer(handshake(key=KEY)) != accepted
    assert site.answer(handshake(key=key)) == accepted


@pytest.mark.parametrize("name", ["Cookie", "Authorization", "X-Request-ID", "X-Forwarded-For", "X-Real-IP"])
def test_values_of_one_client_do_not_make_another_handshake(site: Site, name: str) -> None:
    for value in ("192.0.2.1", "192.0.2.2"):
        assert site.answer(handshake(f"{name}: {value}")).startswith(b"HTTP/1.1 101 ")
    assert site.num_parsed == 1


@pytest.mark.parametrize(
    "request_",
    [
        handshake(first=f"GET /connection/websocket?cf_connect={'x' * MAX_QUERY} HTTP/1.1"),
        handshake("X-Padding: " + "x" * MAX_HANDSHAKE),
        handshake("Cookie: a=b", "Cookie: c=d"),
        handshake(first="GET /connection/sockjs/websocket HTTP/1.1"),
        handshake("Origin: http://there"),
    ],
    ids=["long query", "large", "repeated header", "other path", "refused"],
)
def test_other_handshakes_are_checked_each_time(site: Site, request_: bytes) -> None:
    assert site.answer(request_) == site.answer(request_)
    assert site.num_parsed == 2


def test_handshake_with_data_after_it_is_parsed(site: Site) -> None:
    site.answer(handshake())
    assert site.answer(handshake() + b"\x81\x80\x00\x00\x00\x00").startswith(b"HTTP/1.1 101 ")
    assert site.num_parsed == 2


@pytest.mark.parametrize("first_piece", [0, 50], ids=["late", "in pieces"])
def test_known_handshake_may_arrive_after_the_connection(site: Site, first_piece: int) -> None:
    site.answer(handshake())
    with create_connection(("127.0.0.1", site.http.server_port), timeout=seconds(5)) as socket:
        socket.sendall(handshake()[:first_piece])
        eventually(lambda: len(site.service.idle) == 1)
        socket.sendall(handshake()[first_piece:])
        assert socket.recv(1000).startswith(b"HTTP/1.1 101 ")
    assert site.num_parsed == 1


def test_number_of_known_handshakes_is_limited(site: Site) -> None:
    for number in range(MAX_KNOWN + 1):
        site.answer(handshake(f"User-Agent: {number}"))
    site.answer(handshake(f"User-Agent: {MAX_KNOWN}"))
    assert site.num_parsed == MAX_KNOWN + 1
    site.answer(handshake("User-Agent: 0"))
    assert site.num_parsed == MAX_KNOWN + 2


def test_change_of_the_configuration_applies_to_the_next_handshake(site: Site) -> None:
    request = handshake("Origin: http://there")
    for origins, status in (("*", b"101"), ("", b"403"), ("http://there", b"101")):
        site.service.node.config = config(allowed_origins=origins)
        for _ in range(2):
            assert site.answer(request).startswith(b"HTTP/1.1 " + status)


def test_hooks_receive_the_whole_handshake_of_each_client(site: Site) -> None:
    site.service.node.hooks.is_sealed = False
    site.service.node.hooks.add("connect", lambda event: None)
    requests = [handshake(f"Cookie: {value}", "X-Real-IP: 192.0.2.1", "User-Agent: a") for value in ("a=b", "c=d")]
    assert site.outcomes(requests, forgets=False) == site.outcomes(requests, forgets=True)
    assert site.num_parsed == 3
    site.answer(requests[0])
    assert [opening and opening.headers.get("cookie") for opening in site.openings] == ["c=d", "a=b"]


def test_handshake_that_is_accepted_during_a_change_of_the_configuration_is_checked_again(site: Site) -> None:
    request = handshake("Origin: http://there")
    sendall = DirectSocket.sendall

    def reload_and_send(direct: DirectSocket, data: bytes) -> None:
        site.service.node.config = config(allowed_origins="")
        sendall(direct, data)

    site.service.node.config = config(allowed_origins="*")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DirectSocket, "sendall", reload_and_send)
        assert site.answer(request).startswith(b"HTTP/1.1 101 ")
    assert site.answer(request).startswith(b"HTTP/1.1 403 ")


def test_nothing_is_kept_of_a_client(site: Site) -> None:
    site.service.node.hooks.is_sealed = False
    site.service.node.hooks.add("connect", lambda event: None)
    site.answer(handshake("Cookie: secret", "Authorization: secret"))
    # No answer shows what the server keeps, which it must not reveal by any mistake.
    assert site.http._handshakes._known
    for known in site.http._handshakes._known.values():
        assert "secret" not in known.head.headers.values()
        assert known.websocket._opening is None


def test_clients_that_use_tls_are_recognized(tmp_path: Path, nothing_left_behind: None) -> None:
    certificate = make_certificate(tmp_path)
    options = Config(secret="s", ssl=True, ssl_cert=str(certificate.cert), ssl_key=str(certificate.key))
    site = Site(server_context(options))
    client = SSLContext(PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, CERT_NONE
    for _ in range(2):
        with client.wrap_socket(create_connection(("127.0.0.1", site.http.server_port), timeout=seconds(5))) as socket:
            socket.sendall(handshake())
            assert socket.recv(1000).startswith(b"HTTP/1.1 101 ")
            eventually(lambda: site.service.node.metrics.greenlets == 0)
    assert [opening and opening.scheme for opening in site.openings] == ["https", "https"]
    site.stop()


def test_service_that_stops_refuses_known_handshakes(site: Site) -> None:
    site.answer(handshake())
    site.service.node.stopping = True
    assert site.answer(handshake()).startswith(b"HTTP/1.1 503 ")


def test_known_handshakes_are_in_the_access_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gentrifugo.access")
    for _ in range(2):
        site.answer(handshake())
    assert sum("/connection/websocket" in line for line in caplog.messages) == 2
