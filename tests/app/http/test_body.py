"""Behaviour of reading a request body: its limits, and the response "100 Continue"."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from gevent.socket import SHUT_WR, socketpair

from gentrifugo.app.http.body import read_body, too_large_error
from gentrifugo.app.http.chunked import BadBody
from gentrifugo.app.http.head import Head, HTTPError
from gentrifugo.app.http.reader import RequestReader
from gentrifugo.app.net.direct_socket import DirectSocket
from tests.waiting import seconds

MAX_SIZE = 10
CHUNKED = {"transfer-encoding": "chunked"}


class Request:
    """A request whose body arrives over a socket; `sent` contains the data that is sent to the peer."""

    def __init__(self, timeout: float = seconds(10)) -> None:
        self.server_end, self.peer = socketpair()
        self.reader = RequestReader(DirectSocket(self.server_end), timeout)
        self.sent: list[bytes] = []

    def read(self, body: bytes, headers: dict[str, str], version: str = "HTTP/1.1") -> bytes:
        self.peer.sendall(body)
        return read_body(Head("POST", "/", version, headers), self.reader, self.sent.append, MAX_SIZE)

    def close(self) -> None:
        self.server_end.close()
        self.peer.close()


@pytest.fixture
def open_request(nothing_left_behind: None) -> Iterator[Callable[..., Request]]:
    requests: list[Request] = []

    def start(timeout: float = seconds(10)) -> Request:
        requests.append(Request(timeout))
        return requests[-1]

    yield start
    for request in requests:
        request.close()


@pytest.fixture
def request_(open_request: Callable[..., Request]) -> Request:
    return open_request()


def test_body_of_known_length_is_read_exactly(request_: Request) -> None:
    assert request_.read(b"0123456789next", {"content-length": "10"}) == b"0123456789"
    assert request_.reader.peek() == b"next"
    assert request_.sent == []


def test_a_body_in_chunks_is_read_to_its_end(request_: Request) -> None:
    assert request_.read(b"3\r\nabc\r\n7\r\n0123456\r\n0\r\n\r\nnext", CHUNKED) == b"abc0123456"
    assert request_.reader.peek() == b"next"


@pytest.mark.parametrize(
    ("body", "headers"), [(b"", {"content-length": "11"}), (b"b\r\n01234567890\r\n0\r\n\r\n", CHUNKED)]
)
def test_a_larger_body_is_refused(request_: Request, body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(HTTPError) as refused:
        request_.read(body, headers)
    assert (refused.value.status, refused.value.reason) == (413, "the request is larger than 10 bytes")


def test_the_headers_of_a_refusal_can_be_chosen() -> None:
    assert too_large_error(10).headers == {}
    assert too_large_error(10, {"Connection": "close"}).headers == {"Connection": "close"}


@pytest.mark.parametrize(("version", "sent"), [("HTTP/1.1", [b"HTTP/1.1 100 Continue\r\n\r\n"]), ("HTTP/1.0", [])])
def test_waiting_peer_gets_100_continue(request_: Request, version: str, sent: list[bytes]) -> None:
    assert request_.read(b"a", {"content-length": "1", "expect": "100-continue"}, version) == b"a"
    assert request_.sent == sent


def test_peer_with_too_large_body_gets_no_100_continue(request_: Request) -> None:
    with pytest.raises(HTTPError):
        request_.read(b"", {"content-length": "11", "expect": "100-continue"})
    assert request_.sent == []


def test_a_malformed_chunk_is_refused(request_: Request) -> None:
    with pytest.raises(BadBody):
        request_.read(b"x\r\n", CHUNKED)


def test_truncated_body_is_an_error(request_: Request) -> None:
    request_.peer.sendall(b"abc")
    request_.peer.shutdown(SHUT_WR)
    with pytest.raises(EOFError):
        read_body(Head("POST", "/", "HTTP/1.1", {"content-length": "4"}), request_.reader, print, MAX_SIZE)


def test_slow_body_is_a_timeout(open_request: Callable[..., Request]) -> None:
    with pytest.raises(TimeoutError):
        open_request(timeout=0.05).read(b"abc", {"content-length": "4"})
