"""A gap is closed from the history: in order, once, and with nothing newer before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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


class Desk:
    """What a CatchUp reads from and delivers to."""

    def __init__(self) -> None:
        self.history: History | None = History([], 0)
        self.gate = Gate()
        self.delivered: list[Event] = []
        self.catch_up = CatchUp("test", self.read, self.delivered.append)

    def read(self, channels: Sequence[str]) -> list[History]:
        self.gate.wait()
        if self.history is None:
            raise EngineError("away")
        return [self.history for _ in channels]

    def remembers(self, *uids: int, complete: int | None = None) -> None:
        """The history, oldest first."""
        self.history = History([message(uid) for uid in reversed(uids)], len(uids) if complete is None else complete)

    def numbers(self) -> list[int]:
        return [int(event.uid) for event in self.delivered if isinstance(event, Publication)]


@pytest.fixture
def desk(nothing_left_behind: None) -> Iterator[Desk]:
    made = Desk()
    made.catch_up.start()
    yield made
    made.catch_up.stop()


def suffer_a_gap(desk: Desk) -> None:
    desk.catch_up.lose(["news"])
    desk.catch_up.regain("news")
    settle()


def test_what_was_missed_comes_before_what_is_new(desk: Desk) -> None:
    desk.catch_up.handle("news", kept(1))
    suffer_a_gap(desk)
    desk.remembers(1, 2, 3, 4)
    for received in (kept(4), JOIN, kept(5)):
        desk.catch_up.handle("news", received)
    assert desk.numbers() == [1]
    desk.gate.set()
    eventually(lambda: len(desk.delivered) == 6)
    assert desk.numbers() == [1, 2, 3, 4, 5]
    assert desk.delivered[4] == JOIN.event


def test_without_anything_missed_nothing_comes(desk: Desk) -> None:
    desk.gate.set()
    desk.remembers(1)
    desk.catch_up.handle("news", kept(1))
    suffer_a_gap(desk)
    desk.catch_up.handle("news", kept(2))
    eventually(lambda: desk.numbers() == [1, 2])


def test_a_history_that_was_empty_may_have_been_filled(desk: Desk) -> None:
    desk.gate.set()
    desk.catch_up.note_newest("news", "")
    desk.remembers(1, 2)
    suffer_a_gap(desk)
    eventually(lambda: desk.numbers() == [1, 2])


def test_of_a_history_that_does_not_reach_back_all_that_is_newer_comes(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.gate.set()
    desk.catch_up.handle("news", kept(1))
    desk.remembers(7, 8, 9, complete=2)  # 7 is of an epoch before
    suffer_a_gap(desk)
    eventually(lambda: desk.numbers() == [1, 8, 9])
    assert "messages may be missing in 1 channels" in caplog.text


def test_channels_without_history_go_on_at_once(desk: Desk) -> None:
    desk.catch_up.handle("news", Received(message(1), False))
    suffer_a_gap(desk)
    desk.catch_up.handle("news", Received(message(2), False))
    assert desk.numbers() == [1, 2]


def test_a_history_that_cannot_be_read_holds_nothing_up_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catch_up, "PAUSE", 0.001)
    desk.gate.set()
    desk.history = None
    desk.catch_up.handle("news", kept(1))
    suffer_a_gap(desk)
    desk.catch_up.handle("news", kept(3))
    eventually(lambda: desk.numbers() == [1, 3])


def test_a_channel_that_is_left_meanwhile_is_forgotten(desk: Desk) -> None:
    desk.catch_up.handle("news", kept(1))
    suffer_a_gap(desk)
    desk.remembers(1, 2)
    desk.catch_up.forget("news")
    desk.gate.set()
    settle()
    assert desk.numbers() == [1]
