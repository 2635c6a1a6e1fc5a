"""Behaviour of the CPU meter: the share of the last complete window, or of the current one if that is lower."""

from __future__ import annotations

import gevent

from gentrifugo.app.runtime.cpu_meter import MIN_WINDOW, WINDOW, CPUMeter
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
