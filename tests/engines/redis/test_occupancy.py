"""Changes of occupancy are finally reported, even if nodes and servers fail in the meantime."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import occupancy
from gentrifugo.engines.redis.connection import ConnectionLost, RedisConnection
from gentrifugo.engines.redis.keys import Keys
from gentrifugo.engines.redis.occupancy import ShardOccupancy
from gentrifugo.engines.redis.settings import RedisSettings, Sentinels, ServerAddress, ShardSettings
from gentrifugo.engines.redis.shard import Shard
from tests.engines.contract import LONG, Listener
from tests.engines.redis.test_engine import RedisLab
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import RedisServer, Sentinel, redis_server, stop

__all__ = ["nothing_left_behind"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    directory = tmp_path_factory.mktemp("redis")
    with redis_server(directory) as first, redis_server(directory) as second:
        yield [first, second]


@pytest.fixture
def server(servers: list[RedisServer]) -> Iterator[RedisServer]:
    """The server of the first shard. It is restored after the test."""
    yield servers[0]
    servers[0].thaw()
    servers[0].ask("CONFIG", "SET", "min-replicas-to-write", "0")


@pytest.fixture
def lab(servers: list[RedisServer], monkeypatch: pytest.MonkeyPatch, nothing_left_behind: None) -> Iterator[RedisLab]:
    made = RedisLab(servers[:1])
    made.hurry(monkeypatch)
    yield made
    made.close()


def shard_of(listener: Listener) -> Shard:
    (shard,) = listener.engine._shards  # type: ignore[attr-defined]
    assert isinstance(shard, Shard)
    return shard


def occupancy_of(listener: Listener) -> ShardOccupancy:
    found = shard_of(listener)._occupancy
    assert found is not None
    return found


def occupied(lab: RedisLab, channel: str = "news", longest: float = 1) -> Listener:
    """A node with a subscriber in a channel, for which occupancy was reported."""
    node = lab.listen(longest)
    node.engine.subscribe(channel)
    eventually(lambda: node.occupancy == [(channel, True)])
    return node


def leave(node: Listener, channel: str = "news") -> None:
    """Unsubscribe the last subscriber, even if Redis is unavailable."""
    with suppress(EngineError):
        node.engine.unsubscribe(channel)


def check_report(node: Listener, *occupied: bool, channel: str = "news") -> None:
    """Check that this state of a channel is reported."""
    expected = [(channel, is_occupied) for is_occupied in occupied]
    eventually(lambda: [told for told in node.occupancy if told[0] == channel] == expected, within=10)


def check_last_report(node: Listener, channel: str) -> None:
    """Check that the last report says that the channel is vacated."""
    eventually(lambda: node.occupancy[-1] == (channel, False))


# -- a look that fails


def test_changes_refused_by_redis_are_reported_when_writes_succeed(lab: RedisLab, server: RedisServer) -> None:
    node = occupied(lab)
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    node.engine.subscribe("chat")
    leave(node)
    gevent.sleep(0.5)
    assert ("chat", True) not in node.occupancy
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    check_report(node, True, channel="chat")
    check_report(node, True, False)


def test_comparison_interrupted_by_connection_loss_is_repeated(lab: RedisLab, server: RedisServer) -> None:
    node = lab.listen(longest=0.2)
    channels = [f"channel{number}" for number in range(30)]
    for channel in channels:
        node.engine.subscribe(channel)
        server.ask("CLIENT", "KILL", "TYPE", "normal")  # while the look is on its way, or before it is
    eventually(lambda: {channel for channel, _ in node.occupancy} == set(channels), within=10)
    assert all(is_occupied for _, is_occupied in node.occupancy)


def test_reported_change_is_not_repeated_after_connection_loss(lab: RedisLab, server: RedisServer) -> None:
    node = lab.listen(longest=LONG)
    node.gate.clear()
    node.engine.subscribe("news")
    eventually(lambda: node.occupancy)
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    server.ask("CLIENT", "KILL", "TYPE", "normal")
    node.gate.set()
    gevent.sleep(0.3)
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
    node.engine.unsubscribe("news")
    check_report(node, True, False)


def test_abandoned_unsubscribe_is_reported(lab: RedisLab, server: RedisServer) -> None:
    node = occupied(lab)
    server.freeze()
    with gevent.Timeout(0.1, False):  # type: ignore[arg-type]  # False: end the block silently
        node.engine.unsubscribe("news")
    server.thaw()
    check_report(node, True, False)


def test_scripts_are_loaded_again_after_redis_has_lost_them(lab: RedisLab, server: RedisServer) -> None:
    node = lab.listen(longest=1)
    server.ask("SCRIPT", "FLUSH")
    node.engine.subscribe("news")
    check_report(node, True)
    server.ask("SCRIPT", "FLUSH")
    server.ask("SADD", f"{lab.settings.prefix}.occupied", "left")
    check_report(node, False, channel="left")
    node.engine.unsubscribe("news")
    check_report(node, True, False)


# -- a node that is away


def cut(node: Listener, server: RedisServer, patch: pytest.MonkeyPatch) -> None:
    """Close the subscription connection of a node, and prevent reconnecting until the patch is undone."""

    def dial() -> RedisConnection:
        raise ConnectionLost("away")

    patch.setattr(shard_of(node).subscriber, "_dial", dial)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    eventually(lambda: shard_of(node).subscriber.unavailable_reason)


def test_short_connection_loss_reports_no_change(lab: RedisLab, server: RedisServer) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occupancy, "MIN_EMPTY_TIME", 3)
        node, other = occupied(lab), lab.listen(longest=1)
        with pytest.MonkeyPatch.context() as away:
            cut(node, server, away)
            gevent.sleep(1)  # ten sweeps
        eventually(lambda: shard_of(node).subscriber.is_ready)
        patch.setattr(occupancy, "MIN_EMPTY_TIME", 0)
        gevent.sleep(0.3)
        node.engine.unsubscribe("news")
        eventually(lambda: len(node.occupancy + other.occupancy) == 2)
        assert sorted(node.occupancy + other.occupancy) == [("news", False), ("news", True)]


def test_long_connection_loss_reports_the_current_state(lab: RedisLab, server: RedisServer) -> None:
    node, other = occupied(lab), lab.listen(longest=1)
    with pytest.MonkeyPatch.context() as away:
        cut(node, server, away)
        # The node that is away would find its own channel only, and knows better.
        eventually(lambda: occupancy_of(other)._sweep() or other.occupancy)  # type: ignore[func-returns-value]
    eventually(lambda: (node.occupancy + other.occupancy).count(("news", True)) == 2)
    node.engine.unsubscribe("news")
    eventually(lambda: (node.occupancy + other.occupancy).count(("news", False)) == 2)


def test_disconnected_node_does_not_report_its_own_channels_as_vacated(
    lab: RedisLab, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node detects before all others that its subscriptions are lost."""
    monkeypatch.setattr(occupancy, "MIN_EMPTY_TIME", LONG)
    node = lab.listen(longest=LONG)
    node.gate.clear()
    node.engine.subscribe("news")
    eventually(lambda: node.occupancy)
    with pytest.MonkeyPatch.context() as away:
        cut(node, server, away)
        node.gate.set()  # and looks whether that is still true
        gevent.sleep(0.5)
    eventually(lambda: shard_of(node).subscriber.is_ready)
    node.engine.unsubscribe("news")
    check_report(node, True, False)


