"""Percentiles are values that were measured."""

from __future__ import annotations

from benchmarks.percentiles import Percentiles


def test_percentiles_of_a_hundred_values() -> None:
    assert Percentiles.of(range(100, 0, -1)) == (50, 90, 99, 100)


def test_percentiles_of_one_value() -> None:
    assert Percentiles.of([3.5]) == (3.5, 3.5, 3.5, 3.5)


def test_percentiles_of_two_values() -> None:
    assert Percentiles.of([2, 1]) == (1, 2, 2, 2)


def test_percentiles_of_no_values() -> None:
    assert Percentiles.of([]) is None
