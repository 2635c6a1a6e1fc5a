"""The lease on a queue while commands are carried out, with a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent
import pytest

from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import api_queue
from gentrifugo.engines.redis.api_queue import APIQueue
from gentrifugo.engines.redis.keys import Keys
from gentrifugo.engines.redis.scripts import RENEW, TAKE, Script
from gentrifugo.engines.redis.settings import ServerAddress, ShardSettings, Timeouts
from gentrifugo.engines.redis.shard import Shard
from tests.fakes import Bus
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import RedisServer, redis_server
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

LEASE = seconds(1)
QUEUE, TAKEN, LEASE_KEY = "queue", "queue.taken", "queue.lease"

Handle = Callable[[Sequence[bytes]], None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as made:
        yield made


@pytest.fixture
def begin(
    server: RedisServer, nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Handle], APIQueue]]:
    """Begin to read the queue, with a short lease."""
    monkeypatch.setattr(api_queue, "LEASE", LEASE)
    shard = Shard(
        ShardSettings(ServerAddress("127.0.0.1", server.port)), Keys("test"), Timeouts(), carries_control=True
    )
    shard.start(Bus())
    queue = APIQueue(shard.name, QUEUE, "this node", shard.dial, shard.server_return, shard.pipeline)

    def started(handle: Handle) -> APIQueue:
        queue.begin(handle)
        return queue

    yield started
    queue.finish(1)
    shard.stop()


def test_the_lease_is_renewed_while_commands_are_carried_out(
    server: RedisServer, begin: Callable[[Handle], APIQueue], caplog: pytest.LogCaptureFixture
) -> None:
    lefts: list[int] = []

    def handle(entries: Sequence[bytes]) -> None:
        for _ in range(6):
            gevent.sleep(LEASE / 3)
            lefts.append(server.ask("PTTL", LEASE_KEY))

    server.ask("RPUSH", QUEUE, "a")
    begin(handle)
    eventually(lambda: len(lefts) == 6 and not server.ask("EXISTS", QUEUE, TAKEN, LEASE_KEY))
    assert all(0 < left <= 1000 * LEASE for left in lefts)
    assert not caplog.records


def test_commands_whose_lease_went_to_another_node_are_named(
    server: RedisServer, begin: Callable[[Handle], APIQueue], caplog: pytest.LogCaptureFixture
) -> None:
    handled: list[bytes] = []

    def handle(entries: Sequence[bytes]) -> None:
        handled.extend(entries)
        server.ask("SET", LEASE_KEY, "another node")

    server.ask("RPUSH", QUEUE, "a", "b")
    begin(handle)
    eventually(lambda: "lease expired, another node may have repeated 2 commands" in caplog.text)
    assert handled == [b"a", b"b"]


@pytest.mark.parametrize("is_lost", [False, True], ids=["still held", "lost"])
def test_resumed_process_checks_its_lease_before_carrying_out_commands(
    server: RedisServer,
    begin: Callable[[Handle], APIQueue],
    monkeypatch: pytest.MonkeyPatch,
    is_lost: bool,
) -> None:
    plain = APIQueue._ask
    asked: list[Script] = []

    def ask(queue: APIQueue, script: Script, keys: list[str], *arguments: int) -> Any:
        asked.append(script)
        reply = plain(queue, script, keys, *arguments)
        if script is TAKE and reply:
            gevent.sleep(LEASE * 0.6)
            if is_lost and asked.count(TAKE) == 1:
                server.ask("SET", LEASE_KEY, "another node", "PX", "200")
        return reply

    handled: list[bytes] = []
    monkeypatch.setattr(APIQueue, "_ask", ask)
    server.ask("RPUSH", QUEUE, "a")
    begin(handled.extend)
    eventually(lambda: handled == [b"a"])
    assert RENEW in asked
    assert (asked.count(TAKE) > 1) is is_lost


def test_a_lease_that_cannot_be_renewed_is_named(
    server: RedisServer,
    begin: Callable[[Handle], APIQueue],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = APIQueue._ask

    def ask(queue: APIQueue, script: Script, keys: list[str], *arguments: int) -> Any:
        if script is RENEW:
            raise EngineError("no connection")
        return plain(queue, script, keys, *arguments)

    monkeypatch.setattr(APIQueue, "_ask", ask)
    server.ask("RPUSH", QUEUE, "a")
    begin(lambda entries: gevent.sleep(LEASE / 2))
    eventually(lambda: "cannot renew the lease: no connection" in caplog.text)
