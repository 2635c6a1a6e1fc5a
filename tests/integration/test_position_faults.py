"""Positions across faults of Redis: a recovery that is reported as complete is complete, after any fault.

Two engines share real servers that lose data, freeze and are failed over, while one greenlet publishes, others recover
from every position that was ever seen, and subscribers follow the streams as clients with positions do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import gevent
import pytest
from gevent.queue import Queue

from gentrifugo.app.model.events import Event, Publication, StreamPosition
from gentrifugo.engines.base import ALL, EngineError, HistoryFilter, HistoryOptions
from gentrifugo.engines.redis.engine import RedisEngine
from gentrifugo.engines.redis.settings import RedisSettings, Sentinels, ServerAddress, ShardSettings, Timeouts
from tests.greenlets import eventually, nothing_left_behind
from tests.redis_server import RedisServer, Sentinel, free_port, redis_server, stop
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

CHANNELS = ("a", "b", "c")
META_LIFETIME = 600.0
HISTORY = HistoryOptions(60, 300, meta_lifetime=META_LIFETIME)
TIMEOUTS = Timeouts(connect=0.5, read=1, write=1)
TRIES = 2000
"""Recoveries in each test at least; 10,000 in all."""
RECOVERERS = 4


class Ledger:
    """The accepted publications of one channel, in order."""

    def __init__(self) -> None:
        self.uids: list[str] = []
        self.positions: list[StreamPosition] = []

    def note(self, uid: str, position: StreamPosition) -> None:
        """Record an accepted publication."""
        self.uids.append(uid)
        self.positions.append(position)

    def after(self, position: StreamPosition) -> list[str]:
        """Return the publications after a position; all of its epoch and later if it is before all of them."""
        of_epoch = [number for number, seen in enumerate(self.positions) if seen.epoch == position.epoch]
        reached = [number for number in of_epoch if self.positions[number].offset <= position.offset]
        if reached:
            return self.uids[reached[-1] + 1 :]
        return self.uids[of_epoch[0] :] if of_epoch else []


class Follower:
    """A subscriber of one channel on one engine that must receive all publications, like clients with positions.

    `segments` has the received uids, separated where a gap was reported.
    """

    def __init__(self, engine: RedisEngine, channel: str) -> None:
        self._engine = engine
        self._channel = channel
        self.queue: Queue[Publication] = Queue()
        self.segments: list[list[str]] = []
        self.recoveries = 0

    def run(self) -> None:
        """Follow the stream until the greenlet is ended."""
        position = self._begin()
        while True:
            publication = self.queue.get()
            if publication.epoch == position.epoch and publication.offset <= position.offset:
                continue
            if (publication.offset, publication.epoch) == (position.offset + 1, position.epoch):
                self.segments[-1].append(publication.uid)
                position = StreamPosition(publication.offset, publication.epoch)
            else:
                position = self._recover(position)

    def _begin(self) -> StreamPosition:
        self.segments.append([])
        return retry_until_answered(lambda: self._engine.stream(self._channel, HistoryFilter(), META_LIFETIME).top)

    def _recover(self, position: StreamPosition) -> StreamPosition:
        self.recoveries += 1
        found = retry_until_answered(lambda: self._engine.recover_since(self._channel, position, ALL, META_LIFETIME))
        if not found.recovered:
            self.segments.append([])
        self.segments[-1] += [publication.uid for publication in found.publications]
        return found.top


class Node:
    """A handler of an engine that passes publications to the followers."""

    def __init__(self, settings: RedisSettings) -> None:
        self.engine = RedisEngine(settings)
        self.followers = {channel: Follower(self.engine, channel) for channel in CHANNELS}

    def handle_event(self, event: Event) -> None:
        assert isinstance(event, Publication)
        self.followers[event.channel].queue.put(event)

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        return True

    def handle_control(self, message: bytes) -> None:
        pass


T = TypeVar("T")


def retry_until_answered(ask: Callable[[], T]) -> T:
    """Call `ask` until the engine can answer, and return the result."""
    while True:
        try:
            return ask()
        except EngineError:
            gevent.sleep(0.02)


class Trial:
    """Two nodes, a publisher and recoverers, until `end`."""

    def __init__(self, settings: RedisSettings) -> None:
        self.nodes = [Node(settings), Node(settings)]
        self.ledgers = {channel: Ledger() for channel in CHANNELS}
        self.refused = self.tries = self.complete = self.failed = self.number = 0
        self.false: list[str] = []
        self._random = random.Random(20)
        for node in self.nodes:
            node.engine.start(node)
            for channel in CHANNELS:
                node.engine.subscribe(channel)
        followers = [follower for node in self.nodes for follower in node.followers.values()]
        self._greenlets = [gevent.spawn(follower.run) for follower in followers]
        self._greenlets += [gevent.spawn(self._publish), *(gevent.spawn(self._recover) for _ in range(RECOVERERS))]

    def _publish(self) -> None:
        while True:
            self.number += 1
            uid, channel = str(self.number), CHANNELS[self.number % len(CHANNELS)]
            engine = self._random.choice(self.nodes).engine
            try:
                position = engine.publish(Publication(uid, channel, b"1"), HISTORY)
                assert isinstance(position, StreamPosition)
                self.ledgers[channel].note(uid, position)
            except EngineError:
                self.refused += 1
            gevent.sleep(0.002)

    def _recover(self) -> None:
        while True:
            channel = self._random.choice(CHANNELS)
            position = self._some_position(self.ledgers[channel])
            if position is not None:
                self._try(channel, position)
            gevent.sleep(0.001)

    def _some_position(self, ledger: Ledger) -> StreamPosition | None:
        """Return mostly one of the newest accepted positions; sometimes an old one, or one that does not exist."""
        if not ledger.positions:
            return None
        recent = ledger.positions[-HISTORY.size :]
        offset, epoch = self._random.choice(ledger.positions if self._random.random() < 0.2 else recent)
        offset += self._random.choice((-1, 1, 5)) if self._random.random() < 0.1 else 0
        return StreamPosition(max(offset, 0), epoch)

    def _try(self, channel: str, position: StreamPosition) -> None:
        needed = self.ledgers[channel].after(position)
        engine = self._random.choice(self.nodes).engine
        self.tries += 1
        try:
            found = engine.recover_since(channel, position, ALL, META_LIFETIME)
        except EngineError:
            self.failed += 1
            return
        self.complete += found.recovered
        uids = [publication.uid for publication in found.publications]
        if found.recovered and [uid for uid in uids if uid in set(needed)] != needed:
            self.false.append(f"{channel} from {position}: {needed} were accepted, {uids} recovered")

    def run_for(self, pause: float) -> None:
        """Let all greenlets run for some time."""
        gevent.sleep(pause)

    def run_until_recovered(self) -> None:
        """Wait until both nodes can publish again, and their followers receive it."""

        def well() -> bool:
            mark = self.number
            gevent.sleep(0.2)
            return all(
                any(int(uid) > mark for uid in follower.segments[-1][-50:])
                for node in self.nodes
                for follower in node.followers.values()
            )

        eventually(well, within=20, what="all followers receive again")

    def end(self, fault: str) -> None:
        """Run until there were enough tries, and check that all recoveries and followers are correct."""
        eventually(lambda: self.tries >= TRIES, within=60, what="enough tries")
        self.stop()
        accepted = sum(len(ledger.uids) for ledger in self.ledgers.values())
        followers = [follower for node in self.nodes for follower in node.followers.values()]
        print(
            f"{fault}: accepted {accepted}, refused {self.refused}; recoveries {self.tries}, complete {self.complete}, "
            f"failed {self.failed}, false {len(self.false)}; followers recovered "
            f"{sum(follower.recoveries for follower in followers)} times, "
            f"begun anew {sum(len(follower.segments) - 1 for follower in followers)} times"
        )
        assert self.false == []
        assert self.complete > TRIES / 10
        for node in self.nodes:
            for channel, follower in node.followers.items():
                for segment in follower.segments:
                    check_segment(segment, self.ledgers[channel].uids)

    def stop(self) -> None:
        """End all greenlets and the engines. A second call does nothing."""
        gevent.killall(self._greenlets)
        self._greenlets = []
        for node in self.nodes:
            node.engine.stop()


def check_segment(segment: Sequence[str], accepted: Sequence[str]) -> None:
    """Check that a segment contains all accepted publications between its first and its last one."""
    assert len(set(segment)) == len(segment), "twice"
    known = [uid for uid in segment if uid in set(accepted)]
    if known:
        assert known == list(accepted[accepted.index(known[0]) : accepted.index(known[-1]) + 1])


@pytest.fixture
def begin(nothing_left_behind: None) -> Iterator[Callable[..., Trial]]:
    trials: list[Trial] = []

    def start(*shards: ShardSettings) -> Trial:
        trials.append(Trial(RedisSettings(shards, timeouts=TIMEOUTS)))
        return trials[-1]

    yield start
    for trial in trials:
        trial.stop()


def shard(server: RedisServer) -> ShardSettings:
    return ShardSettings(ServerAddress("127.0.0.1", server.port))


def test_clients_recover_after_a_restart_with_all_data(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    with redis_server(tmp_path, "--appendonly", "yes") as redis:
        trial = begin(shard(redis))
        for _ in range(3):
            trial.run_for(0.5)
            redis.restart()
            trial.run_until_recovered()
        trial.end("restarted with all data")


def test_clients_recover_after_a_restart_with_old_data(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    """The last messages are lost, and the server does not report it."""
    with redis_server(tmp_path) as redis:
        trial = begin(shard(redis))
        for _ in range(3):
            trial.run_for(0.3)
            redis.ask("SAVE")
            trial.run_for(0.3)
            redis.restart()
            trial.run_until_recovered()
        trial.end("restarted with old data")


def test_clients_recover_after_a_restart_without_data(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    with redis_server(tmp_path) as redis:
        trial = begin(shard(redis))
        for _ in range(3):
            trial.run_for(0.5)
            redis.restart()
            trial.run_until_recovered()
        trial.end("restarted empty")


def test_clients_recover_after_flushall(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    with redis_server(tmp_path) as redis:
        trial = begin(shard(redis))
        for _ in range(5):
            trial.run_for(0.3)
            redis.ask("FLUSHALL")
            trial.run_until_recovered()
        trial.end("FLUSHALL")


def test_clients_recover_after_redis_was_frozen(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    """Redis is suspended so long that publishes fail, and are carried out when it continues."""
    with redis_server(tmp_path) as redis:
        trial = begin(shard(redis))
        for length in (1.5, 6.5):
            trial.run_for(0.3)
            redis.freeze()
            trial.run_for(length)
            redis.thaw()
            trial.run_until_recovered()
        assert trial.refused
        trial.end("frozen")


def test_clients_recover_after_redis_connections_were_killed(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    with redis_server(tmp_path) as redis:
        trial = begin(shard(redis))
        for number in range(20):
            redis.ask("CLIENT", "KILL", "TYPE", "pubsub" if number % 2 else "normal")
            trial.run_for(0.1)
        trial.run_until_recovered()
        trial.end("CLIENT KILL")


def test_sentinel_promotes_a_replica_without_the_last_messages(tmp_path: Path, begin: Callable[..., Trial]) -> None:
    master = RedisServer(tmp_path)
    replica = RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(master.port))
    sentinel = Sentinel(tmp_path, {"main": master})
    try:
        eventually(lambda: b"state=online" in master.ask("INFO", "replication"), within=10)
        eventually(lambda: sentinel.ask("SENTINEL", "REPLICAS", "main"), within=15, what="Sentinel finds the replica")
        addresses = tuple(ServerAddress("127.0.0.1", port) for port in (free_port(), sentinel.port))
        trial = begin(ShardSettings(ServerAddress("127.0.0.1", 1), sentinels=Sentinels("main", addresses)))
        trial.run_for(0.5)
        replica.freeze()
        master.ask("CLIENT", "KILL", "TYPE", "replica")  # what is published from now on is on its way to nobody
        trial.run_for(0.4)
        master.kill()
        replica.thaw()
        eventually(lambda: b"role:master" in replica.ask("INFO", "replication"), within=20)
        trial.run_until_recovered()
        trial.run_for(seconds(0.5))
        trial.end("Sentinel failover")
    finally:
        stop([sentinel, replica, master])
