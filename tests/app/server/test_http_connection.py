"""Behaviour of one HTTP connection on a real socket: consecutive, invalid and slow requests, and WebSockets.

`requests/` has one file for each stream of requests: the sent bytes, the responses, and
whether another request may follow on the connection.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import has_dualstack_ipv6
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer
from gevent.socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SHUT_WR, create_connection, socket

from gentrifugo.app.extension.wsgi import flask_app
from gentrifugo.app.http.head import MAX_HEAD_SIZE, MAX_HEADERS, MAX_REQUEST_LINE
from gentrifugo.app.http.outer_address import PEER
from gentrifugo.app.net import linger
from gentrifugo.app.server import http_connection
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.service import Service
from gentrifugo.app.views.mounted import service_of
from tests.app.conftest import config
from tests.flask_sites import port_of
from tests.greenlets import eventually
from tests.waiting import seconds
from tests.websocket_client import CLOSE, PING, PONG, Closed, Frame, WebSocketClient

LONG = seconds(10)
"""Seconds that no test waits."""
SOON = 0.1
"""Seconds that the servers of the tests about slow peers wait."""
MAX_BODY = 1000
"""api_request_max_size."""

STREAMS = sorted((Path(__file__).parent / "requests").glob("*.json"))

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
COMMAND = b'{"method":"channels","params":{}}'
NOTHING = b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n"
HANDSHAKE = (
    b"GET /connection/websocket HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PROBE = b"GET /probe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def post(body: bytes = COMMAND, headers: bytes = JSON, path: bytes = b"/api/", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, HOST, headers, size, body)


@dataclass(frozen=True)
class Response:
    """An HTTP response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def whole(self) -> str:
        """The response without its status line, for searching."""
        lines = [f"{name.title()}: {value}" for name, value in self.headers.items()]
        return "\n".join([*lines, "", self.body.decode()])


class Peer:
    """A peer of a server, for which the test determines every sent byte."""

    def __init__(self, port: int) -> None:
        self.sock: socket = create_connection(("127.0.0.1", port), timeout=LONG)
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def response(self, head_only: bool = False) -> Response:
        """The next response; one to HEAD, like 100 Continue, is a head only."""
        while b"\r\n\r\n" not in self._buffer:
            assert self._fill(), f"the connection ended after {self._buffer!r}"
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        size = 0 if head_only else int(headers.get("content-length", 0))
        while len(self._buffer) < size:
            assert self._fill(), "the connection ended within a body"
        body, self._buffer = bytes(self._buffer[:size]), self._buffer[size:]
        return Response(int(first.split(" ")[1]), headers, body)

    def websocket(self) -> WebSocketClient:
        """Return the WebSocket client after the handshake."""
        return WebSocketClient(self.sock, {}, bytes(self._buffer))

    def has_ended(self) -> bool:
        """Whether the server ends the connection without sending more data."""
        try:
            return not self._buffer and not self._fill()
        except ConnectionResetError:
            return True

    def is_in_step(self) -> bool:
        """Whether the server answers another request, and closes the connection if the request demands it."""
        self.send(PROBE)
        return self.response().status == 404 and self.has_ended()

    def _fill(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)


class Server:
    """A server in this process, with the usual handler."""

    def __init__(self, application: Any, service: Service | None = None, listener: Any = ("127.0.0.1", 0)) -> None:
        self.application = application
        self.service = service
        self.http = WSGIServer(listener, application, handler_class=HTTPConnection, log=None)
        self.http.start()
        self._peers: list[Peer] = []

    def connect(self) -> Peer:
        self._peers.append(Peer(port_of(self.http)))
        return self._peers[-1]

    @property
    def num_greenlets(self) -> int:
        assert self.service is not None
        return self.service.node.metrics.greenlets

    def stop(self) -> None:
        for peer in self._peers:
            peer.sock.close()
        if self.service is not None:
            eventually(lambda: self.num_greenlets == 0, what="all connections have been let go")
            self.service.close_connections()
            self.service.stop()
        self.http.stop(timeout=seconds(5))


