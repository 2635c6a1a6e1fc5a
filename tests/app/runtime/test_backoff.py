"""Behaviour of the delays between attempts: how they grow, where they end, and when they begin again."""

from __future__ import annotations

import math

import pytest

from gentrifugo.app.runtime.backoff import Backoff


def delays(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_delay() for _ in range(count)]


def test_delays_double_up_to_the_longest() -> None:
    assert delays(Backoff(1, 10), 6) == [1, 2, 4, 8, 10, 10]


def test_success_begins_with_the_first_delay_again() -> None:
    backoff = Backoff(1, 10)
    delays(backoff, 3)
    backoff.reset()
    assert delays(backoff, 2) == [1, 2]


def test_without_a_cap_delays_never_stop_growing() -> None:
    assert delays(Backoff(0.5, math.inf), 4) == [0.5, 1, 2, 4]
    assert delays(Backoff(0.5, math.inf), 2000)[-1] == math.inf


@pytest.mark.parametrize(("share", "expected"), [(0.0, [0.5, 1, 1.5]), (1.0, [1, 2, 3])], ids=["least", "most"])
def test_jitter_shortens_each_delay_and_not_their_growth(share: float, expected: list[float]) -> None:
    def uniform(low: float, high: float) -> float:
        return low + share * (high - low)

    assert delays(Backoff(1, 3, jitter=0.5, uniform=uniform), 3) == expected


def test_random_jitter_stays_within_its_bounds() -> None:
    backoff = Backoff(1, 1, jitter=0.25)
    assert all(0.75 <= delay <= 1 for delay in delays(backoff, 1000))
