"""Behaviour of bodies in chunks: their content, and that ambiguous input is refused."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.http.chunked import MAX_LINE, BadBody, ChunkedBody
from gentrifugo.app.http.head import MAX_HEAD_SIZE

HELLO = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"


class File(BytesIO):
    """A file with received data, with the methods of a RequestReader that ChunkedBody uses."""

    def read_framing_line(self, limit: int) -> bytes:
        return self.readline(limit)


def body(data: bytes) -> ChunkedBody:
    return ChunkedBody(File(data))


def bad(data: bytes) -> str:
    """Return the error for a body."""
    with pytest.raises(BadBody) as caught:
        body(data).read()
    return str(caught.value)


def test_chunks_of_a_body_are_joined() -> None:
    assert body(HELLO).read() == b"hello world"


def test_data_after_the_body_is_not_read() -> None:
    stream = File(HELLO + b"GET / HTTP/1.1")
    assert ChunkedBody(stream).read() == b"hello world"
    assert stream.read() == b"GET / HTTP/1.1"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 100])
def test_chunked_body_is_read_in_parts_of_any_size(size: int) -> None:
    chunked = body(HELLO)
    parts = list(iter(lambda: chunked.read(size), b""))
    assert b"".join(parts) == b"hello world"
    assert all(len(part) == size for part in parts[:-1])


def test_chunked_body_is_read_in_lines() -> None:
    chunked = body(b"3\r\na\nb\r\n4\r\nc\n\nd\r\n0\r\n\r\n")
    assert list(chunked) == [b"a\n", b"bc\n", b"\n", b"d"]


def test_lines_are_cut_at_a_limit() -> None:
    chunked = body(b"3\r\nabc\r\n3\r\nd\ne\r\n0\r\n\r\n")
    assert [chunked.readline(2) for _ in range(4)] == [b"ab", b"cd", b"\n", b"e"]


def test_chunked_body_ends_with_the_last_chunk() -> None:
    chunked = body(HELLO)
    assert chunked.read(11) == b"hello world"
    assert not chunked.ended
    assert chunked.read(1) == b""
    assert chunked.ended
    assert chunked.read() == b""


def test_empty_chunked_body_is_read() -> None:
    assert body(b"0\r\n\r\n").read() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"5;x\r\nhello\r\n0\r\n\r\n",
        b"5 ; x=y\r\nhello\r\n0;z\r\n\r\n",
        b'5;x="a b"\r\nhello\r\n0\r\n\r\n',
        b"0005\r\nhello\r\n000\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Trailer: y\r\nZ:\r\n\r\n",
    ],
)
def test_extensions_and_trailers_are_ignored(data: bytes) -> None:
    assert body(data).read() == b"hello"


def test_sizes_of_chunks_are_hexadecimal() -> None:
    assert body(b"aA\r\n" + b"x" * 170 + b"\r\n0\r\n\r\n").read() == b"x" * 170


@pytest.mark.parametrize(
    "line",
    [b"", b"x", b"-1", b"+5", b"0x5", b"5 5", b" 5", b"5,", b";x", b"5;x\ry", b"5;\x00", b"\xb2", b"5_0", b"1" * 16],
)
def test_malformed_size_of_a_chunk_is_refused(line: bytes) -> None:
    assert bad(line + b"\r\nhello\r\n0\r\n\r\n") == "a chunk of the request body has an invalid size"


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5;\n\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\n\r\n",
        b"5\r\nhello\r\n0\r\n\n",
        b"5;" + b"x" * MAX_LINE + b"\r\nhello\r\n0\r\n\r\n",
        b"5",
        b"5\r",
        b"",
    ],
)
def test_line_without_crlf_is_refused(data: bytes) -> None:
    assert bad(data) == "a line between chunks does not end with CR LF, or is too long"


@pytest.mark.parametrize("after", [b"", b"\n", b"\r", b"\rx", b"xx", b"\n\r"])
def test_chunk_without_crlf_is_refused(after: bytes) -> None:
    assert bad(b"5\r\nhello" + after + b"0\r\n\r\n") == "a chunk of the request body is longer than its size"


@pytest.mark.parametrize("data", [b"5\r\n", b"5\r\nhell", b"5\r\nhello\r\nff\r\nx"])
def test_incomplete_chunk_is_an_error(data: bytes) -> None:
    assert bad(data) == "the request ended in the middle of a chunk"


@pytest.mark.parametrize("line", [b"X", b"X : y", b" X: y", b": y", b"X: \x00", b"X\xe9: y", b"GET / HTTP/1.1"])
def test_malformed_trailers_are_refused(line: bytes) -> None:
    assert bad(b"0\r\n" + line + b"\r\n\r\n") == "a trailer after the request body is malformed"


def test_endless_trailers_are_refused() -> None:
    line = b"X: " + b"y" * 1000 + b"\r\n"
    assert bad(b"0\r\n" + line * (MAX_HEAD_SIZE // 1000 + 1)) == "a trailer after the request body is malformed"


class Socket:
    """A socket that records the sent data."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)


def test_waiting_peer_gets_100_continue_once() -> None:
    socket: Any = Socket()
    chunked = ChunkedBody(File(HELLO), socket)
    assert socket.sent == []
    chunked.read(3)
    chunked.read()
    assert socket.sent == [b"HTTP/1.1 100 Continue\r\n\r\n"]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.integers(1, 60))
def test_any_chunking_is_decoded(chunks: list[bytes], size: int) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    chunked = body(data + b"0\r\n\r\n")
    assert b"".join(iter(lambda: chunked.read(size), b"")) == b"".join(chunks)
    assert chunked.ended


@given(st.lists(st.sampled_from([b"5", b"0", b"\r\n", b"\n", b"\r", b"hello", b";x", b"X: y"]), max_size=12))
def test_arbitrary_bytes_are_a_valid_body_or_are_refused(parts: list[bytes]) -> None:
    chunked = body(b"".join(parts))
    try:
        chunked.read()
    except BadBody:
        assert not chunked.ended
    else:
        assert chunked.ended
