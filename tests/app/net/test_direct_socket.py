"""Behaviour of a socket that is read and written directly: every wait ends, and no other greenlet is blocked."""

from __future__ import annotations

import socket as blocking
import time
from collections.abc import Iterator
from errno import ETIMEDOUT

import gevent
import pytest
from gevent.socket import SHUT_RDWR, SHUT_WR, socket, socketpair

from gentrifugo.app.net.direct_socket import DirectSocket
from tests.greenlets import settle
from tests.waiting import seconds

SOON = 0.02
"""Seconds that these tests wait for nothing."""
LARGE = b"L" * 3_000_000
"""More than a socket takes at once."""


@pytest.fixture
def pair(nothing_left_behind: None) -> Iterator[tuple[socket, socket]]:
    ours, peer = socketpair()
    yield ours, peer
    ours.close()
    peer.close()


def error_of_reading(ours: socket) -> OSError | None:
    try:
        DirectSocket(ours).recv(100)
    except OSError as error:
        return error
    return None


def test_recv_returns_available_data(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    peer.sendall(b"hello")
    direct = DirectSocket(ours)
    assert (direct.recv(3), direct.recv(100)) == (b"hel", b"lo")


def test_recv_waits_for_data(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    reading = gevent.spawn(DirectSocket(ours).recv, 100)
    settle()
    assert not reading.dead
    peer.sendall(b"late")
    assert reading.get(timeout=seconds(5)) == b"late"


def test_recv_returns_nothing_at_end_of_file(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    peer.shutdown(SHUT_WR)
    assert DirectSocket(ours).recv(100) == b""


def test_other_greenlets_run_before_recv_returns_available_data(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    peer.sendall(b"ab")
    direct = DirectSocket(ours)
    others: list[int] = []
    for size in (1, 1):
        gevent.spawn(others.append, size)
        direct.recv(size)
    assert others == [1, 1]


def test_recv_within_ends_with_a_timeout(pair: tuple[socket, socket]) -> None:
    ours, _ = pair
    with pytest.raises(TimeoutError):
        DirectSocket(ours).recv_within(100, SOON)


@pytest.mark.parametrize("left", [0, -1])
def test_recv_within_no_time_ends_with_a_timeout(pair: tuple[socket, socket], left: float) -> None:
    ours, _ = pair
    with pytest.raises(TimeoutError):
        DirectSocket(ours).recv_within(100, left)


def test_data_that_arrived_in_time_is_read_after_a_late_wakeup(pair: tuple[socket, socket]) -> None:
    """An overloaded server must not close connections because of its own delay."""
    ours, peer = pair
    reading = gevent.spawn(DirectSocket(ours).recv_within, 100, SOON)
    settle()
    peer.sendall(b"in time")
    blocked_until = time.monotonic() + 3 * SOON
    while time.monotonic() < blocked_until:
        pass  # and nobody else gets a turn
    assert reading.get(timeout=seconds(5)) == b"in time"


def test_the_time_of_one_wait_does_not_end_a_later_one(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    direct, long_enough = DirectSocket(ours), 10 * SOON  # for what has come, on a machine that is busy
    peer.sendall(b"a")
    assert direct.recv_within(100, long_enough) == b"a"
    gevent.spawn_later(2 * long_enough, peer.sendall, b"b")
    assert direct.recv(100) == b"b"


def test_a_wait_ends_with_an_error_when_the_socket_is_closed_here(pair: tuple[socket, socket]) -> None:
    ours, _ = pair
    reading = gevent.spawn(error_of_reading, ours)
    settle()
    ours.close()
    assert reading.get(timeout=seconds(5)) is not None


def test_a_wait_ends_with_an_error_when_the_socket_is_shut_down_here(pair: tuple[socket, socket]) -> None:
    ours, _ = pair
    reading = gevent.spawn(error_of_reading, ours)
    settle()
    ours.shutdown(SHUT_RDWR)
    assert reading.get(timeout=seconds(5)) is not None


def test_a_closed_socket_is_an_error(pair: tuple[socket, socket]) -> None:
    ours, _ = pair
    direct = DirectSocket(ours)
    ours.close()
    with pytest.raises(OSError):
        direct.recv(100)
    with pytest.raises(OSError):
        direct.sendall(b"a")


def test_sendall_sends_more_than_the_socket_takes_at_once(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    sending = gevent.spawn(DirectSocket(ours).sendall, LARGE)
    received = b""
    while len(received) < len(LARGE):
        received += peer.recv(1 << 16)
    sending.get(timeout=seconds(5))
    assert received == LARGE


def test_sendall_to_a_peer_that_reads_nothing_ends_with_the_sockets_timeout(pair: tuple[socket, socket]) -> None:
    ours, _ = pair
    ours.settimeout(SOON)
    with pytest.raises(blocking.timeout):
        DirectSocket(ours).sendall(LARGE)


class Raw:
    """The non-blocking socket below gevent's, whose first `recv` raises an error."""

    def __init__(self, socket: socket, error: OSError) -> None:
        self._below = DirectSocket(socket).raw
        self._errors = [error]

    def recv(self, size: int) -> bytes:
        if self._errors:
            raise self._errors.pop()
        data: bytes = self._below.recv(size)
        return data


def test_recv_waits_again_after_a_spurious_readiness(pair: tuple[socket, socket]) -> None:
    ours, peer = pair
    peer.sendall(b"hello")
    assert DirectSocket(ours, Raw(ours, BlockingIOError())).recv(100) == b"hello"


def test_etimedout_of_the_kernel_is_not_a_read_timeout(
    pair: tuple[socket, socket],
) -> None:
    ours, peer = pair
    peer.sendall(b"hello")
    given_up = TimeoutError(ETIMEDOUT, "Connection timed out")
    with pytest.raises(TimeoutError) as caught:
        DirectSocket(ours, Raw(ours, given_up)).recv_within(100, seconds(5))
    assert caught.value is given_up