@pytest.fixture
def start_server(nothing_left_behind: None) -> Iterator[Callable[..., Server]]:
    """Start servers: `start_server(option=value, ...)`, or with a WSGI application and no service."""
    servers: list[Server] = []

    def start(application: Any = None, listener: Any = ("127.0.0.1", 0), **options: Any) -> Server:
        service = None
        if application is None:
            options = {"insecure_api": True, "api_request_max_size": MAX_BODY, **options}
            application = flask_app(config(**options))
            service = service_of(application)
            assert service is not None
            service.start()
        servers.append(Server(application, service, listener))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture
def peer(server: Server) -> Peer:
    return server.connect()


@pytest.fixture
def slow_peer(start_server: Callable[..., Server]) -> Peer:
    """A peer of a server with a short timeout for requests, and a long one between requests."""
    return start_server(http_header_timeout=SOON).connect()


# -- requests in a row


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_streams_of_requests_have_the_expected_responses(peer: Peer, path: Path) -> None:
    stream = json.loads(path.read_text(encoding="utf-8"))
    check_stream(peer, "".join(stream["request"]).encode("latin-1"), stream["answers"], stream["stays"])


def check_stream(peer: Peer, request: bytes, answers: list[tuple[int, str]], stays: bool) -> None:
    peer.send(request)
    for status, says in answers:
        response = peer.response(head_only=status == 100)
        assert (response.status, says) == (status, says if says in response.whole else response.whole)
    assert peer.is_in_step() if stays else peer.has_ended()


NOT_FOUND = (404, "not found; the endpoints are")
MAX_TARGET = b"/" + b"a" * (MAX_REQUEST_LINE - len("GET / HTTP/1.1"))


@pytest.mark.parametrize(
    ("request_", "answer", "stays"),
    [
        (post(COMMAND.ljust(MAX_BODY)), (200, "channels"), True),
        (post(b" " * (MAX_BODY + 1)), (413, f"the request is larger than {MAX_BODY} bytes"), False),
        (NOTHING.replace(b"/nothing", MAX_TARGET), NOT_FOUND, True),
        (NOTHING.replace(b"/nothing", MAX_TARGET + b"a"), (414, "longer than 8000 bytes"), False),
        (NOTHING.replace(HOST, HOST + b"X: a\r\n" * (MAX_HEADERS - 1)), NOT_FOUND, True),
        (NOTHING.replace(HOST, HOST + b"X: a\r\n" * MAX_HEADERS), (431, "more than 99 headers"), False),
        (NOTHING.replace(HOST, HOST + b"X: %b\r\n" % (b"a" * MAX_HEAD_SIZE)), (431, "larger than 32768 bytes"), False),
        (b"x" * (MAX_HEAD_SIZE + 1), (431, "larger than 32768 bytes"), False),
    ],
    ids=[
        "the largest body",
        "a larger body",
        "the longest target",
        "a longer target",
        "the most headers",
        "more headers",
        "a larger head",
        "a head without an end",
    ],
)
def test_sizes_of_head_and_body_are_limited(peer: Peer, request_: bytes, answer: tuple[int, str], stays: bool) -> None:
    check_stream(peer, request_, [answer], stays)


@pytest.mark.parametrize("body", [COMMAND, b'{"method":"unknown"}', b"{", b"[]", b"{" + b" " * MAX_BODY])
def test_json_without_content_type_has_the_same_response(server: Server, body: bytes) -> None:
    answers = []
    for headers in (JSON, b"", FORM, b"Content-Type: text/plain\r\n"):
        peer = server.connect()
        peer.send(post(body, headers))
        answer = peer.response()
        answers.append((answer.status, answer.headers["content-type"], answer.body))
    assert answers == answers[:1] * 4


METHOD = post(b'{"channel":"news","data":1}', path=b"/api/publish")


