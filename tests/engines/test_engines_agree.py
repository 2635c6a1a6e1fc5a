"""The memory engine and the Redis engine do the same: random sequences of calls have the same results in both.

Epochs are opaque, so they are compared by the order in which they appear.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.engines.base import (
    ALL,
    Engine,
    HistoryFilter,
    HistoryOptions,
    PublishConditions,
    Suppressed,
    UnrecoverablePosition,
)
from gentrifugo.engines.memory import MemoryEngine
from gentrifugo.engines.redis.engine import RedisEngine
from gentrifugo.engines.redis.settings import RedisSettings, ServerAddress, ShardSettings
from tests.engines.contract import Listener
from tests.fakes import FakeClock
from tests.redis_server import RedisServer, redis_server

LIFETIME = 10_000.0
"""Seconds until publications expire; longer than the results for idempotency keys are kept."""
META_LIFETIME = 1e9
PUBLISH_KEYS = ("", "a", "b")


class Publish(NamedTuple):
    channel: int
    size: int
    """0 keeps no history."""
    drop_inactive: bool
    key: str
    version: int
    version_epoch: str


class Subscribe(NamedTuple):
    channel: int
    begin: bool


class Read(NamedTuple):
    channel: int
    limit: int


class RecoverUid(NamedTuple):
    channel: int
    publication: int


class Select(NamedTuple):
    channel: int
    limit: int
    since: int | None
    """A number of a position that was seen before."""
    past: int
    """This is added to its offset."""
    reverse: bool


class RecoverSince(NamedTuple):
    channel: int
    limit: int
    since: int
    past: int


class Remove(NamedTuple):
    channel: int


class Expire(NamedTuple):
    everything: bool
    """Also the tops of the streams."""


channels = st.integers(0, 1)
limits = st.sampled_from([ALL, 0, 1, 2, 3, 10])
places = st.integers(0, 12)
past = st.sampled_from([0, 0, 0, -1, 1, 7])
calls = st.one_of(
    st.builds(
        Publish,
        channels,
        st.integers(0, 4),
        st.sampled_from([False, False, True]),
        st.sampled_from(["", "", "", "a", "b"]),
        st.sampled_from([0, 0, 0, 1, 2, 9, 10]),
        st.sampled_from(["", "x"]),
    ),
    st.builds(Publish, channels, st.just(4), st.just(False), st.just(""), st.just(0), st.just("")),
    st.builds(Subscribe, channels, st.booleans()),
    st.builds(Read, channels, st.integers(0, 3)),
    st.builds(RecoverUid, channels, places),
    st.builds(Select, channels, limits, st.none() | places, past, st.booleans()),
    st.builds(RecoverSince, channels, limits, places, past),
    st.builds(Remove, channels),
    st.builds(Expire, st.booleans()),
)


class Subject(ABC):
    """An engine under test, and what it has returned."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.listener = Listener(engine)
        self.begin()

    def begin(self) -> None:
        """Clear the recorded results, and use other channels."""
        self.names = [f"{uuid.uuid4()}" for _ in range(2)]
        self.seen: list[StreamPosition] = []
        self.epochs: dict[str, int] = {}
        self.published = 0
        self.subscribed: set[str] = set()
        self.listener.events.clear()

    @abstractmethod
    def expire(self, everything: bool) -> None:
        """Let all publications and results expire, or everything."""

    def carry_out(self, call: Any) -> Any:
        """Carry out a call, and return its result in a form that is the same for all engines."""
        if isinstance(call, Expire):
            self.expire(call.everything)
            return None
        name = self.names[call.channel]
        if isinstance(call, Publish):
            return self._publish(name, call)
        if isinstance(call, Subscribe):
            self._subscribe(name, call.begin)
            return None
        if isinstance(call, Read):
            return self._compared(self.engine.history(name, call.limit))
        if isinstance(call, RecoverUid):
            publications, complete = self.engine.recover(name, str(call.publication))
            return self._compared(publications), complete
        if isinstance(call, Select):
            return self._select(name, call)
        if isinstance(call, RecoverSince):
            found = self.engine.recover_since(name, self._position(call.since, call.past), call.limit, META_LIFETIME)
            return self._compared(found.publications), self._seen(found.top), found.recovered
        self.engine.remove_history(name)
        return None

    def _publish(self, name: str, call: Publish) -> Any:
        self.published += 1
        history = HistoryOptions(call.size, LIFETIME, call.drop_inactive, META_LIFETIME) if call.size else None
        once = PublishConditions(call.key, call.version, call.version_epoch) if call.key or call.version else None
        result = self.engine.publish(Publication(str(self.published), name, b"1"), history, once)
        suppressed = isinstance(result, Suppressed)
        position = result.position if isinstance(result, Suppressed) else result
        return suppressed, position and self._seen(position)

    def _subscribe(self, name: str, begin: bool) -> None:
        if begin:
            self.subscribed.add(name)
            self.engine.subscribe(name)
        else:
            self.engine.publish_control(b"what was published has arrived")
            self.subscribed.discard(name)
            self.engine.unsubscribe(name)

    def _select(self, name: str, call: Select) -> Any:
        since = None if call.since is None else self._position(call.since, call.past)
        try:
            publications, top = self.engine.stream(name, HistoryFilter(call.limit, since, call.reverse), META_LIFETIME)
        except UnrecoverablePosition:
            return "unrecoverable"
        return self._compared(publications), self._seen(top)

    def _position(self, number: int, past: int) -> StreamPosition:
        """An earlier position, moved by an offset, or a position with an empty epoch."""
        offset, epoch = self.seen[number] if number < len(self.seen) else (number, "")
        return StreamPosition(max(offset + past, 0), epoch)

    def _seen(self, position: StreamPosition) -> tuple[int, int]:
        self.seen.append(position)
        return position.offset, self.epochs.setdefault(position.epoch, len(self.epochs))

    def _compared(self, publications: Any) -> list[tuple[str, int, int | None]]:
        return [
            (item.uid, item.offset, self.epochs.setdefault(item.epoch, len(self.epochs)) if item.offset else None)
            for item in publications
        ]

    def received(self) -> list[tuple[str, int, int | None]]:
        """The events received so far."""
        self.engine.publish_control(b"what was published has arrived")
        return self._compared(self.listener.events)

    def end(self) -> None:
        """End the subscriptions."""
        for name in self.subscribed:
            self.engine.unsubscribe(name)


