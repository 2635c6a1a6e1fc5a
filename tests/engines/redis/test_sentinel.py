"""The address of a master comes from the first Sentinel that knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent.server
import hiredis
import pytest

from gentrifugo.engines.redis.connection import ConnectionLost
from gentrifugo.engines.redis.dialling import dialler
from gentrifugo.engines.redis.sentinel import MasterFinder
from gentrifugo.engines.redis.settings import Sentinels, ServerAddress, ShardSettings, Timeouts
from tests.greenlets import nothing_left_behind
from tests.redis_server import free_port

__all__ = ["nothing_left_behind"]

TIMEOUTS = Timeouts(connect=0.5, read=1, write=1)


class SmallSentinel:
    """Answers on a free port as a Sentinel does, with the address of one master or with nothing."""

    def __init__(self, master: ServerAddress | None) -> None:
        self.master = master
        self.asked = 0
        self._server = gevent.server.StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.address = ServerAddress("127.0.0.1", int(self._server.address[1]))

    def _serve(self, socket: Any, _: object) -> None:
        reader = hiredis.Reader()
        while data := socket.recv(1000):
            reader.feed(data)
            while (command := reader.gets()) is not False:
                socket.sendall(self._reply(command))
        socket.close()

    def _reply(self, command: list[bytes]) -> bytes:
        if command[0] != b"SENTINEL":
            return b"+OK\r\n"
        assert command[1:] == [b"GET-MASTER-ADDR-BY-NAME", b"main"]
        self.asked += 1
        if self.master is None:
            return b"*-1\r\n"
        host, port = self.master.host.encode(), b"%d" % self.master.port
        return b"*2\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(host), host, len(port), port)

    def stop(self) -> None:
        self._server.stop(timeout=0)


@pytest.fixture
def sentinels(nothing_left_behind: None) -> Iterator[list[SmallSentinel]]:
    started = [SmallSentinel(None), SmallSentinel(ServerAddress("127.0.0.1", free_port()))]
    yield started
    for sentinel in started:
        sentinel.stop()


def test_sentinels_are_queried_in_order_beginning_with_the_last_successful_one(sentinels: list[SmallSentinel]) -> None:
    ignorant, knowing = sentinels
    away = ServerAddress("127.0.0.1", free_port())
    finder = MasterFinder(Sentinels("main", (away, ignorant.address, knowing.address)), TIMEOUTS)
    assert finder.master() == finder.master() == knowing.master
    assert (ignorant.asked, knowing.asked) == (1, 2)


def test_error_without_a_master_contains_the_answers_of_all_sentinels(sentinels: list[SmallSentinel]) -> None:
    away, ignorant = ServerAddress("127.0.0.1", free_port()), sentinels[0].address
    with pytest.raises(ConnectionLost) as lost:
        MasterFinder(Sentinels("main", (away, ignorant)), TIMEOUTS).master()
    assert str(lost.value) == (
        f"no Sentinel knows the address of the master main ({away}: cannot connect: Connection refused; "
        f"{ignorant}: unknown master)"
    )


def test_a_master_that_cannot_be_reached_is_named(sentinels: list[SmallSentinel]) -> None:
    knowing = sentinels[1]
    shard = ShardSettings(ServerAddress("", 0), sentinels=Sentinels("main", (knowing.address,)))
    with pytest.raises(ConnectionLost) as lost:
        dialler(shard, TIMEOUTS, "epoch")()
    assert str(lost.value) == f"the master at {knowing.master}: cannot connect: Connection refused"
