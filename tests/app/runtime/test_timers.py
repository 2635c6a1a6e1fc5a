"""Behaviour of timers: the order of calls, and cancelling."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from functools import partial

import gevent
import pytest

from gentrifugo.app.runtime.timers import MAX_WAIT, Timers
from tests.fakes import FakeClock
from tests.greenlets import eventually, settle


@pytest.fixture
def timers(nothing_left_behind: None) -> Iterator[Timers]:
    timers = Timers(resolution=0.01)
    timers.start()
    yield timers
    timers.stop()


def test_timers_call_in_the_order_of_their_times(timers: Timers) -> None:
    calls: list[str] = []
    timers.after(0.1, lambda: calls.append("late"))
    timers.after(0.01, lambda: calls.append("early"))
    timers.after(0.05, lambda: calls.append("between"))
    eventually(lambda: len(calls) == 3)
    assert calls == ["early", "between", "late"]


def test_timers_of_the_same_time_call_in_the_order_they_were_set(timers: Timers) -> None:
    calls: list[int] = []
    for number in range(5):
        timers.after(3600, partial(calls.append, number))
    for number in range(5, 10):
        timers.after(0, partial(calls.append, number))
    eventually(lambda: calls)
    assert calls == [5, 6, 7, 8, 9]


def test_a_timer_calls_once(timers: Timers) -> None:
    calls: list[str] = []
    timers.after(0, lambda: calls.append("first"))
    timers.after(0.03, lambda: calls.append("second"))
    eventually(lambda: "second" in calls)
    assert calls == ["first", "second"]


def test_a_callback_that_returns_a_delay_is_called_again(timers: Timers) -> None:
    delays: list[float | None] = [0, 0.02, None]
    calls: list[float | None] = []

    def call() -> float | None:
        calls.append(delays[len(calls)])
        return calls[-1]

    timer = timers.after(0, call)
    eventually(lambda: len(calls) == 3)
    assert eventually(lambda: timer.callback is None)


def test_a_timer_that_its_own_callback_cancels_is_not_called_again(timers: Timers) -> None:
    calls: list[str] = []

    def call() -> float:
        calls.append("called")
        timer.cancel()
        return 0

    timer = timers.after(0, call)
    timers.after(0.05, lambda: calls.append("later"))
    eventually(lambda: "later" in calls)
    assert calls == ["called", "later"]


def test_an_earlier_timer_interrupts_the_wait_for_a_later_one(timers: Timers) -> None:
    calls: list[str] = []
    timers.after(3600, lambda: calls.append("late"))
    settle()
    timers.after(0, lambda: calls.append("early"))
    eventually(lambda: calls == ["early"])


def test_a_cancelled_timer_does_not_call(timers: Timers) -> None:
    calls: list[str] = []
    cancelled = timers.after(0, lambda: calls.append("cancelled"))
    timers.after(0.02, lambda: calls.append("other"))
    cancelled.cancel()
    cancelled.cancel()
    eventually(lambda: calls)
    assert calls == ["other"]


def test_cancelling_after_the_call_does_nothing(timers: Timers) -> None:
    calls: list[str] = []
    timer = timers.after(0, lambda: calls.append("called"))
    eventually(lambda: calls)
    timer.cancel()
    assert calls == ["called"]


def test_cancelled_timer_releases_its_callback(timers: Timers) -> None:
    class Held:
        def call(self) -> None: ...

    held = Held()
    reference = weakref.ref(held)
    timer = timers.after(3600, held.call)
    del held
    assert reference() is not None
    timer.cancel()
    assert reference() is None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def clocked(nothing_left_behind: None, clock: FakeClock) -> Iterator[Timers]:
    """Timers with the time of `clock`."""
    timers = Timers(0.01, clock)
    timers.start()
    yield timers
    timers.stop()


def advance(clock: FakeClock, timers: Timers, seconds: float) -> None:
    """Let time pass in steps, and run the timers after each."""
    for _ in range(int(seconds / 60)):
        calls: list[str] = []
        timers.after(0, partial(calls.append, "now"))
        clock.advance(60)
        eventually(lambda calls=calls: calls)  # type: ignore[misc]
        settle()


def test_a_timer_far_ahead_is_called_when_it_is_due(clock: FakeClock, clocked: Timers) -> None:
    calls: list[str] = []
    clocked.after(3 * MAX_WAIT, lambda: calls.append("called"))
    advance(clock, clocked, 3 * MAX_WAIT - 60)
    assert calls == []
    advance(clock, clocked, 120)
    assert calls == ["called"]


def test_a_callback_may_be_called_again_after_a_long_delay(clock: FakeClock, clocked: Timers) -> None:
    calls: list[float] = []

    def call() -> float:
        calls.append(clock())
        return 3 * MAX_WAIT

    clocked.after(0, call)
    advance(clock, clocked, 3 * MAX_WAIT - 60)
    assert len(calls) == 1
    advance(clock, clocked, 180)
    assert len(calls) == 2


def test_a_repeated_call_counts_its_delay_from_the_end_of_the_call_before(clock: FakeClock, clocked: Timers) -> None:
    calls: list[float] = []

    def call() -> float:
        calls.append(clock())
        return 1

    clocked.after(0, lambda: clock.advance(0.9))
    clocked.after(0, call)
    clock.advance(0.1)
    eventually(lambda: len(calls) == 1)
    later: list[str] = []
    clocked.after(0.5, lambda: later.append("called"))
    clock.advance(0.6)
    eventually(lambda: later)
    assert len(calls) == 1
    clock.advance(0.6)
    clocked.after(0, lambda: later.append("called"))
    clock.advance(0.1)
    eventually(lambda: len(calls) == 2)


def test_cancelled_timer_far_ahead_is_removed_soon(clock: FakeClock, clocked: Timers) -> None:
    timer = clocked.after(10 * MAX_WAIT, lambda: None)
    kept = sys.getrefcount(timer)
    timer.cancel()
    advance(clock, clocked, MAX_WAIT + 60)
    assert sys.getrefcount(timer) == kept - 1


@pytest.mark.parametrize("delay", [1e20, 1e308, float("inf")])
def test_a_delay_may_be_longer_than_any_clock(clock: FakeClock, clocked: Timers, delay: float) -> None:
    calls: list[str] = []
    clocked.after(delay, lambda: calls.append("called"))
    advance(clock, clocked, 2 * MAX_WAIT)
    assert calls == []


def test_timer_callback_may_set_and_cancel_other_timers(timers: Timers) -> None:
    calls: list[str] = []

    def first() -> None:
        other.cancel()
        timers.after(0, lambda: calls.append("next"))

    timers.after(0, first)
    other = timers.after(0, lambda: calls.append("other"))
    eventually(lambda: calls)
    assert calls == ["next"]


def test_timers_may_be_set_before_the_start(nothing_left_behind: None) -> None:
    timers = Timers(resolution=0.01)
    calls: list[str] = []
    timers.after(0, lambda: calls.append("called"))
    timers.start()
    eventually(lambda: calls)
    timers.stop()


def test_an_exception_in_a_timer_is_logged_and_other_timers_run(
    timers: Timers, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []
    timers.after(0, lambda: 1 / 0)
    timers.after(0, lambda: calls.append("same time"))
    timers.after(0.02, lambda: calls.append("later"))
    eventually(lambda: len(calls) == 2)
    (record,) = caplog.records
    assert record.exc_info is not None


def test_stopped_timers_call_no_functions(nothing_left_behind: None) -> None:
    timers = Timers(resolution=0.001)
    timers.start()
    calls: list[str] = []
    timers.after(0.001, lambda: calls.append("called"))
    timers.stop()
    timers.stop()
    gevent.sleep(0.02)
    assert calls == []


def test_suspension_does_not_make_timers_due_earlier(nothing_left_behind: None) -> None:
    clock = FakeClock()
    timers = Timers(0.01, clock)
    timers.start()
    calls: list[str] = []
    timers.after(0.02, lambda: calls.append("called"))
    gevent.sleep(0.1)  # which the clock has not counted
    assert calls == []
    clock.advance(1)
    timers.after(0, lambda: None)  # the timers look at the clock again
    eventually(lambda: calls == ["called"])
    timers.stop()
