"""Behaviour of the CPU meter: the share of the last complete window, or of the current one if that is lower."""

from __future__ import annotations

import time

import gevent

from gentrifugo.app.runtime.cpu_meter import MIN_WINDOW, SPARE_LIMIT, WINDOW, CPUMeter, SpareCPU, demanded_cpu_time
from tests.fakes import FakeClock


def test_the_share_is_that_of_the_last_window() -> None:
    clock, cpu = FakeClock(), FakeClock()
    meter = CPUMeter(clock, cpu)
    assert meter.share() == 0
    clock.advance(2 * WINDOW)
    cpu.advance(WINDOW / 2)
    assert meter.share() == 0.25
    clock.advance(WINDOW)
    cpu.advance(WINDOW)
    assert meter.share() == 1


def busy_then(passed: float, worked: float) -> float:
    """The share when a busy window is followed by `passed` seconds with `worked` seconds of work in them."""
    clock, cpu = FakeClock(), FakeClock()
    meter = CPUMeter(clock, cpu)
    clock.advance(WINDOW)
    cpu.advance(WINDOW / 2)
    assert meter.share() == 0.5
    clock.advance(passed)
    cpu.advance(worked)
    return meter.share()


def test_the_cpu_share_falls_as_soon_as_the_load_does() -> None:
    assert busy_then(MIN_WINDOW * 1.1, 0) == 0


def test_short_load_does_not_change_the_share() -> None:
    assert busy_then(MIN_WINDOW / 2, 0) == 0.5


def test_share_increases_only_after_complete_windows() -> None:
    assert busy_then(WINDOW / 2, WINDOW / 2) == 0.5
    assert busy_then(WINDOW, WINDOW) == 1


def test_share_is_at_most_one_if_clocks_disagree() -> None:
    clock, cpu = FakeClock(), FakeClock()
    meter = CPUMeter(clock, cpu)
    clock.advance(WINDOW)
    cpu.advance(2 * WINDOW)
    assert meter.share() == 1


def test_waiting_does_not_count_as_cpu_time() -> None:
    meter = CPUMeter()
    gevent.sleep(WINDOW * 1.1)
    assert meter.share() < 0.5


# -- a CPU for another thread


def test_cpu_is_spare_unless_the_process_was_busy_in_the_last_window() -> None:
    clock, demand = FakeClock(), FakeClock()
    has_spare = SpareCPU(clock, demand)
    assert has_spare(), "nothing is known yet"
    demand.advance(WINDOW)
    clock.advance(WINDOW / 2)
    assert has_spare(), "the window is not complete"
    clock.advance(WINDOW / 2)
    assert not has_spare()
    demand.advance(WINDOW * (SPARE_LIMIT - 0.1))
    clock.advance(WINDOW)
    assert has_spare()


def test_demand_contains_the_time_of_all_threads() -> None:
    before, began = demanded_cpu_time(), time.process_time()
    while time.process_time() - began < 0.05:
        pass
    assert demanded_cpu_time() - before >= 0.05
