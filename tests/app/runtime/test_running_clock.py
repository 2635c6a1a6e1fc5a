"""A clock that does not count pauses of the process, and time limits with it: data is read before a timeout."""

from __future__ import annotations

import time

import gevent
import pytest
from gevent._hub_local import set_hub
from gevent.event import AsyncResult, Event

from gentrifugo.app.runtime import running_clock
from gentrifugo.app.runtime.running_clock import MIN_STANDSTILL, TICK, RunningClock, TimeLimit, running_time, wait_for
from tests.fakes import FakeClock
from tests.greenlets import settle

LONG = TICK + MIN_STANDSTILL + 0.3
"""Seconds that the tests let this process stand still: longer than any limit they set."""


def stand_still() -> None:
    """Block the process, like a long computation or SIGSTOP."""
    time.sleep(LONG)


class Late(BaseException):
    pass


@pytest.fixture
def ticking(nothing_left_behind: None) -> None:
    """A running clock that was updated a moment ago, as in a server."""
    running_time()
    gevent.sleep(2 * TICK)


def test_the_clock_advances_while_the_process_runs() -> None:
    clock = FakeClock()
    running = RunningClock(clock)
    began = running()
    for _ in range(10):
        clock.advance(TICK)
        running.tick()
    assert running() - began == pytest.approx(10 * TICK)


def test_the_clock_stops_while_the_process_is_suspended() -> None:
    clock = FakeClock()
    running = RunningClock(clock)
    began = running()
    clock.advance(60)
    before = running()
    running.tick()
    after = running()
    assert before - began == pytest.approx(TICK)
    assert after == pytest.approx(before)
    clock.advance(0.2)
    assert running() - after == pytest.approx(0.2)


def test_a_small_delay_of_the_event_loop_does_not_stop_the_clock() -> None:
    clock = FakeClock()
    running = RunningClock(clock)
    began = running()
    clock.advance(TICK + MIN_STANDSTILL)
    running.tick()
    assert running() - began == pytest.approx(TICK + MIN_STANDSTILL)


@pytest.mark.usefixtures("ticking")
def test_data_that_arrived_during_a_suspension_is_in_time() -> None:
    result: AsyncResult[str] = AsyncResult()

    def work() -> None:
        gevent.sleep(0.1)
        gevent.sleep(0.1)
        result.set("there")

    working = gevent.spawn(work)
    gevent.spawn_later(0.05, stand_still)
    assert wait_for(result, 0.4)
    working.get()


@pytest.mark.usefixtures("ticking")
def test_wait_checks_first_and_ends_at_the_time_limit() -> None:
    event = Event()
    assert not wait_for(event, 0.01)
    assert not wait_for(event, 0)
    event.set()
    assert wait_for(event, 0)


@pytest.mark.usefixtures("ticking")
def test_time_limit_interrupts_a_long_call() -> None:
    with pytest.raises(Late), TimeLimit(0.01, Late()):
        gevent.sleep(5)
    with TimeLimit(5, Late()):
        gevent.sleep(0)
    settle()


@pytest.mark.usefixtures("ticking")
def test_a_time_limit_does_not_count_a_suspended_process() -> None:
    gevent.spawn_later(0.05, stand_still)
    with TimeLimit(0.4, Late()):
        gevent.sleep(0.1)
        gevent.sleep(0.1)
    with pytest.raises(Late), TimeLimit(0.01, Late()):
        gevent.sleep(5)


@pytest.mark.usefixtures("nothing_left_behind")
def test_default_clock_counts_running_time() -> None:
    assert isinstance(running_clock.running_time, RunningClock)
    assert running_time() <= running_time()


def test_a_process_with_another_event_loop_has_its_own_ticks() -> None:
    """For example after a fork, when the old event loop does not run."""
    clock = FakeClock()
    running = RunningClock(clock)
    running()
    old = gevent.get_hub()
    new = type(old)(default=False)
    try:
        set_hub(new)
        clock.advance(60)
        assert running() - running() == 0
    finally:
        set_hub(old)
        new.destroy(destroy_loop=True)
