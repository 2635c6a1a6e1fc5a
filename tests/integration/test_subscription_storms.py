"""Hundreds of lost connections to Redis during thousands of messages, with a check of each message and subscriber."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.greenlets import eventually
from tests.judgement import Backend, Verdict, judge
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.swarm import Swarm
from tests.waiting import seconds

StartServer = Callable[..., Server]

KILLS = 200
MESSAGES = 5000
PAUSE = 0.1
"""Seconds between two kills, and between two clients that hang up."""
MAX_STORM_DURATION = 60
"""Seconds of one storm, at most."""
CHANNELS = tuple(f"kept:{number}" for number in range(4))
RATE = 200
"""Numbers a second, each in every channel."""
OPTIONS: dict[str, Any] = {
    "redis_read_timeout": 5,
    "namespaces": [{"name": "kept", "history_size": 2000, "history_lifetime": 600, "recover": True}],
}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def nodes(start_server: StartServer, redis: RedisServer) -> list[Server]:
    return [start_server(**OPTIONS, **redis.options) for _ in range(2)]


class Storm:
    """Subscribers of all channels on both nodes: some stay connected, and some reconnect all the time."""

    def __init__(self, nodes: list[Server]) -> None:
        ports = [node.port for node in nodes]
        self.staying = {channel: [Swarm([port], channel, 3) for port in ports] for channel in CHANNELS}
        self.returning = {channel: [Swarm(ports, channel, 4)] for channel in CHANNELS}
        self.kills = 0

    def swarms(self, channel: str) -> list[Swarm]:
        return [*self.staying[channel], *self.returning[channel]]

    def run(self, backend: Backend, kill: Callable[[], int]) -> None:
        """Break connections to Redis, and disconnect clients, until there were enough messages and kills."""
        members = [member for swarms in self.returning.values() for swarm in swarms for member in swarm.members]
        deadline = time.monotonic() + seconds(MAX_STORM_DURATION)
        while self.kills < KILLS or backend.count * len(CHANNELS) < MESSAGES:
            assert time.monotonic() < deadline, f"{self.kills} kills, {backend.count} numbers"
            self.kills += kill()
            random.choice(members).disconnect_abruptly()
            gevent.sleep(PAUSE)

    def has_all(self, backend: Backend) -> bool:
        return all(
            set(accepted) <= set(got)
            for channel, accepted in backend.accepted.items()
            for swarm in self.swarms(channel)
            for got in (member.got for member in swarm.members if not member.incomplete)
        )

    def errors_of(self, backend: Backend, of: dict[str, list[Swarm]]) -> Verdict:
        """Return all errors except losses that were reported to a client as an incomplete recovery."""
        verdicts = [
            judge([] if member.incomplete else backend.accepted[channel], member.got)
            for channel, swarms in of.items()
            for swarm in swarms
            for member in swarm.members
        ]
        return sum(verdicts, Verdict())


def kill(redis: RedisServer, *kinds: str) -> int:
    """Break the connections of some kinds, and return their number."""
    return sum(int(redis.ask("CLIENT", "KILL", "TYPE", kind)) for kind in kinds)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kinds", [("pubsub",), ("pubsub", "normal")], ids=["subscriptions", "everything"])
def test_messages_arrive_once_and_in_order_during_subscription_storms(
    nodes: list[Server], redis: RedisServer, kinds: tuple[str, ...]
) -> None:
    storm = Storm(nodes)
    with ExitStack() as open_swarms, Backend(nodes[0], CHANNELS, RATE) as backend:
        swarms = [open_swarms.enter_context(swarm) for channel in CHANNELS for swarm in storm.swarms(channel)]
        eventually(
            lambda: all(all(swarm.received_messages) for swarm in swarms), within=30, what="everybody has something"
        )
        first = {
            channel: max(got[0] for swarm in storm.swarms(channel) for got in swarm.received_messages)
            for channel in CHANNELS
        }
        storm.run(backend, lambda: kill(redis, *kinds))
        backend.stop()
        for channel, accepted in backend.accepted.items():
            accepted[:] = [number for number in accepted if number >= first[channel]]  # when all were subscribed
        with suppress(AssertionError):  # the verdicts say more
            eventually(lambda: storm.has_all(backend), within=20, what="everything arrives")
        assert storm.errors_of(backend, storm.staying) == Verdict()
        assert storm.errors_of(backend, storm.returning) == Verdict()
        assert [close for channel in CHANNELS for swarm in storm.staying[channel] for close in swarm.closes] == []
        returns = sum(len(member.closes) for swarm in swarms for member in swarm.members)
        assert sum(member.incomplete for swarm in swarms for member in swarm.members) <= returns / 10
    assert sum(map(len, backend.accepted.values())) > MESSAGES / 2
    if kinds == ("pubsub",):
        assert not any(backend.refused.values())
