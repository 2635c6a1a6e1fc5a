"""Timeouts of one connection: data that has arrived in time is used, even if the process reads it late."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
import gevent.socket
import pytest

from gentrifugo.app.runtime.running_clock import MIN_STANDSTILL, TICK, running_time
from gentrifugo.engines.redis.connection import ConnectionLost, RedisConnection
from gentrifugo.engines.redis.settings import ServerAddress, Timeouts

LIMIT = 0.6
"""Seconds that an answer may take."""


@pytest.fixture
def ends(nothing_left_behind: None) -> Iterator[tuple[RedisConnection, gevent.socket.socket]]:
    """A connection, and the socket at the other end of it."""
    near, far = gevent.socket.socketpair()
    connection = RedisConnection(near, ServerAddress("127.0.0.1", 1), Timeouts(read=LIMIT, write=LIMIT))
    yield connection, far
    connection.close()
    far.close()


def stand_still() -> None:
    time.sleep(LIMIT + TICK + MIN_STANDSTILL)


def test_reply_after_the_timeout_closes_the_connection(
    ends: tuple[RedisConnection, gevent.socket.socket],
) -> None:
    with pytest.raises(ConnectionLost, match=r"read timeout after 0\.6 s"):
        ends[0].read()


def test_reply_that_arrived_during_a_suspension_causes_no_timeout(
    ends: tuple[RedisConnection, gevent.socket.socket],
) -> None:
    connection, far = ends

    def answer_and_stand_still() -> None:
        far.sendall(b"+OK\r\n")
        stand_still()

    gevent.spawn_later(0.05, answer_and_stand_still)
    assert connection.read() == b"OK"


def test_late_wakeup_uses_the_remaining_time(
    ends: tuple[RedisConnection, gevent.socket.socket],
) -> None:
    connection, far = ends
    running_time()
    gevent.sleep(TICK)
    gevent.spawn_later(0.05, stand_still)

    def answer() -> None:
        gevent.sleep(0.1)
        gevent.sleep(0.05)
        far.sendall(b"+OK\r\n")

    answering = gevent.spawn(answer)
    assert connection.read() == b"OK"
    answering.get()


def test_available_replies_are_read_after_the_timeout(
    ends: tuple[RedisConnection, gevent.socket.socket],
) -> None:
    connection, far = ends
    far.sendall(b"+a\r\n+b\r\n")
    assert [connection.read(), connection.read(), connection.read_ready()] == [b"a", b"b", False]
    far.close()
    with pytest.raises(ConnectionLost, match="closed the connection"):
        connection.read()