@pytest.mark.parametrize(
    ("request_", "answer", "stays"),
    [
        (METHOD, (200, '{"result":{}}'), True),
        (post(b"{}", b"", b"/api/channels?x=y"), (200, '{"result":{"channels":{}}}'), True),
        (post(b"[]", path=b"/api/info"), (400, "Expected `object`"), True),
        (post(b" " * (MAX_BODY + 1), path=b"/api/publish"), (413, "larger than 1000 bytes"), False),
        (post(b"{}", path=b"/api/dance"), (404, "unknown method 'dance'"), True),
        (METHOD.replace(b"POST", b"PUT"), (405, "not allowed"), True),
        (METHOD.replace(b"/publish", b"/pub%6cish"), (200, '{"result":{}}'), True),
        (NOTHING.replace(b"/nothing", b"/api/openapi.json"), (200, '"openapi":"3.1'), True),
    ],
)
def test_methods_of_the_later_api_are_answered(
    peer: Peer, request_: bytes, answer: tuple[int, str], stays: bool
) -> None:
    check_stream(peer, request_, [answer], stays)


def test_a_key_is_checked_without_wsgi_and_with_it(start_server: Callable[..., Server]) -> None:
    server = start_server(api_key="key", insecure_api=False)
    for path in (b"/api/publish", b"/api/pub%6cish"):
        for headers, status in ((b"X-API-Key: key\r\n", 200), (b"X-API-Key: no\r\n", 401), (b"", 401)):
            peer = server.connect()
            peer.send(post(b'{"channel":"news","data":1}', headers, path))
            assert peer.response().status == status


