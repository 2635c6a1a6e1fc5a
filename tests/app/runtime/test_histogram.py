"""Behaviour of histograms: which bucket a duration is in, and what they add up to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.runtime.histogram import BOUNDS, Histogram


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (-1e-9, 0), (BOUNDS[0], 0), (0.00011, 1), (0.004, 5), (10.0, len(BOUNDS) - 1), (11.0, len(BOUNDS))],
)
def test_a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed(seconds: float, bucket: int) -> None:
    histogram = Histogram()
    histogram.observe(seconds)
    assert [index for index, count in enumerate(histogram.counts) if count] == [bucket]


@given(st.lists(st.floats(0, 100, allow_nan=False)))
def test_a_histogram_counts_and_adds_all_durations(durations: list[float]) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.observe(seconds)
    assert histogram.count == len(durations)
    assert histogram.seconds == pytest.approx(sum(durations))
    assert histogram.last == (durations[-1] if durations else 0)