class MemorySubject(Subject):
    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(MemoryEngine(self.clock))

    def expire(self, everything: bool) -> None:
        self.clock.advance(META_LIFETIME if everything else LIFETIME)


class RedisSubject(Subject):
    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.prefix = f"test-{uuid.uuid4()}"
        super().__init__(
            RedisEngine(RedisSettings((ShardSettings(ServerAddress("127.0.0.1", server.port)),), prefix=self.prefix))
        )

    def expire(self, everything: bool) -> None:
        for name in self.names:
            results = [f"result.{len(name)}.{name}.{key}" for key in PUBLISH_KEYS]
            whole = [f"top.{name}"] if everything else []
            self.server.ask("DEL", *(f"{self.prefix}.{key}" for key in [f"stream.{name}", *results, *whole]))


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subject, Subject]]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        both = MemorySubject(), RedisSubject(server)
        for subject in both:
            subject.engine.start(subject.listener)
        yield both
        for subject in both:
            subject.engine.stop()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, min_size=1, max_size=30))
def test_random_calls_have_the_same_results(subjects: tuple[Subject, Subject], sequence: list[Any]) -> None:
    for subject in subjects:
        subject.begin()
    try:
        for call in sequence:
            memory, redis = (subject.carry_out(call) for subject in subjects)
            assert memory == redis, call
        memory, redis = (subject.received() for subject in subjects)
        assert memory == redis
    finally:
        for subject in subjects:
            subject.end()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(calls, min_size=1, max_size=30))
def test_recovery_returns_all_publications(subjects: tuple[Subject, Subject], sequence: list[Any]) -> None:
    """A recovery from any earlier position returns all later publications of its stream, or none."""
    for subject in subjects:
        subject.begin()
        log: list[tuple[str, StreamPosition]] = []
        try:
            for call in sequence:
                before = len(subject.seen)
                subject.carry_out(call)
                if isinstance(call, Publish) and not call.key and not call.version and len(subject.seen) > before:
                    log.append((subject.names[call.channel], subject.seen[-1]))
            for name in subject.names:
                _check_recoveries(subject.engine, name, [position for channel, position in log if channel == name])
        finally:
            subject.end()


def _check_recoveries(engine: Engine, name: str, published: list[StreamPosition]) -> None:
    for number, position in enumerate(published):
        found = engine.recover_since(name, position, ALL, META_LIFETIME)
        if found.recovered:
            later = {position.offset for position in published[number + 1 :]}
            assert later <= {publication.offset for publication in found.publications}


def test_publications_arrive_in_both_engines(subjects: tuple[Subject, Subject]) -> None:
    for subject in subjects:
        subject.begin()
        subject.carry_out(Subscribe(0, True))
        subject.carry_out(Publish(0, 4, False, "", 0, ""))
        assert subject.received() == [("1", 1, 0)]
        subject.end()