def test_local_subscribers_take_precedence_over_the_state_in_redis(lab: RedisLab, server: RedisServer) -> None:
    """The node has not noticed yet that the connection of its subscriptions has ended."""
    node = occupied(lab)
    for _ in range(10):
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        occupancy_of(node).note("news")
        gevent.sleep(0.05)
        eventually(lambda: shard_of(node).subscriber.is_ready)
    node.engine.unsubscribe("news")
    check_report(node, True, False)


# -- a server that has forgotten


def test_redis_restart_without_data_reports_the_current_state(lab: RedisLab, server: RedisServer) -> None:
    node = occupied(lab)
    server.restart()
    check_report(node, True, True)
    node.engine.unsubscribe("news")
    check_report(node, True, True, False)


def test_unsubscribe_during_data_loss_is_reported(lab: RedisLab, server: RedisServer) -> None:
    node = occupied(lab)
    server.kill()
    leave(node)
    server.start()
    check_report(node, True, False)


def test_unsubscribe_during_a_report_and_data_loss_is_reported(lab: RedisLab, server: RedisServer) -> None:
    node = lab.listen(longest=LONG)
    node.gate.clear()
    node.engine.subscribe("news")
    eventually(lambda: node.occupancy)
    server.kill()
    leave(node)
    server.start()
    node.gate.set()
    check_report(node, True, False)


