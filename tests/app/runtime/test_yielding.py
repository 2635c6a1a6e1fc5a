"""Behaviour of yielding: a greenlet that has worked for a long time yields, and one that has just waited does not."""

from __future__ import annotations

import math

import gevent
import pytest

from gentrifugo.app.runtime import yielding
from gentrifugo.app.runtime.yielding import iterate_yielding, yield_if_due
from tests.greenlets import BackgroundGreenlet


def others_run(calls: int) -> bool:
    """Return whether another greenlet runs during this number of calls of `yield_if_due`, right after a wait."""
    gevent.sleep(0.001)
    other = gevent.spawn(lambda: None)
    try:
        for _ in range(calls):
            yield_if_due()
        return bool(other.dead)
    finally:
        other.join()


def test_a_greenlet_that_has_worked_for_longer_than_its_slice_yields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", -1)
    assert others_run(calls=2)


def test_greenlet_within_its_time_slice_does_not_yield(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", math.inf)
    assert not others_run(calls=100)


def test_waiting_begins_a_new_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", -1)
    yield_if_due()
    assert not others_run(calls=1)


def test_another_greenlet_has_a_slice_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", -1)
    ran = []

    def work(name: str) -> None:
        yield_if_due()
        ran.append(name)

    gevent.joinall([gevent.spawn(work, name) for name in "ab"])
    assert ran == ["a", "b"]


def test_other_greenlets_run_between_many_items(background_greenlet: BackgroundGreenlet) -> None:
    assert list(iterate_yielding(range(5))) == [0, 1, 2, 3, 4]
    assert background_greenlet.turns >= 4


def test_few_items_cause_no_yield(monkeypatch: pytest.MonkeyPatch, nothing_left_behind: None) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", math.inf)
    with BackgroundGreenlet() as other:
        assert len(list(iterate_yielding(range(100)))) == 100
        assert other.turns == 0
