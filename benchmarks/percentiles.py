"""Percentiles of measured values."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Percentiles(NamedTuple):
    """The values that 50, 90 and 99 percent of all values do not exceed, and the largest."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Percentiles | None:
        """Compute the percentiles of values in any order; each percentile is one of the values. None without values."""
        ordered = sorted(values)
        if not ordered:
            return None
        p50, p90, p99 = (ordered[math.ceil(len(ordered) * percent / 100) - 1] for percent in (50, 90, 99))
        return cls(p50, p90, p99, ordered[-1])
