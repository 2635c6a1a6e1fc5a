"""Behaviour of an outbox: full and dead sockets, the limit, what is counted, draining and closing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Any

import gevent
import pytest
from gevent.socket import wait_read
from hypothesis import given, settings
from hypothesis import strategies as st

from gentrifugo.app.net import flusher as flusher_module
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.outbox import NO_LIMIT, WRITER_CHUNK, Outbox
from tests.fakes import FakeTransport
from tests.greenlets import eventually, settle
from tests.waiting import seconds

LARGE = b"L" * 1_000_000
"""More than the sockets of these tests take at once."""


class Line:
    """An outbox on a real socket with small buffers, and its peer. `overflows` and `errors` record its calls."""

    def __init__(self, flusher: Flusher, limit: int = NO_LIMIT, write_timeout: float = 0) -> None:
        self.socket, self.peer = socket.socketpair()
        for end in (self.socket, self.peer):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            end.setblocking(False)
        self.overflows = 0
        self.errors: list[str] = []
        self.outbox = Outbox(flusher, self.socket, limit, self._overflow, self.errors.append, write_timeout)

    def fill(self) -> None:
        """Queue a frame that does not fit into the socket, and let it be half written."""
        self.outbox.append(LARGE)
        settle()
        assert 0 < self.outbox.size < len(LARGE)

    def read(self, size: int) -> bytes:
        """The next `size` bytes that the peer receives."""
        parts = []
        while size:
            wait_read(self.peer.fileno(), seconds(5))
            parts.append(self.peer.recv(size))
            size -= len(parts[-1])
        return b"".join(parts)

    def is_silent(self) -> bool:
        """Return whether no more data arrives."""
        settle()
        try:
            return not self.peer.recv(1)
        except BlockingIOError:
            return True

    def close(self) -> None:
        self.outbox.close()
        self.socket.close()
        self.peer.close()

    def _overflow(self) -> None:
        self.overflows += 1


@pytest.fixture
def flusher(nothing_left_behind: None, speedups: bool) -> Flusher:
    """A flusher that never rests."""
    return Flusher(0)


@pytest.fixture
def open_line(flusher: Flusher) -> Iterator[Callable[..., Line]]:
    with ExitStack() as lines:
        yield lambda **options: lines.enter_context(line_on(flusher, **options))


@contextmanager
def line_on(flusher: Flusher, **options: Any) -> Iterator[Line]:
    line = Line(flusher, **options)
    try:
        yield line
    finally:
        line.close()


# -- full sockets


def test_a_full_socket_is_written_as_the_peer_reads(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    assert line.read(len(LARGE)) == LARGE
    assert line.outbox.size == 0


def test_full_socket_does_not_delay_others(flusher: Flusher, open_line: Callable[..., Line]) -> None:
    line, transport = open_line(), FakeTransport(flusher)
    line.fill()
    flusher.fan_out([line.outbox, transport.outbox], b"news")
    settle()
    assert transport.socket.sent == [b"news"]
    assert line.read(len(LARGE) + 4).endswith(b"Lnews")


def test_frames_behind_a_full_socket_stay_shared(flusher: Flusher, open_line: Callable[..., Line]) -> None:
    lines = [open_line(), open_line()]
    for line in lines:
        line.fill()
    frame = b"f" * 1000
    flusher.fan_out([line.outbox for line in lines], frame)
    settle()
    assert all(line.outbox.frames[-1] is frame for line in lines)


def test_many_frames_behind_a_full_socket_keep_their_order(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    frames = [b"%d" % number * 1000 for number in range(WRITER_CHUNK // 1000)]
    for frame in frames:
        line.outbox.append(frame)
    expected = LARGE + b"".join(frames)
    assert line.read(len(expected)) == expected
    assert line.is_silent()


def test_a_socket_that_was_full_is_written_with_the_others_again(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    line.read(len(LARGE))
    eventually(lambda: not line.outbox.frames)
    line.outbox.append(b"a")
    assert line.read(1) == b"a"


@settings(max_examples=30)
@given(st.lists(st.integers(1, 300_000), min_size=1, max_size=6), st.lists(st.integers(1, 200_000), max_size=6))
def test_frames_are_written_once_and_in_order(sizes: list[int], reads: list[int]) -> None:
    frames = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    expected = b"".join(frames)
    with line_on(Flusher(0)) as line:
        came = b""
        for number, frame in enumerate(frames):
            line.outbox.append(frame)
            came += line.read(min(reads[number], line.outbox.size)) if number < len(reads) else b""
        came += line.read(len(expected) - len(came))
        assert came == expected
        assert line.is_silent()


# -- counts


def test_bytes_that_wait_are_counted(flusher: Flusher) -> None:
    transport = FakeTransport(flusher)
    transport.outbox.append(b"abc")
    transport.outbox.append(b"de")
    assert transport.outbox.size == 5
    settle()
    assert transport.outbox.size == 0


def test_bytes_that_the_socket_took_do_not_wait_any_more(open_line: Callable[..., Line], flusher: Flusher) -> None:
    line = open_line()
    line.fill()
    assert line.outbox.size == len(LARGE) - flusher.bytes_sent == sum(map(len, line.outbox.frames))


def test_the_flusher_knows_an_outbox_of_a_full_socket_until_it_is_empty(
    flusher: Flusher, open_line: Callable[..., Line]
) -> None:
    line, other = open_line(), open_line()
    line.fill()
    other.outbox.append(b"a")
    settle()
    assert flusher.waiting() == {line.outbox}
    line.read(len(LARGE))
    eventually(lambda: flusher.waiting() == set())


@pytest.mark.parametrize("end", [lambda line: line.outbox.close(), lambda line: line.outbox.fail("broken")])
def test_the_flusher_forgets_a_closed_outbox(
    flusher: Flusher, open_line: Callable[..., Line], end: Callable[[Line], None]
) -> None:
    line = open_line()
    line.fill()
    end(line)
    assert flusher.waiting() == set()


def test_frames_that_waited_behind_a_full_socket_are_counted_when_they_are_sent(
    flusher: Flusher, open_line: Callable[..., Line]
) -> None:
    line = open_line()
    line.fill()
    line.outbox.append(b"a")
    line.outbox.append(b"b")
    assert (flusher.frames_queued, flusher.frames_sent) == (3, 0)
    line.read(len(LARGE) + 2)
    eventually(lambda: not line.outbox.frames)
    assert (flusher.frames_queued, flusher.frames_sent, flusher.bytes_sent) == (3, 3, len(LARGE) + 2)


def test_frames_that_a_dead_socket_refused_are_not_counted_as_sent(flusher: Flusher) -> None:
    transport = FakeTransport(flusher)
    transport.socket.broken = True
    transport.outbox.append(b"a")
    settle()
    assert flusher.frames_sent == 0


# -- the limit


def test_overflow_is_reported_once(open_line: Callable[..., Line]) -> None:
    line = open_line(limit=10)
    line.outbox.append(b"a" * 10)
    assert line.overflows == 0
    for _ in range(3):
        line.outbox.append(b"b")
    assert line.overflows == 1


def test_only_unwritten_bytes_count_for_the_limit(open_line: Callable[..., Line]) -> None:
    line = open_line(limit=10)
    for _ in range(5):
        line.outbox.append(b"a" * 10)
        settle()
    assert line.overflows == 0


def test_outbox_of_a_client_that_does_not_read_overflows(open_line: Callable[..., Line]) -> None:
    line = open_line(limit=len(LARGE))
    line.fill()
    while not line.overflows:
        line.outbox.append(b"a" * 1000)
    assert line.outbox.size > len(LARGE)


def test_dropping_keeps_a_frame_that_is_half_sent(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    line.outbox.append(b"dropped")
    line.outbox.drop_waiting()
    line.outbox.append(b"last")
    assert line.outbox.size == sum(map(len, line.outbox.frames))
    assert line.read(len(LARGE) + 4) == LARGE + b"last"
    assert line.is_silent()


def test_dropping_before_anything_was_written_keeps_one_frame_at_most(open_line: Callable[..., Line]) -> None:
    line = open_line()
    for frame in (b"first", b"dropped", b"dropped"):
        line.outbox.append(frame)
    line.outbox.drop_waiting()
    line.outbox.append(b"last")
    assert line.read(9) == b"firstlast"
    assert line.is_silent()


def test_dropping_when_nothing_waits_does_nothing(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.outbox.drop_waiting()
    line.outbox.append(b"a")
    assert line.read(1) == b"a"


# -- drain


def test_draining_an_empty_outbox_returns_at_once(flusher: Flusher) -> None:
    assert FakeTransport(flusher).outbox.drain(0)


def test_draining_waits_for_the_next_round(nothing_left_behind: None) -> None:
    transport = FakeTransport(Flusher(rest=0.01, rest_factor=inf, cpu_share=lambda: 1))
    transport.outbox.append(b"a")
    settle()
    transport.outbox.append(b"b")
    assert transport.outbox.drain(seconds(5))
    assert transport.socket.sent == [b"a", b"b"]


def test_draining_waits_for_a_full_socket(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    reader = gevent.spawn(line.read, len(LARGE))
    assert line.outbox.drain(seconds(5))
    assert reader.get() == LARGE


def test_draining_ends_at_its_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    assert not line.outbox.drain(0.01)
    assert line.outbox.size > 0


def test_draining_ends_at_its_timeout_if_the_flusher_rests_longer(
    nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "MAX_FEW", 0)
    transport = FakeTransport(Flusher(rest=3600, rest_factor=inf, cpu_share=lambda: 1))
    transport.outbox.append(b"a")
    settle()
    transport.outbox.append(b"b")
    assert not transport.outbox.drain(0.01)


def test_draining_ends_when_the_outbox_is_closed(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    drain = gevent.spawn(line.outbox.drain, seconds(60))
    settle()
    line.outbox.close()
    drain.join(seconds(5))
    assert drain.successful()


# -- the end


def test_closed_outbox_writes_no_data(flusher: Flusher) -> None:
    transport = FakeTransport(flusher)
    transport.outbox.append(b"a")
    transport.outbox.close()
    transport.outbox.append(b"b")
    settle()
    assert transport.socket.sent == []
    assert (transport.outbox.frames, transport.outbox.size) == ([], 0)


def test_closing_ends_the_writer_of_a_full_socket(open_line: Callable[..., Line]) -> None:
    """The fixture checks that no greenlet is left."""
    line = open_line()
    line.fill()
    line.outbox.close()
    line.outbox.close()
    assert (line.outbox.frames, line.outbox.size, line.errors) == ([], 0, [])


def test_a_dead_socket_is_reported_once(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.peer.close()
    for _ in range(3):
        line.outbox.append(b"a")
        settle()
    (error,) = line.errors
    assert "Broken pipe" in error
    assert (line.outbox.frames, line.outbox.size) == ([], 0)


def test_a_socket_that_dies_while_it_is_full_is_reported_once(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    line.peer.close()
    eventually(lambda: line.errors)
    line.outbox.append(b"a")
    settle()
    assert len(line.errors) == 1


def test_peer_that_does_not_read_is_reported_after_the_write_timeout(open_line: Callable[..., Line]) -> None:
    line = open_line(write_timeout=0.02)
    line.fill()
    assert eventually(lambda: line.errors) == ["write timeout: the client read nothing for 0.02 s"]
    assert line.outbox.frames == []


def test_a_peer_that_reads_before_the_write_timeout_is_served(open_line: Callable[..., Line]) -> None:
    line = open_line(write_timeout=seconds(5))
    line.fill()
    assert line.read(len(LARGE)) == LARGE
    assert line.errors == []


# -- sockets that are closed by others


def test_frames_of_a_closed_socket_never_reach_the_next_owner_of_its_descriptor(
    flusher: Flusher, open_line: Callable[..., Line]
) -> None:
    line = open_line()
    line.outbox.append(b"for the first")
    descriptor = line.socket.fileno()
    line.socket.close()
    other, peer = socket.socketpair()
    with other, peer:
        assert descriptor in (other.fileno(), peer.fileno())
        settle()
        for end in (other, peer):
            end.setblocking(False)
            with pytest.raises(BlockingIOError):
                end.recv(1)
    assert line.errors == ["[Errno 9] Bad file descriptor"]


def test_frame_for_a_full_socket_waits_without_the_c_module(open_line: Callable[..., Line]) -> None:
    line = open_line()
    line.fill()
    rest = line.outbox.size
    line.outbox.write(b"".join(line.outbox.frames))
    assert line.outbox.size == rest, "the socket takes nothing"
    assert line.read(len(LARGE)) == LARGE
