"""A gap is closed from the history: in order, once, and before newer publications."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import gevent
import pytest
from gevent.event import Event as Gate

from gentrifugo.app.model.events import Event, Join, Publication, RawClientInfo
from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import catch_up
from gentrifugo.engines.redis.catch_up import CatchUp
from gentrifugo.engines.redis.codec import Received
from gentrifugo.engines.redis.history import History
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]

JOIN = Received(Join("news", RawClientInfo("alice", "c1")), False)


def message(uid: int) -> Publication:
    return Publication(str(uid), "news", b"{}")


def kept(uid: int) -> Received:
    return Received(message(uid), True)


class FakeSource:
    """The source and receiver of a CatchUp.

    Histories can be read while `gate` is set; `passed` says whether the connection has received them.
    """

    def __init__(self) -> None:
        self.history: History | None = History([], 0)
        self.gate = Gate()
        self.passed = Gate()
        self.passed.set()
        self.reads = 0
        self.delivered: list[Event] = []
        self.left_open: list[tuple[str, int | None]] = []
        self.is_missing = True
        self.catch_up = CatchUp("test", self)

    def read_histories(self, channels: Sequence[str]) -> list[History]:
        self.reads += 1
        self.gate.wait()
        if self.history is None:
            raise EngineError("away")
        return [self.history for _ in channels]

    def wait_until_passed(self) -> bool:
        return self.passed.wait()

    def deliver(self, event: Event) -> None:
        self.delivered.append(event)

    def report_open_gap(self, channel: str, found: int | None, seconds: float) -> bool:
        assert seconds >= 1
        self.left_open.append((channel, found))
        return self.is_missing

    def remembers(self, *uids: int, complete: int | None = None) -> None:
        """Set the history, oldest first."""
        self.history = History([message(uid) for uid in reversed(uids)], len(uids) if complete is None else complete)

    def numbers(self) -> list[int]:
        return [int(event.uid) for event in self.delivered if isinstance(event, Publication)]


@pytest.fixture
def desk(nothing_left_behind: None) -> Iterator[FakeSource]:
    made = FakeSource()
    made.catch_up.start()
    yield made
    made.catch_up.stop()


def close_gap_after_connection_loss(desk: FakeSource) -> None:
    desk.catch_up.open_gaps(["news"], time.monotonic() - 1)
    desk.catch_up.note_resubscribed("news")
    settle()


def test_missed_publications_are_delivered_before_new_ones(desk: FakeSource) -> None:
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    desk.remembers(1, 2, 3, 4)
    for received in (kept(4), JOIN, kept(5)):
        desk.catch_up.handle("news", received)
    assert desk.numbers() == [1]
    desk.gate.set()
    eventually(lambda: len(desk.delivered) == 6)
    assert desk.numbers() == [1, 2, 3, 4, 5]
    assert desk.delivered[4] == JOIN.event


def test_gap_without_missed_publications_delivers_none(desk: FakeSource) -> None:
    desk.gate.set()
    desk.remembers(1)
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    desk.catch_up.handle("news", kept(2))
    eventually(lambda: desk.numbers() == [1, 2])


def test_publications_of_a_previously_empty_history_are_delivered(desk: FakeSource) -> None:
    desk.gate.set()
    desk.catch_up.note_newest("news", "")
    desk.remembers(1, 2)
    close_gap_after_connection_loss(desk)
    eventually(lambda: desk.numbers() == [1, 2])


def test_all_publications_of_a_too_short_history_are_delivered(
    desk: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    desk.gate.set()
    desk.catch_up.handle("news", kept(1))
    desk.remembers(7, 8, 9, complete=2)  # 7 is of an epoch before
    close_gap_after_connection_loss(desk)
    eventually(lambda: desk.numbers() == [1, 8, 9])
    assert "messages may be missing in 1 channels" in caplog.text
    assert desk.left_open == [("news", 2)]


def test_node_decides_whether_publications_are_missing(desk: FakeSource, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    desk.gate.set()
    desk.is_missing = False
    desk.catch_up.handle("news", kept(1))
    desk.remembers(7)
    close_gap_after_connection_loss(desk)
    eventually(lambda: desk.left_open == [("news", 1)])
    assert "recovered missed messages from the history of 1 channels" in caplog.text
    assert "missing" not in caplog.text


def test_channels_without_history_continue_immediately(desk: FakeSource) -> None:
    desk.catch_up.handle("news", Received(message(1), False))
    close_gap_after_connection_loss(desk)
    desk.catch_up.handle("news", Received(message(2), False))
    assert desk.numbers() == [1, 2]


def test_publications_repeated_after_the_history_are_delivered_once(desk: FakeSource) -> None:
    desk.gate.set()
    desk.passed.clear()
    desk.catch_up.handle("news", kept(1))
    desk.remembers(1, 2, 3, 4)
    close_gap_after_connection_loss(
        desk
    )  # published between the subscription and the reading: in the history, and still to come
    for received in (kept(3), kept(4), kept(5)):
        desk.catch_up.handle("news", received)
    desk.passed.set()
    eventually(lambda: desk.numbers() == [1, 2, 3, 4, 5])
    desk.catch_up.handle("news", kept(6))
    assert desk.numbers() == [1, 2, 3, 4, 5, 6]


def test_second_connection_loss_leaves_no_second_gap(desk: FakeSource) -> None:
    desk.catch_up.handle("news", kept(1))
    desk.remembers(1, 2, 3)
    close_gap_after_connection_loss(desk)
    desk.catch_up.handle("news", kept(3))
    desk.catch_up.open_gaps(["news"], time.monotonic() - 1)  # and 4 is published
    desk.gate.set()
    settle()
    desk.remembers(1, 2, 3, 4, 5)
    desk.catch_up.note_resubscribed("news")
    desk.catch_up.handle("news", kept(5))
    eventually(lambda: desk.numbers() == [1, 2, 3, 4, 5])
    assert desk.reads == 2


def test_a_history_that_was_read_before_the_connection_broke_again_is_not_used(desk: FakeSource) -> None:
    desk.gate.set()
    desk.passed.clear()
    desk.catch_up.handle("news", kept(1))
    desk.remembers(1, 2)
    close_gap_after_connection_loss(desk)
    desk.catch_up.open_gaps(["news"], time.monotonic() - 1)
    desk.remembers(1, 2, 3)
    desk.catch_up.note_resubscribed("news")
    desk.passed.set()
    eventually(lambda: desk.numbers() == [1, 2, 3])


def test_publications_of_an_earlier_connection_are_kept_with_a_short_history(desk: FakeSource) -> None:
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    for received in (kept(2), JOIN, kept(3)):
        desk.catch_up.handle("news", received)
    desk.catch_up.open_gaps(["news"], time.monotonic() - 1)
    desk.remembers(3, 4, 5)
    desk.gate.set()
    desk.catch_up.note_resubscribed("news")
    eventually(lambda: desk.numbers() == [1, 2, 3, 4, 5])
    assert JOIN.event in desk.delivered


def test_wait_for_a_gap_ends_when_the_gap_is_closed_or_the_channel_unsubscribed(desk: FakeSource) -> None:
    assert desk.catch_up.wait_closed("news", 1)
    desk.catch_up.handle("news", kept(1))
    desk.catch_up.open_gaps(["news"], time.monotonic() - 1)
    assert not desk.catch_up.wait_closed("news", 0.01)
    waiting = gevent.spawn(desk.catch_up.wait_closed, "news", 10)
    settle()
    desk.catch_up.forget("news")
    assert waiting.get(timeout=1)
    assert desk.catch_up.wait_closed("news", 0.01)


def test_publications_read_from_history_count_as_passed_only_after_the_connection(desk: FakeSource) -> None:
    desk.catch_up.note_newest("news", "1")
    assert not desk.catch_up.has_passed("news", "1")
    desk.catch_up.note_passed("news", "1")
    assert desk.catch_up.has_passed("news", "1")
    desk.catch_up.handle("news", kept(2))
    assert desk.catch_up.has_passed("news", "2")
    assert not desk.catch_up.has_passed("news", "1")


def test_unreadable_history_does_not_block_delivery(desk: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "MAX_DELAY", 0.001)
    desk.gate.set()
    desk.history = None
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    desk.catch_up.handle("news", kept(3))
    eventually(lambda: desk.numbers() == [1, 3])
    assert desk.left_open == [("news", None)]


def test_channel_that_is_unsubscribed_meanwhile_is_forgotten(desk: FakeSource) -> None:
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    desk.remembers(1, 2)
    desk.catch_up.forget("news")
    desk.gate.set()
    settle()
    assert desk.numbers() == [1]


def test_history_of_an_unsubscribed_channel_is_not_read(desk: FakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "MAX_DELAY", 0.001)
    desk.history = None
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    eventually(lambda: desk.reads == 1)
    desk.catch_up.forget("news")
    desk.gate.set()
    gevent.sleep(0.01)
    assert (desk.reads, desk.numbers(), desk.left_open) == (1, [1], [])


def test_internal_error_does_not_block_new_publications(
    desk: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(channels: Sequence[str]) -> list[History]:
        raise ZeroDivisionError

    monkeypatch.setattr(desk, "read_histories", fail)
    desk.catch_up.handle("news", kept(1))
    close_gap_after_connection_loss(desk)
    desk.catch_up.handle("news", kept(3))
    eventually(lambda: desk.numbers() == [1, 3])
    assert "test: cannot read histories: internal error" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert desk.left_open == [("news", None)]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_event_whose_delivery_fails_does_not_lose_the_others(
    desk: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: int
) -> None:
    deliver = desk.deliver

    def deliver_or_fail(event: Event) -> None:
        if isinstance(event, Publication) and event.uid == str(failing):
            raise ZeroDivisionError
        deliver(event)

    desk.catch_up.handle("news", kept(0))
    monkeypatch.setattr(desk, "deliver", deliver_or_fail)
    close_gap_after_connection_loss(desk)
    desk.remembers(0, 1, 2)
    desk.catch_up.handle("news", kept(3))
    desk.gate.set()
    eventually(lambda: not desk.catch_up.has_gap("news"))
    desk.catch_up.handle("news", kept(4))
    assert desk.numbers() == [number for number in range(5) if number != failing]
    assert "test: cannot handle a message" in caplog.text


def test_gaps_are_closed_also_after_an_unexpected_exception(
    desk: FakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the failing gap has held is delivered, and so are the other gaps of the batch, and later ones."""
    report = desk.report_open_gap

    def report_or_fail(channel: str, found: int | None, seconds: float) -> bool:
        if channel == "news":
            raise ZeroDivisionError
        return report(channel, found, seconds)

    monkeypatch.setattr(desk, "report_open_gap", report_or_fail)
    desk.gate.set()
    desk.remembers(7)
    for channel in ("news", "chat"):
        desk.catch_up.handle(channel, kept(1))
    desk.catch_up.open_gaps(["news", "chat"], time.monotonic() - 1)
    for channel in ("news", "chat"):
        desk.catch_up.handle(channel, JOIN)
        desk.catch_up.note_resubscribed(channel)
    eventually(lambda: not (desk.catch_up.has_gap("news") or desk.catch_up.has_gap("chat")))
    assert desk.delivered.count(JOIN.event) == 2
    assert desk.numbers() == [1, 1, 7, 7]
    assert desk.left_open == [("chat", 1)]
    assert "test: internal error, retrying" in caplog.text
    close_gap_after_connection_loss(desk)
    eventually(lambda: not desk.catch_up.has_gap("news"))
