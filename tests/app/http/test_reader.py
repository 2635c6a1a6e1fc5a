"""The request reader returns complete heads and whole bodies, and every wait has a timeout."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

import gevent
import pytest
from gevent.socket import SHUT_WR, socket, socketpair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gentrifugo.app.http.chunked import ChunkedBody
from gentrifugo.app.http.head import MAX_HEAD_SIZE, HTTPError
from gentrifugo.app.http.reader import RequestReader
from gentrifugo.app.net.direct_socket import RECV_SIZE, DirectSocket
from gentrifugo.app.runtime.running_clock import MIN_STANDSTILL, TICK, running_time
from tests.waiting import seconds

HEAD = b"GET / HTTP/1.1\r\nHost: localhost"
REQUEST = HEAD + b"\r\n\r\n"
SOON = 0.1
"""Seconds that the readers of these tests wait."""
PAUSE = 0.001
"""Seconds between two pieces."""
LONG = seconds(10)
"""Seconds that no test waits."""


class Line:
    """A reader on one end of a socket pair, and the peer on the other."""

    def __init__(self, timeout: float = LONG) -> None:
        self.peer: socket
        self.socket, self.peer = socketpair()
        self.reader = RequestReader(DirectSocket(self.socket), timeout)
        self.senders: list[gevent.Greenlet[..., None]] = []

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)

    def send_in_pieces(self, pieces: Iterable[bytes], end: bool = False) -> None:
        """Let the peer send the pieces with pauses between them, and then close its end if `end` is true."""
        self.senders.append(gevent.spawn(self._send_in_pieces, pieces, end))

    def _send_in_pieces(self, pieces: Iterable[bytes], end: bool) -> None:
        for piece in pieces:
            gevent.sleep(PAUSE)
            self.peer.sendall(piece)
        if end:
            self.peer.shutdown(SHUT_WR)

    def close(self) -> None:
        gevent.killall(self.senders)
        self.socket.close()
        self.peer.close()


@pytest.fixture
def open_line(nothing_left_behind: None) -> Iterator[Callable[..., Line]]:
    lines: list[Line] = []

    def opened(timeout: float = LONG) -> Line:
        lines.append(Line(timeout))
        return lines[-1]

    yield opened
    for line in lines:
        line.close()


@pytest.fixture
def line(open_line: Callable[..., Line]) -> Line:
    return open_line()


# -- heads


def test_head_is_returned_without_the_empty_line(line: Line) -> None:
    line.send(REQUEST)
    assert line.reader.read_head(LONG) == HEAD


def test_a_head_is_read_byte_by_byte(line: Line) -> None:
    line.send_in_pieces(bytewise(REQUEST))
    assert line.reader.read_head(LONG) == HEAD


def test_other_connections_run_before_a_head_that_has_arrived(line: Line) -> None:
    ran: list[bool] = []
    gevent.get_hub().loop.run_callback(ran.append, True)
    line.send(REQUEST)
    assert line.reader.read_head(LONG) == HEAD
    assert ran


def test_heads_received_together_are_read_one_by_one(line: Line) -> None:
    line.send(REQUEST + REQUEST.replace(b"/ ", b"/2 "))
    assert line.reader.read_head(LONG) == HEAD
    assert line.reader.read_head(LONG) == HEAD.replace(b"/ ", b"/2 ")


@pytest.mark.parametrize("pieces", [[b"\r\n" * 3 + REQUEST], [b"\r\n", b"\r", b"\n\r", b"\n" + REQUEST]])
def test_empty_lines_before_a_head_are_ignored(line: Line, pieces: list[bytes]) -> None:
    line.send_in_pieces(pieces)
    assert line.reader.read_head(LONG) == HEAD


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET", HEAD, HEAD + b"\r\n\r"])
def test_incomplete_head_before_the_end_is_an_error(line: Line, sent: bytes) -> None:
    line.send(sent)
    line.peer.shutdown(SHUT_WR)
    assert line.reader.read_head(LONG) is None


def test_idle_timeout_returns_no_head(line: Line) -> None:
    assert line.reader.read_head(SOON) is None


@pytest.mark.parametrize("sent", [b"G", b"\r\n", HEAD, HEAD + b"\r\n"])
def test_an_incomplete_head_ends_with_a_timeout(open_line: Callable[..., Line], sent: bytes) -> None:
    line = open_line(SOON)
    line.send(sent)
    with pytest.raises(TimeoutError):
        line.reader.read_head(LONG)


def test_endlessly_slow_head_ends_with_a_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line(SOON)
    line.send_in_pieces(repeat(b"x"))
    with pytest.raises(TimeoutError):
        line.reader.read_head(LONG)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"GET / HTTP/1.1\n"],
        [b"GET / HTTP/1.1\r\nHost: a\n\r\n"],
        [b"\n"],
        [b"\r\r\n", b"\n"],
        [b"GET / HTTP/1.1", b"\n"],
        [b"GET / HTTP/1.1\r", b"\r", b"\n\n"],
    ],
)
def test_a_bare_line_feed_is_refused_at_once(line: Line, pieces: list[bytes]) -> None:
    line.send_in_pieces(pieces)
    with pytest.raises(HTTPError, match="a line of the head does not end with CR LF") as caught:
        line.reader.read_head(LONG)
    assert caught.value.status == 400


def test_bare_line_feed_after_the_head_is_not_refused(line: Line) -> None:
    line.send(REQUEST + b"\n\n")
    assert line.reader.read_head(LONG) == HEAD
    assert line.reader.take_rest() == b"\n\n"


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_too_large_head_is_refused(line: Line, end: bytes) -> None:
    line.send_in_pieces([b"x" * (MAX_HEAD_SIZE + 1) + end])
    with pytest.raises(HTTPError, match=f"larger than {MAX_HEAD_SIZE} bytes") as caught:
        line.reader.read_head(LONG)
    assert caught.value.status == 431


def test_head_of_the_maximum_size_is_accepted(line: Line) -> None:
    head = b"x" * MAX_HEAD_SIZE
    line.send_in_pieces([head + b"\r\n\r\n" + b"y" * RECV_SIZE])
    assert line.reader.read_head(LONG) == head


def test_a_head_that_was_put_back_is_read_again(line: Line) -> None:
    line.send(REQUEST + b"body")
    head = line.reader.read_head(LONG)
    assert head is not None
    line.reader.unread_head(head)
    assert line.reader.readline() == b"GET / HTTP/1.1\r\n"
    assert line.reader.readline() == b"Host: localhost\r\n"
    assert line.reader.readline() == b"\r\n"
    assert line.reader.take_rest() == b"body"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"GET", b": x"]), max_size=8))
def test_parsing_does_not_depend_on_packet_boundaries(open_line: Callable[..., Line], parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert read_in_pieces(open_line(), [data]) == read_in_pieces(open_line(), bytewise(data))


def bytewise(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def read_in_pieces(line: Line, pieces: list[bytes]) -> bytes | str | None:
    """The head, or the error."""
    line.send_in_pieces(pieces, end=True)
    try:
        return line.reader.read_head(LONG)
    except HTTPError as error:
        return error.reason


# -- bodies


def test_exact_body_is_read(line: Line) -> None:
    line.send_in_pieces([b"0123", b"45", b"6789next"])
    assert line.reader.read_body(10) == b"0123456789"
    assert line.reader.take_rest() == b"next"


def test_large_body_is_read_completely(line: Line) -> None:
    body = bytes(range(256)) * 4096
    line.send_in_pieces([body])
    assert line.reader.read_body(len(body)) == body


def test_request_without_body_has_no_data_to_read(line: Line) -> None:
    assert line.reader.read_body(0) == b""


def test_incomplete_body_is_an_error(line: Line) -> None:
    line.send(b"half")
    line.peer.shutdown(SHUT_WR)
    with pytest.raises(EOFError, match="in the middle of its body"):
        line.reader.read_body(8)


def test_missing_body_ends_with_a_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line(SOON)
    line.send(b"half")
    with pytest.raises(TimeoutError):
        line.reader.read_body(8)


def test_endlessly_slow_body_ends_with_a_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line(SOON)
    line.send_in_pieces(repeat(b"x"))
    with pytest.raises(TimeoutError):
        line.reader.read_body(10 << 20)


def test_body_has_one_time_allowance_for_all_reads(open_line: Callable[..., Line]) -> None:
    line = open_line(SOON)
    line.send_in_pieces(repeat(b"x"))
    with pytest.raises(TimeoutError):
        while True:
            line.reader.read_body(1)


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"", b"1\r\nx\r\n"),  # small chunks
        (b"1;", b"x"),  # the extension of a chunk
        (b"0\r\n", b"X: y\r\n"),  # trailers
        (b"ffffff\r\n", b"x"),  # a chunk
    ],
)
def test_a_body_in_chunks_has_one_allowance(open_line: Callable[..., Line], begin: bytes, piece: bytes) -> None:
    line = open_line(SOON)
    line.send(begin)
    line.send_in_pieces(repeat(piece))
    with pytest.raises(TimeoutError):
        ChunkedBody(line.reader).read(10 << 20)


def test_the_next_body_has_an_allowance_of_its_own(open_line: Callable[..., Line]) -> None:
    line = open_line(SOON)
    line.send(REQUEST)
    line.reader.read_head(LONG)
    with pytest.raises(TimeoutError):
        line.reader.read_body(1)
    line.send(REQUEST)
    line.reader.read_head(LONG)
    line.send_in_pieces([b"x"])
    assert line.reader.read_body(1) == b"x"


# -- what pywsgi needs of a file


@pytest.mark.parametrize(
    ("sent", "limit", "expected"),
    [
        (b"a\nb", -1, b"a\n"),
        (b"a\nb", 2, b"a\n"),
        (b"a\nb", 1, b"a"),
        (b"abc", 2, b"ab"),
        (b"abc", -1, b"abc"),
        (b"abc", 10, b"abc"),
        (b"", 10, b""),
        (b"\n", 10, b"\n"),
    ],
)
def test_lines_of_a_body_are_read(line: Line, sent: bytes, limit: int, expected: bytes) -> None:
    line.send(sent)
    line.peer.shutdown(SHUT_WR)
    assert line.reader.readline(limit) == expected
    assert line.reader.take_rest() == sent.removeprefix(expected)


def test_line_in_pieces_is_read(line: Line) -> None:
    line.send_in_pieces([b"a", b"b", b"\nc"])
    assert line.reader.readline(100) == b"ab\n"


def test_read_returns_less_only_at_the_end(line: Line) -> None:
    line.send(b"abc")
    line.peer.shutdown(SHUT_WR)
    assert (line.reader.read(2), line.reader.read(2), line.reader.read(2)) == (b"ab", b"c", b"")


def test_no_request_can_follow_after_close(line: Line) -> None:
    assert not line.reader.closed
    line.reader.close()
    assert line.reader.closed


def test_request_timeout_does_not_count_a_suspension(open_line: Callable[..., Line]) -> None:
    line = open_line(0.5)
    running_time()
    gevent.sleep(TICK)
    line.send(HEAD)

    def send_the_rest() -> None:
        time.sleep(0.6 + TICK + MIN_STANDSTILL)  # longer than the head may take
        gevent.sleep(PAUSE)
        line.send(b"\r\n\r\n")

    line.senders.append(gevent.spawn(send_the_rest))
    assert line.reader.read_head(LONG) == HEAD
