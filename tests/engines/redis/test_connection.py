"""A connection to Redis ends with a reason if the server is silent, closes it, or uses another protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gevent.socket import SHUT_RDWR, socket, socketpair

from gentrifugo.engines.redis.connection import ConnectionLost, RedisConnection
from gentrifugo.engines.redis.settings import ServerAddress, Timeouts
from tests.greenlets import nothing_left_behind

__all__ = ["nothing_left_behind"]


@pytest.fixture
def peer(nothing_left_behind: None) -> Iterator[tuple[RedisConnection, socket]]:
    ours, peer = socketpair()
    connection = RedisConnection(ours, ServerAddress("127.0.0.1", 1), Timeouts(connect=1, read=0.05, write=0.05))
    yield connection, peer
    connection.close()
    peer.close()


def test_replies_come_in_the_order_of_their_commands(peer: tuple[RedisConnection, socket]) -> None:
    connection, redis = peer
    redis.sendall(b":1\r\n$2\r\nok\r\n")
    assert connection.ask([("GET", "a"), ("GET", "b")]) == [1, b"ok"]
    assert redis.recv(100) == b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"


def test_reply_timeout_closes_the_connection(peer: tuple[RedisConnection, socket]) -> None:
    with pytest.raises(ConnectionLost, match="read timeout"):
        peer[0].ask([("PING",)])


def test_write_timeout_closes_the_connection(peer: tuple[RedisConnection, socket]) -> None:
    with pytest.raises(ConnectionLost, match="write timeout"):
        peer[0].send([("SET", "a", b"x" * 10_000_000)])


def test_closed_connection_fails_readers_and_writers(peer: tuple[RedisConnection, socket]) -> None:
    connection, redis = peer
    redis.shutdown(SHUT_RDWR)
    with pytest.raises(ConnectionLost, match="the server closed the connection"):
        connection.read()
    with pytest.raises(ConnectionLost, match="Broken pipe"):
        connection.send([("PING",)])


def test_a_connection_that_is_shut_down_ends_for_its_reader(peer: tuple[RedisConnection, socket]) -> None:
    peer[0].shut_down()
    with pytest.raises(ConnectionLost):
        peer[0].read()


@pytest.mark.parametrize("is_ready", [False, True], ids=["waiting", "ready"])
def test_invalid_protocol_closes_the_connection(peer: tuple[RedisConnection, socket], is_ready: bool) -> None:
    connection, other = peer
    other.sendall(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(ConnectionLost):
        if is_ready:
            connection.feed()
            connection.read_ready()
        else:
            connection.read()
