"""Behaviour of the memory engine: the contract with a fake clock, and freeing of expired data."""

from __future__ import annotations

import time

import gevent
import pytest

from gentrifugo.app.model.events import Publication, RawClientInfo, StreamPosition
from gentrifugo.engines import memory, occupancy
from gentrifugo.engines.base import IDEMPOTENCY_LIFETIME, HistoryFilter, HistoryOptions, PublishConditions, Suppressed
from gentrifugo.engines.memory import MemoryEngine
from tests.contents import contents
from tests.engines.contract import ALICE, BOB, LONG, SHORT, EngineContract, Lab, Listener, kept, message
from tests.fakes import FakeClock
from tests.greenlets import eventually


class MemoryLab(Lab):
    """Memory engines with a fake clock."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()

    def make(self) -> MemoryEngine:
        return MemoryEngine(self.clock)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(occupancy, "RETRY_INTERVAL", 0.05)


class TestMemoryEngine(EngineContract):
    @pytest.fixture
    def lab(self) -> Lab:
        return MemoryLab()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(clock: FakeClock) -> MemoryEngine:
    """An engine that does not sweep by itself."""
    return MemoryEngine(clock)


# -- nothing held


def test_new_engine_stores_no_data(engine: MemoryEngine) -> None:
    assert contents(engine) == []


def test_publishing_without_history_uses_no_memory(engine: MemoryEngine) -> None:
    engine.publish(message(), None)
    engine.publish(message(), kept(drop_inactive=True))
    assert contents(engine) == []


def test_reading_absent_data_uses_no_memory(engine: MemoryEngine) -> None:
    assert not engine.presence("news")
    assert not engine.history("news")
    assert not engine.channels()
    engine.remove_presence("news", "c1")
    engine.unsubscribe("news")
    assert contents(engine) == []


def test_ended_subscription_uses_no_memory(engine: MemoryEngine) -> None:
    engine.subscribe("news")
    engine.unsubscribe("news")
    assert contents(engine) == []


def test_expired_history_is_freed(engine: MemoryEngine, clock: FakeClock) -> None:
    for channel in ("news", "chat"):
        for number in range(3):
            engine.publish(Publication(str(number), channel, b"1"), kept(lifetime=SHORT))
    clock.advance(SHORT)
    engine.free_expired()
    assert contents(engine) == []


def test_a_stream_is_freed_after_its_top_has_expired(engine: MemoryEngine, clock: FakeClock) -> None:
    engine.stream("asked", HistoryFilter(), LONG)
    for _ in range(3):
        engine.publish(message(), kept(lifetime=SHORT, meta_lifetime=LONG))
        clock.advance(SHORT)
        engine.free_expired()
        assert not [thing for thing in contents(engine) if isinstance(thing, Publication)]
    clock.advance(LONG)
    engine.free_expired()
    assert contents(engine) == []


def test_a_history_is_freed_after_a_lifetime_that_has_become_shorter(engine: MemoryEngine, clock: FakeClock) -> None:
    """A reload of the configuration changes the lifetime, from the next publication of each channel on."""
    engine.publish(message("u1"), kept(lifetime=LONG))
    engine.free_expired()
    engine.publish(message("u2"), kept(lifetime=SHORT, meta_lifetime=LONG))
    clock.advance(SHORT)
    engine.free_expired()
    assert not [thing for thing in contents(engine) if isinstance(thing, Publication)]
    clock.advance(LONG)
    engine.free_expired()
    assert contents(engine) == []


def test_publications_are_freed_also_after_an_earlier_query_of_the_stream(
    engine: MemoryEngine, clock: FakeClock
) -> None:
    engine.stream("news", HistoryFilter(), LONG)
    engine.free_expired()
    engine.publish(message(), kept(lifetime=SHORT))
    clock.advance(SHORT)
    engine.free_expired()
    assert not [thing for thing in contents(engine) if isinstance(thing, Publication)]


def test_results_are_freed_after_their_time(engine: MemoryEngine, clock: FakeClock) -> None:
    for key in ("a", "b"):
        engine.publish(message(), None, PublishConditions(key))
        clock.advance(IDEMPOTENCY_LIFETIME / 2)
    engine.publish(message(), None, PublishConditions("c"))
    engine.free_expired()
    assert ("news", "a") not in contents(engine)
    assert ("news", "b") in contents(engine)
    clock.advance(IDEMPOTENCY_LIFETIME)
    engine.free_expired()
    assert contents(engine) == []


def test_an_idempotency_key_may_be_used_again_after_its_time(engine: MemoryEngine, clock: FakeClock) -> None:
    first = engine.publish(message("1"), kept(lifetime=1000), PublishConditions("a"))
    assert isinstance(first, StreamPosition)
    clock.advance(IDEMPOTENCY_LIFETIME - 1)
    assert engine.publish(message("2"), kept(lifetime=1000), PublishConditions("a")) == Suppressed(first)
    clock.advance(1)
    assert engine.publish(message("3"), kept(lifetime=1000), PublishConditions("a")) != first


def test_two_engines_have_other_epochs(clock: FakeClock) -> None:
    """For example a process and its successor after a restart."""
    first, second = (MemoryEngine(clock).stream("news", HistoryFilter(), LONG).top for _ in range(2))
    assert (first.offset, first.epoch == second.epoch) == (0, False)


def test_expired_presence_is_freed(engine: MemoryEngine, clock: FakeClock) -> None:
    for channel in ("news", "chat"):
        engine.add_presence(channel, "c1", ALICE, SHORT)
        engine.add_presence(channel, "c2", BOB, SHORT)
    clock.advance(SHORT)
    engine.free_expired()
    assert contents(engine) == []


def test_presence_that_was_removed_is_freed_by_its_time(engine: MemoryEngine, clock: FakeClock) -> None:
    engine.add_presence("news", "c1", ALICE, SHORT)
    engine.remove_presence("news", "c1")
    clock.advance(SHORT)
    engine.free_expired()
    assert contents(engine) == []


def test_history_that_was_read_after_its_time_is_freed(engine: MemoryEngine, clock: FakeClock) -> None:
    engine.publish(message(), kept(lifetime=SHORT))
    clock.advance(SHORT)
    assert engine.history("news") == []
    engine.free_expired()
    assert contents(engine) == []


def test_repeatedly_renewed_data_is_freed_after_expiry(engine: MemoryEngine, clock: FakeClock) -> None:
    for number in range(5):
        engine.publish(message(str(number)), kept(lifetime=SHORT))
        engine.add_presence("news", "c1", ALICE, SHORT)
        clock.advance(SHORT * 0.75)
        engine.free_expired()
        assert len(engine.history("news")) == number + 1
        assert engine.presence("news") == {"c1": ALICE}
    clock.advance(SHORT)
    engine.free_expired()
    assert contents(engine) == []


# -- and nothing freed too early


def test_sweep_keeps_unexpired_data(engine: MemoryEngine, clock: FakeClock) -> None:
    engine.publish(message("old"), kept(lifetime=SHORT))
    engine.publish(message("new"), kept(lifetime=LONG))
    engine.add_presence("news", "c1", ALICE, SHORT)
    engine.add_presence("news", "c2", BOB, LONG)
    clock.advance(SHORT)
    engine.free_expired()
    assert [publication.uid for publication in engine.history("news")] == ["new", "old"]
    assert engine.presence("news") == {"c2": BOB}


def test_expired_presence_is_freed_while_other_clients_stay(engine: MemoryEngine, clock: FakeClock) -> None:
    gone = [RawClientInfo("gone", f"gone{number}") for number in range(10)]
    for info in gone:
        engine.add_presence("news", info.client, info, SHORT)
    engine.add_presence("news", "c1", ALICE, LONG)
    clock.advance(SHORT)
    engine.free_expired()
    assert not set(gone) & {thing for thing in contents(engine) if isinstance(thing, RawClientInfo)}


def test_history_renewed_after_a_sweep_was_due_survives_it(engine: MemoryEngine, clock: FakeClock) -> None:
    engine.publish(message("u1"), kept(lifetime=SHORT))
    clock.advance(SHORT)
    engine.publish(message("u2"), kept(lifetime=SHORT))
    engine.free_expired()
    assert [publication.uid for publication in engine.history("news")] == ["u2"]


def test_history_whose_lifetime_has_become_longer_again_is_kept(engine: MemoryEngine, clock: FakeClock) -> None:
    for number, lifetime in enumerate((LONG, SHORT, LONG, 2 * LONG)):
        engine.publish(message(str(number)), kept(lifetime=lifetime))
    for _ in range(2):
        clock.advance(LONG - SHORT)
        engine.free_expired()
        assert len(engine.history("news")) == 4
    clock.advance(2 * SHORT)
    engine.free_expired()
    assert contents(engine) == []


def test_channel_has_one_entry_in_the_expiry_queue(engine: MemoryEngine) -> None:
    """A busy channel must not make the sweep's heap grow with each message."""
    engine.publish(message("first"), HistoryOptions(1, LONG))
    held = len(contents(engine))
    for number in range(100):
        engine.publish(message(str(number)), HistoryOptions(1, LONG))
    assert len(contents(engine)) == held


