"""A histogram of durations: recording one takes two additions, because durations are recorded more often than read."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets in seconds. From 5 ms on they are those that client libraries of Prometheus use."""


class Histogram:
    """Counts durations by bucket since the start. Counts are never reset, so readers compute differences.

    `last` is the last duration in seconds.
    """

    __slots__ = ("counts", "last", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        """The durations of each bucket alone; the last one has those above all bounds."""
        self.seconds = 0.0
        """The sum of all durations."""
        self.last = 0.0

    def observe(self, seconds: float) -> None:
        """Record one duration in seconds."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        self.last = seconds

    @property
    def count(self) -> int:
        """The number of recorded durations."""
        return sum(self.counts)