def test_old_data_of_a_restarted_server_is_corrected(
    tmp_path: Path, lab: RedisLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example with snapshots every few minutes: the data contains channels as occupied that were vacated since."""
    with redis_server(tmp_path, "--save", "3600 1") as server:
        lab.settings = RedisSettings(
            (ShardSettings(ServerAddress("127.0.0.1", server.port)),), prefix=lab.settings.prefix
        )
        node = lab.listen(longest=1)
        for channel in ("stays", "returns", "left"):
            node.engine.subscribe(channel)
            check_report(node, True, channel=channel)
        server.ask("SAVE")
        for channel in ("returns", "left"):
            node.engine.unsubscribe(channel)
            check_report(node, True, False, channel=channel)
        node.engine.subscribe("newest")
        check_report(node, True, channel="newest")
        monkeypatch.setattr(occupancy, "MIN_EMPTY_TIME", 1)
        server.kill()
        eventually(lambda: shard_of(node).subscriber.unavailable_reason)
        server.start()
        eventually(lambda: shard_of(node).subscriber.is_ready)
        node.engine.subscribe("returns")
        check_report(node, True, False, True, channel="returns")
        check_report(node, True, False, False, channel="left")
        check_report(node, True, True, channel="newest")
        check_report(node, True, channel="stays")
        for channel in ("stays", "returns", "newest"):
            node.engine.unsubscribe(channel)
            check_last_report(node, channel)
        assert not server.ask(
            "EXISTS", *(f"{lab.settings.prefix}.occupied{more}" for more in ("", ".before", ".empty"))
        )
        lab.close()


def test_reports_stay_correct_after_several_failovers(lab: RedisLab, server: RedisServer) -> None:
    """The second failover begins before all channels have been compared after the first one."""
    node = lab.listen(longest=1)
    for channel in ("one", "two", "three"):
        node.engine.subscribe(channel)
        check_report(node, True, channel=channel)
    for channel in ("one", "two"):
        server.ask("HSET", f"{lab.settings.prefix}.epoch", "id", f"after {channel}")
        node.engine.unsubscribe(channel)
        check_report(node, True, False, channel=channel)
        node.engine.subscribe(f"since {channel}")
        check_report(node, True, channel=f"since {channel}")
    assert set(server.ask("SMEMBERS", f"{lab.settings.prefix}.occupied.before")) == {b"three", b"since one"}
    for channel in ("three", "since one", "since two"):
        node.engine.unsubscribe(channel)
        check_report(node, True, False, channel=channel)
    assert not server.ask("EXISTS", f"{lab.settings.prefix}.occupied.before")


def test_unsubscribe_after_data_loss_is_reported(lab: RedisLab, server: RedisServer) -> None:
    node = occupied(lab)
    server.ask("FLUSHALL")
    node.engine.unsubscribe("news")
    check_report(node, True, False)


def test_a_replica_takes_over(tmp_path: Path, lab: RedisLab) -> None:
    """The replica has the reports, and at first no node is subscribed there."""
    master = RedisServer(tmp_path, "--repl-diskless-sync-delay", "0")
    replica = RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0")
    sentinel = Sentinel(tmp_path, {"main": master})
    try:
        eventually(lambda: sentinel.ask("SENTINEL", "REPLICAS", "main"), within=15, what="Sentinel finds the replica")
        watched = Sentinels("main", (ServerAddress("127.0.0.1", sentinel.port),))
        lab.settings = RedisSettings(
            (ShardSettings(ServerAddress("", 0), sentinels=watched),), prefix=lab.settings.prefix
        )
        node = occupied(lab)
        node.engine.subscribe("left")
        check_report(node, True, channel="left")
        eventually(lambda: replica.ask("SCARD", f"{lab.settings.prefix}.occupied") == 2)
        master.kill()
        leave(node, "left")
        eventually(lambda: shard_of(node).subscriber.unavailable_reason)
        eventually(lambda: shard_of(node).subscriber.is_ready, within=45)
        check_report(node, True, False, channel="left")
        node.engine.unsubscribe("news")
        check_report(node, True, False)
    finally:
        lab.close()
        stop([sentinel, replica, master])


# -- what a node leaves behind


def kill(listener: Listener) -> None:
    """Kill an engine, whose work in Redis stays incomplete."""
    told = occupancy_of(listener)
    told._pool.kill(block=False)
    told._changed.clear()
    gevent.sleep(0)
    listener.engine.stop()


def test_report_of_a_killed_node_is_repeated(lab: RedisLab) -> None:
    first = lab.listen(longest=0.5)
    first.gate.clear()
    first.engine.subscribe("news")
    eventually(lambda: first.occupancy)
    second = lab.listen(longest=0.5)
    second.engine.subscribe("news")
    kill(first)
    eventually(lambda: second.occupancy == [("news", True)], within=10)
    second.engine.unsubscribe("news")
    eventually(lambda: second.occupancy == [("news", True), ("news", False)])


def test_report_of_a_stopped_node_is_repeated(lab: RedisLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occupancy, "STOP_TIMEOUT", 0.1)
    first, second = lab.listen(longest=0.5), lab.listen(longest=0.5)
    first.gate.clear()
    first.engine.subscribe("news")
    eventually(lambda: first.occupancy)
    second.engine.subscribe("news")
    first.engine.stop()
    check_report(second, True)


def test_one_sweep_finds_all_overdue_reports(
    lab: RedisLab, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This happens if a node with many channels is killed while Redis has just restarted."""
    monkeypatch.setattr(occupancy, "SWEEP_INTERVAL", LONG)
    monkeypatch.setattr(occupancy, "LEASE_MARGIN", LONG)  # 3000 comparisons at once take longer than one
    channels = [f"channel{number}" for number in range(3000)]
    server.ask("ZADD", f"{lab.settings.prefix}.occupied.telling", *(word for name in channels for word in (1, name)))
    node = lab.listen(longest=LONG)
    occupancy_of(node)._sweep()
    eventually(lambda: len(node.occupancy) == len(channels), within=45)
    assert sorted(node.occupancy) == sorted((channel, False) for channel in channels)


def test_a_name_that_is_not_utf_8_does_not_end_the_sweeps(
    lab: RedisLab, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    names = f"{lab.settings.prefix}.occupied"
    server.ask("SADD", names, b"\xff")
    node = lab.listen(longest=LONG)
    eventually(lambda: "not UTF-8" in caplog.text, within=10)
    server.ask("SADD", names, "news")
    check_report(node, False)


def test_many_empty_channels_are_found_in_steps(
    lab: RedisLab, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(occupancy, "LEASE_MARGIN", LONG)  # 3000 comparisons at once take longer than one
    channels = [f"channel{number}" for number in range(3000)]
    server.ask("SADD", f"{lab.settings.prefix}.occupied", *channels)
    node = lab.listen(longest=LONG)
    eventually(lambda: len(node.occupancy) >= len(channels), within=45)
    assert sorted(node.occupancy) == sorted((channel, False) for channel in channels)
    keys = [f"{lab.settings.prefix}.occupied{more}" for more in ("", ".empty", ".telling")]
    eventually(lambda: not server.ask("EXISTS", *keys))


# -- everything at once


class ReportRecorder(Listener):
    """A handler that records the reports of all nodes in one list, after a short delay."""

    def __init__(self, lab: RedisLab, told: list[tuple[str, bool]]) -> None:
        super().__init__(lab.make())
        self.occupancy = told
        lab.listeners.append(self)
        self.engine.enable_occupancy_events(self, 1)
        self.engine.start(self)

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        gevent.sleep(random.uniform(0, 0.01))
        return super().handle_occupancy(channel, is_occupied)


def subscribe_at_random(node: Listener, channels: list[str], end: float) -> None:
    """Subscribe and unsubscribe at random for some time, and finally unsubscribe from all channels."""
    here: set[str] = set()
    while time.monotonic() < end:
        channel = random.choice(channels)
        try:
            if channel in here:
                here.remove(channel)
                node.engine.unsubscribe(channel)
            else:
                node.engine.subscribe(channel)
                here.add(channel)
        except EngineError:
            gevent.sleep(0.01)
        gevent.sleep(random.uniform(0, 0.003))
    for channel in here:
        leave(node, channel)


@pytest.mark.parametrize("faults", [False, True], ids=["calm", "with faults"])
def test_reports_of_random_subscribers_on_several_nodes_are_correct(
    servers: list[RedisServer], monkeypatch: pytest.MonkeyPatch, nothing_left_behind: None, faults: bool
) -> None:
    """In any order of events, the last report is true, and reports alternate unless connections are lost."""
    lab = RedisLab(servers)
    lab.hurry(monkeypatch)
    told: list[tuple[str, bool]] = []
    try:
        nodes = [ReportRecorder(lab, told) for _ in range(3)]
        channels = [f"channel{number}" for number in range(4)]
        end = time.monotonic() + 1.5
        going = [gevent.spawn(subscribe_at_random, node, channels, end) for node in nodes]
        while faults and time.monotonic() < end:
            gevent.sleep(0.2)
            for server in servers:
                server.ask("CLIENT", "KILL", "TYPE", random.choice(["normal", "pubsub"]))
                server.ask("SCRIPT", "FLUSH")
        gevent.joinall(going, raise_error=True)
        pattern = Keys(lab.settings.prefix).channel_pattern
        eventually(lambda: not any(server.ask("PUBSUB", "CHANNELS", pattern) for server in servers))
        eventually(lambda: not any(dict(told).values()), within=10)
        gevent.sleep(0.3)
        for channel in channels:
            alternating = [is_occupied for name, is_occupied in told if name == channel]
            assert alternating[0]
            assert not alternating[-1]
            assert faults or alternating == [True, False] * (len(alternating) // 2)
    finally:
        lab.close()


def test_old_comparison_is_repeated_before_the_report(
    lab: RedisLab, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example if the process was suspended between comparison and report."""
    monkeypatch.setattr(occupancy, "LEASE_MARGIN", -1)
    node = lab.listen(1)
    node.engine.subscribe("news")
    eventually(lambda: not occupancy_of(node).has_pending_notifications)
    assert node.occupancy == []
    monkeypatch.setattr(occupancy, "LEASE_MARGIN", 0.1)
    check_report(node, True)