def test_refused_backend_is_logged_with_its_address_and_the_whole_path(
    start_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = start_server(
        api_key="key", secret="secret", insecure_api=False, http_prefix="/rt", trusted_proxies="127.0.0.1"
    )
    address = b"X-Forwarded-For: 192.0.2.7\r\n"
    requests = [
        post(b"{}", b"X-API-Key: no\r\n", b"/rt/api/publish"),
        post(b"{}", address, b"/rt/api/pub%6cish"),
        post(COMMAND, JSON + address + b"X-API-Sign: no\r\n", b"/rt/api/"),
        post(COMMAND, JSON, b"/rt/api"),
        post(b"sign=", b"Content-Type: application/x-www-form-urlencoded\r\n" + address, b"/rt/api/"),
    ]
    for request in requests:
        peer = server.connect()
        peer.send(request)
        assert peer.response().status in (400, 401)
    lines = [line.partition(": ") for line in caplog.messages if line.startswith("refused a request")]
    assert [(begin.removeprefix("refused a request to "), reason[:11]) for begin, _, reason in lines] == [
        ("/rt/api/publish from 127.0.0.1", "invalid API"),
        ("/rt/api/publish from 192.0.2.7", "missing API"),
        ("/rt/api/ from 192.0.2.7", "invalid sig"),
        ("/rt/api/ from 127.0.0.1", "missing sig"),
    ]


def test_new_key_applies_to_connections_that_are_kept(start_server: Callable[..., Server]) -> None:
    server = start_server(api_key="key", insecure_api=False)
    assert server.service is not None
    node = server.service.node
    request = post(b'{"channel":"news","data":1}', b"X-API-Key: key\r\n", b"/api/publish")
    kept, in_the_middle = server.connect(), server.connect()
    for peer in (kept, in_the_middle):
        peer.send(request)
        assert peer.response().status == 200
    in_the_middle.send(request[:-1])
    peer = server.connect()  # its response shows that the data above has been read
    peer.send(request)
    assert peer.response().status == 200
    node.configure(dataclasses.replace(node.config, api_key="another key"))
    kept.send(request)
    in_the_middle.send(request[-1:])
    assert [kept.response().status, in_the_middle.response().status] == [401, 401]
    node.configure(dataclasses.replace(node.config, insecure_api=True))
    peer.send(request)
    assert peer.response().status == 200


@pytest.mark.parametrize("path", [b"/api", b"/api/", b"/ap%69"])
def test_commands_with_a_key_get_a_line_each(start_server: Callable[..., Server], path: bytes) -> None:
    peer = start_server(api_key="key", insecure_api=False).connect()
    peer.send(post(COMMAND + b"\n" + COMMAND, JSON + b"X-API-Key: key\r\n", path))
    assert peer.response().body == b'{"result":{"channels":{}}}\n{"result":{"channels":{}}}'


def test_second_request_on_a_connection_is_answered(peer: Peer) -> None:
    for _ in range(3):
        peer.send(post())
        assert peer.response().status == 200
    peer.send(NOTHING)
    assert peer.response().status == 404
    assert peer.is_in_step()


def test_request_that_arrives_byte_by_byte_is_answered(peer: Peer) -> None:
    request = post()
    for place in range(len(request)):
        peer.send(request[place : place + 1])
        gevent.sleep(0)
    assert peer.response().status == 200


def test_body_that_arrives_after_its_head_is_read(peer: Peer) -> None:
    head, _, body = post().partition(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n")
    gevent.sleep(0.02)
    peer.send(body)
    assert peer.response().status == 200


@pytest.mark.parametrize("headers", [JSON, FORM])
def test_peer_that_expects_continue_receives_it(peer: Peer, headers: bytes) -> None:
    """curl does this for a large body."""
    head, _, body = post(headers=headers + b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n")
    assert peer.response(head_only=True).status == 100
    peer.send(body)
    assert peer.response().status in (200, 400)
    assert peer.is_in_step()


@pytest.mark.parametrize("path", [b"/", b"/nothing", b"/apis", b"/connections", b"/%00%ff"])
def test_an_unknown_path_gets_a_text_with_the_known_endpoints(peer: Peer, path: bytes) -> None:
    peer.send(NOTHING.replace(b"/nothing", path))
    response = peer.response()
    assert (response.status, response.body) == (
        404,
        b"not found; the endpoints are /connection, /connection/websocket and /api/\n",
    )
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(("path", "status"), [(b"/nothing", 404), (b"/api/", 405), (b"/connection/a/b", 404)])
def test_the_answer_to_head_has_no_body(peer: Peer, path: bytes, status: int) -> None:
    peer.send(b"HEAD " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    response = peer.response(head_only=True)
    assert response.status == status
    assert int(response.headers["content-length"]) > 0
    assert peer.is_in_step()


def test_error_response_to_a_head_request_has_no_body(peer: Peer) -> None:
    peer.send(b"HEAD /api/ HTTP/1.1\r\nno header\r\n\r\n")
    response = peer.response(head_only=True)
    assert response.status == 400
    assert int(response.headers["content-length"]) > 0
    assert peer.has_ended()


def test_head_request_with_a_body_is_refused(peer: Peer) -> None:
    peer.send(post().replace(b"POST", b"HEAD"))
    assert peer.response(head_only=True).status == 400
    assert peer.has_ended()


def test_options_request_returns_allowed_methods(peer: Peer) -> None:
    peer.send(b"OPTIONS /connection/websocket HTTP/1.1\r\n" + HOST + b"\r\n")
    response = peer.response()
    assert (response.status, response.headers["allow"]) == (405, "GET")


def test_prefix_applies_to_every_endpoint(start_server: Callable[..., Server]) -> None:
    peer = start_server(http_prefix="/live").connect()
    peer.send(post() + post(path=b"/live/api/") + HANDSHAKE.replace(b"/connection", b"/live/connection"))
    assert [peer.response().status for _ in range(3)] == [404, 200, 101]


# -- slow peers


@pytest.mark.parametrize("sent", [b"P", b"\r\n", b"POST /api/ HT", post()[:60], NOTHING[:-2]])
def test_an_incomplete_head_ends_with_a_timeout(slow_peer: Peer, sent: bytes) -> None:
    slow_peer.send(sent)
    response = slow_peer.response()
    assert (response.status, response.body) == (408, b"timeout while reading the request\n")
    assert response.headers["connection"] == "close"
    assert slow_peer.has_ended()


@pytest.mark.parametrize("body", [b"", b"{", COMMAND[:-1]])
def test_an_incomplete_body_ends_with_a_timeout(slow_peer: Peer, body: bytes) -> None:
    slow_peer.send(post(body, length=len(COMMAND)))
    assert slow_peer.response().status == 408
    assert slow_peer.has_ended()


@pytest.mark.parametrize("chunks", [b"", b"5", b"5\r\n", b"5\r\nhello", b"5\r\nhello\r\n", b"0\r\n"])
def test_incomplete_chunks_end_with_a_timeout(slow_peer: Peer, chunks: bytes) -> None:
    slow_peer.send(post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + chunks)
    assert slow_peer.response().status == 408
    assert slow_peer.has_ended()


def test_an_incomplete_form_ends_with_a_timeout(slow_peer: Peer) -> None:
    slow_peer.send(post(b"data=", FORM, length=10))
    response = slow_peer.response()
    assert (response.status, response.body) == (408, b"timeout while reading the request\n")
    assert slow_peer.has_ended()


@pytest.mark.parametrize("headers", [JSON, FORM])
def test_slowly_arriving_body_ends_with_a_timeout(slow_peer: Peer, headers: bytes) -> None:
    slow_peer.send(post(b"", headers, length=MAX_BODY))
    sender = gevent.spawn(trickle, slow_peer)
    assert slow_peer.response().status == 408
    assert slow_peer.has_ended()
    sender.kill()


def trickle(peer: Peer) -> None:
    with suppress(OSError):  # the server has ended the connection
        while True:
            peer.send(b" ")
            gevent.sleep(SOON / 50)


def test_request_without_a_signature_is_refused_before_its_body_arrives(start_server: Callable[..., Server]) -> None:
    peer = start_server(insecure_api=False, secret="secret").connect()
    peer.send(post(b"", length=MAX_BODY))
    response = peer.response()
    assert (response.status, response.headers["connection"]) == (400, "close")
    assert b"missing signature" in response.body
    assert peer.has_ended()


@pytest.mark.parametrize("headers", [JSON, FORM, b"Content-Type: text/plain\r\n"])
def test_too_large_request_is_refused_before_its_body_arrives(peer: Peer, headers: bytes) -> None:
    peer.send(post(b"", headers, length=MAX_BODY + 1))
    assert peer.response().status == 413


def test_late_body_data_is_not_read_as_a_request(slow_peer: Peer) -> None:
    slow_peer.send(post(b"", path=b"/nothing", length=len(NOTHING)))
    assert slow_peer.response().status == 404
    gevent.sleep(3 * SOON)
    slow_peer.send(NOTHING)
    assert slow_peer.has_ended()


def test_peer_that_sends_no_request_is_closed(slow_peer: Peer) -> None:
    assert slow_peer.has_ended()


def test_an_idle_peer_stays_connected(start_server: Callable[..., Server]) -> None:
    """The pause between requests may be longer than the timeout of a request."""
    peer = start_server(http_header_timeout=SOON).connect()
    peer.send(post())
    assert peer.response().status == 200
    gevent.sleep(3 * SOON)
    assert peer.is_in_step()


def test_an_idle_peer_is_closed_after_the_keepalive_timeout(start_server: Callable[..., Server]) -> None:
    peer = start_server(http_keepalive_timeout=SOON).connect()
    peer.send(post())
    assert peer.response().status == 200
    assert peer.has_ended()


def test_without_keepalive_the_first_request_still_has_its_time(start_server: Callable[..., Server]) -> None:
    peer = start_server(http_keepalive_timeout=0).connect()
    gevent.sleep(SOON)
    peer.send(post())
    assert peer.response().status == 200
    assert peer.has_ended()


def test_a_peer_that_reads_slowly_gets_the_whole_answer(start_server: Callable[..., Server]) -> None:
    """The remaining time for the request does not limit the response."""
    answer = b"x" * 20_000_000
    server = start_server(http_header_timeout=SOON)
    server.application.add_url_rule("/large", view_func=lambda: answer)
    peer = server.connect()
    request = NOTHING.replace(b"/nothing", b"/large")
    peer.send(request[:-1])
    gevent.sleep(SOON / 5)
    peer.send(request[-1:])
    gevent.sleep(3 * SOON)
    assert len(peer.response().body) == len(answer)


def test_a_peer_that_does_not_read_the_response_is_closed(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "WRITE_TIMEOUT", SOON)
    server = start_server()
    server.application.add_url_rule("/large", view_func=lambda: b"x" * 20_000_000)
    peer = server.connect()
    peer.send(NOTHING.replace(b"/nothing", b"/large"))
    eventually(lambda: server.num_greenlets == 1)
    eventually(lambda: server.num_greenlets == 0)


def test_error_response_reaches_a_peer_that_continues_to_send(peer: Peer) -> None:
    body = b"x" * 5_000_000
    peer.send(post(body))
    assert peer.response().status == 413
    assert peer.has_ended()


def test_a_peer_that_sends_endlessly_is_closed(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linger, "LINGER_TIMEOUT", 0.05)
    server = start_server()
    peer = server.connect()
    peer.send(b"nonsense\r\n\r\n")
    with pytest.raises(ConnectionError):
        while True:
            peer.send(b"x")
            gevent.sleep(0.001)
    assert server.num_greenlets == 0


# -- peers that go


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST",
        post()[:-1],
        post(b"data=", FORM, length=10),
        post(b"", length=10).replace(b"Content-Length: 10", b"Transfer-Encoding: chunked"),
        post(b"", b"", b"/nothing", length=10),
        HANDSHAKE,
        NOTHING * 100,
    ],
)
@pytest.mark.parametrize("leave", ["hangs up", "closes its half"])
def test_a_disconnected_peer_is_released(server: Server, sent: bytes, leave: str) -> None:
    peer = server.connect()
    peer.send(sent)
    eventually(lambda: server.num_greenlets == 1)
    if leave == "hangs up":
        peer.sock.close()
    else:
        peer.sock.shutdown(SHUT_WR)
    eventually(lambda: server.num_greenlets == 0)


# -- WebSockets


@pytest.mark.parametrize(
    "path", [b"/connection/websocket", b"/connection/web%73ocket", b"http://x/connection/websocket?y"]
)
def test_a_websocket_is_opened(server: Server, path: bytes) -> None:
    """Directly, or through the application if the path is not in its usual form."""
    peer = server.connect()
    peer.send(HANDSHAKE.replace(b"/connection/websocket", path))
    assert peer.response().status == 101
    websocket = peer.websocket()
    websocket.send_frame(PING, b"x")
    assert websocket.recv_frame() == Frame(PONG, b"x")
    websocket.send_frame(CLOSE, b"\x03\xe8")
    assert websocket.recv_frame() == Frame(CLOSE, b"\x03\xe8")
    with pytest.raises(Closed):
        websocket.recv_frame()


@pytest.mark.parametrize("path", [b"/connection/websocket", b"/connection/web%73ocket"])
def test_frames_may_come_with_the_handshake(peer: Peer, path: bytes) -> None:
    peer.send(HANDSHAKE.replace(b"/connection/websocket", path) + b"\x89\x80\0\0\0\0" * 2)
    assert peer.response().status == 101
    websocket = peer.websocket()
    assert [websocket.recv_frame() for _ in range(2)] == [Frame(PONG, b"")] * 2


def test_websocket_opens_after_another_request(peer: Peer) -> None:
    peer.send(post() + HANDSHAKE)
    assert [peer.response().status for _ in range(2)] == [200, 101]


@pytest.mark.parametrize("path", [b"/connection/websocket", b"/connection/web%73ocket"])
def test_an_invalid_handshake_is_refused(peer: Peer, path: bytes) -> None:
    peer.send(HANDSHAKE.replace(b"/connection/websocket", path).replace(b"Version: 13", b"Version: 8"))
    response = peer.response()
    assert (response.status, response.headers["sec-websocket-version"]) == (426, "13")
    assert response.body == b"unsupported WebSocket version: expected 13\n"


# -- the end of the server


def test_idle_peers_are_closed_when_the_service_stops(server: Server) -> None:
    assert server.service is not None
    resting, fresh = server.connect(), server.connect()
    resting.send(post())
    assert resting.response().status == 200
    eventually(lambda: len(server.service.idle) == 2 if server.service else None)
    server.service.close_connections()
    assert resting.has_ended()
    assert fresh.has_ended()


def test_a_request_is_refused_when_the_service_stops(server: Server) -> None:
    assert server.service is not None
    server.service.close_connections()
    for request in (post(), NOTHING, HANDSHAKE):
        peer = server.connect()
        peer.send(request)
        response = peer.response()
        assert (response.status, response.body) == (503, b"the server is shutting down\n")
        assert response.headers["retry-after"] == "1"
        assert peer.has_ended()


def test_disconnected_peer_does_not_delay_the_shutdown(server: Server) -> None:
    assert server.service is not None
    peer = server.connect()
    eventually(lambda: server.service and server.service.idle)
    (handler,) = server.service.idle
    peer.sock.close()
    eventually(lambda: server.num_greenlets == 0)
    handler.socket = create_connection(("127.0.0.1", server.http.server_port))  # type: ignore[attr-defined]
    handler.socket.close()  # type: ignore[attr-defined]
    handler.interrupt()


# -- applications that are not ours


def test_application_without_a_service_is_served(start_server: Callable[..., Server]) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode(), b" ", environ["wsgi.input"].read()]

    peer = start_server(application).connect()
    peer.send(post(b"body", path=b"http://x/a%20b?c") + HANDSHAKE)
    assert [peer.response().body for _ in range(2)] == [b"/a b body", b"/connection/websocket "]
    assert peer.is_in_step() is False, "it answers 200 to everything"


def test_failure_of_a_websocket_handler_is_logged_and_closes(
    start_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    """No HTTP response is written into the WebSocket."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["gentrifugo.handler"].upgrade()
        raise RuntimeError("a defect of the application")

    peer = start_server(application).connect()
    peer.send(HANDSHAKE)
    assert peer.response().status == 101
    assert peer.has_ended()
    assert "internal error in a WebSocket handler of the application, closing connection" in caplog.text


def test_failing_application_has_a_response_with_status_500(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("a defect of the application")

    failures: list[object] = []
    monkeypatch.setattr(gevent.get_hub(), "handle_error", lambda *failure: failures.append(failure[2]))
    peer = start_server(application).connect()
    peer.send(NOTHING)
    assert peer.response().status == 500
    assert [str(failure) for failure in failures] == ["a defect of the application"]


def test_unexpected_exception_closes_one_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any, **named: Any) -> None:
        raise ZeroDivisionError

    assert server.service is not None
    with monkeypatch.context() as defect:
        defect.setattr(server.service.http_api, "answer", fail)
        peer = server.connect()
        peer.send(post())
        assert peer.has_ended()
    assert "internal error, closing connection from 127.0.0.1" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert server.connect().is_in_step()


# -- the log


def test_peers_are_logged_only_with_the_option(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for request in (post(), NOTHING, HANDSHAKE, b"nonsense\r\n\r\n", post(b"{"), post(b"x" * 2000)):
            server.connect().send(request)
        eventually(lambda: server.num_greenlets < 6)
    assert [record.getMessage() for record in caplog.records] == []


def test_the_access_log_has_a_line_of_one_format_for_every_request(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "gentrifugo.access"):
        peer = server.connect()
        peer.send(post() + NOTHING + HANDSHAKE.replace(b"13", b"12"))
        sizes = [len(peer.response().body) for _ in range(3)]
        other = server.connect()
        other.send(b"nonsense\r\n\r\n")
        sizes.append(len(other.response().body))
    records = [record for record in caplog.records if record.name == "gentrifugo.access"]
    lines = [re.sub(r"[0-9.]+ ms", "T ms", record.getMessage()) for record in records]
    assert lines == [
        f'127.0.0.1 "POST /api/" 200 {sizes[0]} T ms',
        f'127.0.0.1 "GET /nothing" 404 {sizes[1]} T ms',
        f'127.0.0.1 "GET /connection/websocket" 426 {sizes[2]} T ms: unsupported WebSocket version: expected 13',
        f'127.0.0.1 "- -" 400 {sizes[3]} T ms: malformed request line',
    ]
    for record in records:
        assert {"peer", "method", "target", "status", "size", "took_ms", "request"} <= record.__dict__.keys()


def test_the_access_log_shows_no_secrets(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "gentrifugo.access"):
        peer = server.connect()
        for path in (b"/api/info?api_key=SECRET&a=1", b"/nothing?a=1&api_key=SECRET", b"/nothing?cf_connect=SECRET"):
            method = b"POST" if path.startswith(b"/api") else b"GET"
            body = b"Content-Length: 2\r\n\r\n{}" if method == b"POST" else b"\r\n"
            peer.send(method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + body)
            peer.response()
    text = caplog.text
    assert text.count("api_key=…") == 2
    assert text.count("cf_connect=…") == 1
    assert "SECRET" not in text


def test_the_access_log_has_the_status_and_size_of_responses_of_an_application(
    start_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/websocket":
            environ["gentrifugo.handler"].upgrade()
            return []
        start_response("201 Created", [("X-Name", "value")])
        return [] if environ["PATH_INFO"] == "/empty" else [b"abc", b"defg"]

    server = start_server(application)
    with caplog.at_level(logging.DEBUG, "gentrifugo.access"):
        for path in (b"/full", b"/empty", b"/websocket"):
            peer = server.connect()
            peer.send(HANDSHAKE.replace(b"/connection/websocket", path))
            peer.sock.shutdown(SHUT_WR)
            while peer.sock.recv(65536):
                pass
    lines = [record.getMessage() for record in caplog.records if record.name == "gentrifugo.access"]
    assert [re.sub(r" [0-9.]+ ms$", "", line) for line in lines] == [
        '127.0.0.1 "GET /full" 201 7',
        '127.0.0.1 "GET /empty" 201 0',
        '127.0.0.1 "GET /websocket" 101 0',
    ]


def dual_stack_listener() -> socket:
    """Open a socket for IPv6 and IPv4 on any port; skip the test if the system has no IPv6."""
    if not has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    listener = socket(AF_INET6)
    listener.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
    listener.bind(("::", 0))
    listener.listen()
    return listener


@pytest.mark.parametrize(
    ("path", "headers", "client"),
    [
        (b"/api/", JSON, "127.0.0.1"),
        (b"/nothing", JSON, "127.0.0.1"),
        (b"/api/", JSON + b"X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
        (b"/nothing", JSON + b"X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
    ],
    ids=["direct", "WSGI", "proxy", "proxy and WSGI"],
)
def test_ipv4_client_of_a_dual_stack_socket_is_logged_with_its_ipv4_address(
    start_server: Callable[..., Server], caplog: pytest.LogCaptureFixture, path: bytes, headers: bytes, client: str
) -> None:
    peer = start_server(listener=dual_stack_listener()).connect()
    with caplog.at_level(logging.DEBUG, "gentrifugo.access"):
        peer.send(post(path=path, headers=headers))
        peer.response()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "gentrifugo.access"]
    assert line.startswith(f"{client} ")


def test_application_gets_the_ipv4_address_of_a_client_of_a_dual_stack_socket(
    start_server: Callable[..., Server],
) -> None:
    seen: list[tuple[str, str]] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append((environ["REMOTE_ADDR"], environ[PEER]))
        start_response("204 No Content", [])
        return []

    peer = start_server(application, dual_stack_listener()).connect()
    peer.send(NOTHING)
    assert peer.response().status == 204
    assert seen == [("127.0.0.1", "127.0.0.1")]
