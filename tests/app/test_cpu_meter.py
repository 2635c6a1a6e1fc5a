"""Behaviour of the CPU meter: the share of the last whole window, whenever one looks."""

from __future__ import annotations

import gevent

from gentrifugo.app.cpu_meter import WINDOW, CPUMeter
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


def test_within_a_window_the_share_stays() -> None:
    clock, cpu = FakeClock(), FakeClock()
    meter = CPUMeter(clock, cpu)
    clock.advance(WINDOW)
    cpu.advance(WINDOW / 2)
    assert meter.share() == 0.5
    clock.advance(WINDOW / 2)
    assert meter.share() == 0.5


def test_clocks_that_disagree_give_no_more_than_a_whole_cpu() -> None:
    clock, cpu = FakeClock(), FakeClock()
    meter = CPUMeter(clock, cpu)
    clock.advance(WINDOW)
    cpu.advance(2 * WINDOW)
    assert meter.share() == 1


def test_waiting_is_not_work() -> None:
    meter = CPUMeter()
    gevent.sleep(WINDOW * 1.1)
    assert meter.share() < 0.5
