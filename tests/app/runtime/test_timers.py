"""Behaviour of timers: the order of calls, and cancelling."""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Iterator
from functools import partial

import gevent
import pytest

from gentrifugo.app.runtime import yielding
from gentrifugo.app.runtime.timers import MAX_WAIT, RoughDelay, Timers
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


def test_a_long_bucket_lets_other_greenlets_run(timers: Timers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", 0)
    calls: list[int] = []
    found: list[int] = []

    def start_another() -> None:
        gevent.spawn_later(0, lambda: found.append(len(calls)))

    timers.after(0, start_another)
    for number in range(20):
        timers.after(0, partial(calls.append, number))
    eventually(lambda: len(calls) == 20)
    assert found[0] < 20


def test_timers_that_are_stopped_within_a_bucket_are_called_after_the_next_start(
    timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", 0)
    calls: list[int] = []

    def call_and_stop() -> None:
        calls.append(0)
        gevent.spawn(timers.stop)

    timers.after(0, call_and_stop)
    for number in range(1, 20):
        timers.after(0, partial(calls.append, number))
    eventually(lambda: calls)
    settle()
    assert len(calls) < 20
    timers.start()
    eventually(lambda: calls == list(range(20)))


def test_other_greenlets_run_between_two_buckets_that_are_due(timers: Timers) -> None:
    calls: list[int] = []
    found: list[int] = []

    def start_another() -> None:
        gevent.spawn(lambda: found.append(len(calls)))

    timers.after(-3, start_another)
    for number in range(20):
        timers.after(-2 + number / 50, partial(calls.append, number))
    eventually(lambda: len(calls) == 20)
    assert found == [0]


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


@pytest.mark.parametrize("delay", [float("nan"), float("-inf")])
def test_an_impossible_delay_of_a_callback_is_logged_and_other_timers_run(
    timers: Timers, caplog: pytest.LogCaptureFixture, delay: float
) -> None:
    calls: list[str] = []
    timer = timers.after(0, lambda: delay)
    timers.after(0, lambda: calls.append("same time"))
    timers.after(0.02, lambda: calls.append("later"))
    eventually(lambda: len(calls) == 2)
    assert timer.callback is None
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


@pytest.fixture
def precise(nothing_left_behind: None, clock: FakeClock) -> Iterator[Timers]:
    """Timers with the default resolution and the time of `clock`."""
    timers = Timers(clock=clock)
    timers.start()
    yield timers
    timers.stop()


def times_of_calls(clock: FakeClock, timers: Timers, delays: list[float]) -> list[float]:
    """When timers are called that have been set at the same time, in seconds after that."""
    began = clock()
    found = [0.0] * len(delays)

    def note(place: int) -> None:
        found[place] = round(clock() - began, 1)

    for place, delay in enumerate(delays):
        timers.after(delay, partial(note, place))
    while not all(found):
        step(clock, timers)
    return found


def step(clock: FakeClock, timers: Timers) -> None:
    """Let a tenth of a second pass, and run the timers that are due."""
    clock.advance(0.1 + 1e-9)
    timers.after(-1, lambda: None)  # wakes the timers up, so that they look at the clock
    for _ in range(10):
        gevent.sleep(0)


def test_rough_delays_call_many_timers_together(clock: FakeClock, precise: Timers) -> None:
    delays = [20 + number / 5 for number in range(25)]
    exact = times_of_calls(clock, precise, list(delays))
    rough = times_of_calls(clock, precise, [RoughDelay(delay) for delay in delays])
    assert len(set(exact)) == 25
    assert len(set(rough)) <= 6
    assert all(abs(found - delay) <= 0.6 for found, delay in zip(rough, delays, strict=True))


def test_short_rough_delays_are_as_precise_as_others(clock: FakeClock, precise: Timers) -> None:
    delays = [0.1, 0.5, 1, 2, 3]
    assert times_of_calls(clock, precise, [RoughDelay(delay) for delay in delays]) == times_of_calls(
        clock, precise, list(delays)
    )


def test_a_rough_delay_that_a_callback_returns_keeps_the_rhythm(clock: FakeClock, precise: Timers) -> None:
    """A ping every 25 seconds and a check after each: rounding must not add up."""
    pings: list[float] = []

    def ping_or_check() -> float:
        if len(checks) == len(pings):
            pings.append(clock())
            return 25 / 9
        checks.append(clock())
        return RoughDelay(25 * 8 / 9)

    checks: list[float] = []
    precise.after(RoughDelay(20), ping_or_check)
    while len(pings) < 5:
        step(clock, precise)
    intervals = [round(later - earlier, 1) for earlier, later in itertools.pairwise(pings)]
    assert intervals == [25] * 4
