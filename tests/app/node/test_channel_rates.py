"""Behaviour of the rates of channels, which are counted only while operators request them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.node.channel_rates import INTERVAL, KEPT_AFTER_QUESTION, ChannelRates
from tests.fakes import FakeClock


class Rates(ChannelRates):
    """Rates with a fake clock, whose timers the test calls."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        super().__init__(lambda delay, call: self.timers.append((self.clock.now + delay, call)), self.clock)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        due = [call for when, call in self.timers if when <= self.clock.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.clock.now]
        for call in due:
            call()

    def publish(self, channel: str, times: int) -> None:
        if self.counts is not None:
            for _ in range(times):
                self.counts[channel] += 1


def test_nothing_is_counted_before_the_first_question() -> None:
    rates = Rates()
    assert rates.counts is None
    assert rates.current() is None
    assert rates.counts == {}


def rates_of(rates: Rates, *channels: str) -> list[float]:
    rate = rates.current()
    assert rate is not None
    return [rate(channel) for channel in channels]


def test_a_rate_is_that_of_the_last_two_intervals() -> None:
    rates = Rates()
    rates.current()
    rates.publish("news", 10)
    rates.advance(INTERVAL)
    assert rates_of(rates, "news", "sport") == [10 / INTERVAL, 0]
    rates.publish("sport", 5)
    rates.advance(INTERVAL)
    assert rates_of(rates, "news", "sport") == [1.0, 0.5]
    rates.advance(INTERVAL)
    assert rates_of(rates, "news", "sport") == [0, 0.5]


def test_several_operators_can_ask_at_any_time() -> None:
    rates = Rates()
    rates.current()
    rates.publish("news", 4)
    rates.advance(1)
    assert [rates_of(rates, "news"), rates_of(rates, "news")] == [[4.0], [4.0]]


def test_counting_ends_some_time_after_the_last_question() -> None:
    rates = Rates()
    rates.current()
    rates.advance(KEPT_AFTER_QUESTION - 1)
    rates.current()
    rates.advance(2)
    assert rates.counts is not None
    rates.advance(KEPT_AFTER_QUESTION)
    assert rates.counts is None
    assert rates.current() is None


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_a_question_right_after_the_first_one_is_answered(seconds: float) -> None:
    rates = Rates()
    rates.current()
    rates.advance(seconds)
    assert rates_of(rates, "news") == [0]