# -- the sweep


def test_running_engine_deletes_expired_data(
    clock: FakeClock, nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "EXPIRY_INTERVAL", 0.01)
    engine = MemoryEngine(clock)
    listener = Listener(engine)
    engine.start(listener)
    engine.publish(message(), kept(lifetime=SHORT))
    engine.add_presence("news", "c1", ALICE, SHORT)
    clock.advance(SHORT)
    eventually(lambda: contents(engine, listener) == [])
    engine.stop()


def test_sweep_continues_after_an_unexpected_exception(
    clock: FakeClock, nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(memory, "EXPIRY_INTERVAL", 0.01)
    engine = MemoryEngine(clock)
    listener = Listener(engine)
    engine.start(listener)
    engine.add_presence("news", "c1", ALICE, SHORT)
    clock.advance(SHORT)
    with monkeypatch.context() as broken:
        broken.setattr(engine, "_free_expired_presence", lambda *_: 1 / 0)
        eventually(lambda: "ZeroDivisionError" in caplog.text)
    engine.add_presence("chat", "c1", ALICE, SHORT)
    clock.advance(SHORT)
    eventually(lambda: "chat" not in engine._presence)  # reading presence hides what has expired, freed or not
    engine.stop()


def test_long_sweep_lets_other_greenlets_run(
    engine: MemoryEngine, clock: FakeClock, nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes by other greenlets during the sweep are not lost."""
    monkeypatch.setattr(memory, "yield_if_due", lambda: gevent.sleep(0))
    for channel in ("news", "chat"):
        engine.publish(message("old", channel), kept(lifetime=SHORT))
        engine.add_presence(channel, "c1", ALICE, SHORT)
    clock.advance(SHORT)
    sweep = gevent.spawn(engine.free_expired)
    while not sweep.ready():
        engine.publish(message("new"), kept(size=1))
        engine.add_presence("news", "c2", BOB, LONG)
        gevent.sleep(0)
    assert [publication.uid for publication in engine.history("news")] == ["new"]
    assert engine.presence("news") == {"c2": BOB}
    clock.advance(LONG)
    engine.free_expired()
    assert contents(engine) == []


def test_stopped_engine_delivers_no_messages(clock: FakeClock, nothing_left_behind: None) -> None:
    engine = MemoryEngine(clock)
    listener = Listener(engine)
    engine.start(listener)
    engine.subscribe("news")
    engine.stop()
    engine.publish(message(), None)
    engine.publish_control(b"control")
    assert (listener.events, listener.controls) == ([], [])


def test_failed_report_is_retried_once_at_stop(nothing_left_behind: None) -> None:
    engine = MemoryEngine()
    listener = Listener(engine)
    listener.refuses = True
    engine.enable_occupancy_events(listener, LONG)
    engine.start(listener)
    engine.subscribe("news")
    eventually(lambda: listener.occupancy)
    assert not engine.has_pending_notifications  # nobody who takes leave waits for that
    started = time.monotonic()
    engine.stop()
    assert time.monotonic() - started < occupancy.STOP_TIMEOUT
    assert listener.occupancy == [("news", True)] * 2
