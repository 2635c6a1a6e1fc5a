"""A fake connection to Redis, whose replies the test gives."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import hiredis
from gevent.event import Event

from gentrifugo.engines.redis.connection import ConnectionLost, RedisCommand, RedisConnection
from gentrifugo.engines.redis.settings import ServerAddress


class FakeConnection(RedisConnection):
    """Records written commands in `batches`, one for each call; the test gives the replies."""

    def __init__(self) -> None:
        self.address = ServerAddress("127.0.0.1", 1)
        self.batches: list[list[RedisCommand]] = []
        self._replies: deque[Any] = deque()
        self._arrived = Event()
        self._broken = False

    def answer(self, *replies: Any) -> None:
        """Set the next replies of Redis."""
        self._replies.extend(replies)
        self._arrived.set()

    def break_off(self) -> None:
        """Simulate a lost connection."""
        self._broken = True
        self._arrived.set()

    def send(self, commands: Iterable[RedisCommand]) -> None:
        self.batches.append(list(commands))

    def read(self) -> Any:
        while (reply := self.read_ready()) is False:
            self.feed()
        return reply

    def read_ready(self) -> Any:
        return self._replies.popleft() if self._replies else False

    def feed(self) -> None:
        if self._broken:
            raise ConnectionLost("the test broke it")
        self._arrived.clear()
        self._arrived.wait()

    def expect_answers_within(self, timeout: float) -> None:
        pass

    def shut_down(self) -> None:
        self.break_off()

    def close(self) -> None:
        pass


def error(text: str) -> hiredis.ReplyError:
    """Return an error as Redis reports it."""
    made: hiredis.ReplyError = hiredis.ReplyError(text)
    return made
