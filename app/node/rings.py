"""Rings of samples: figures over the last day, with a ring for each step, of limited size.

Samples are taken at whole multiples of a step of the clock, so samples of several nodes have the same times. What was
not measured, for example because the process was suspended, is a gap. Independent of what the figures mean.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

STEPS = {2: 450, 30: 360, 300: 288}
"""The seconds between two samples, and how many are kept: 15 minutes, 3 hours and a day."""
MIN_STEP = min(STEPS)
MAX_WINDOW = max(step * size for step, size in STEPS.items())
SETTLING_TIME = 1.0
"""Seconds after which all nodes have taken a sample, though their clocks differ a little and they may be busy."""
GAP = math.nan
SAMPLED_PERCENTILES = (50, 90, 99)
SHADES = 32
"""Parts of each power of two into which durations are counted, so that a percentile is at most 3 % too high."""
MAX_SHIFT = 26
"""The number of powers of two that are distinguished: durations over 71 minutes are counted as 71 minutes."""


class SamplesWanted(msgspec.Struct):
    """Selects samples of a node: `count` samples, beginning with the one with the number `first`."""

    step: int
    first: int
    """The time of the sample, divided by the step."""
    count: int
    about: Literal["node", "clients", "channel"] = "node"
    channel: str = ""
    """The channel, if they are about one."""


class NodeSamples(msgspec.Struct):
    """The samples of one node, one list for each figure. None is a gap."""

    uid: str
    name: str
    figures: dict[str, list[float | None]]
    since: float = 0.0
    """Since when a channel is recorded, in Unix seconds; 0 if it is not, and for other figures."""


class Durations:
    """Counts durations by size, for percentiles."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, microseconds: Mapping[int, int]) -> None:
        """Add durations in microseconds, with the number of times that each was measured."""
        for duration, number in microseconds.items():
            self._counts[_shade(duration)] += number

    def take(self) -> list[float]:
        """Return the SAMPLED_PERCENTILES in microseconds, 0 without any duration; then nothing is counted any more."""
        counts, self._counts = sorted(self._counts.items()), Counter()
        total = sum(number for _, number in counts)
        found: list[float] = []
        passed = 0
        for shade, number in counts:
            passed += number
            while len(found) < len(SAMPLED_PERCENTILES) and passed >= SAMPLED_PERCENTILES[len(found)] / 100 * total:
                found.append(_upper_end(shade))
        return found or [0.0] * len(SAMPLED_PERCENTILES)


def _shade(duration: int) -> int:
    """Return the number of the part of a power of two that has a duration; durations below SHADES have their own."""
    duration = max(duration, 0)
    shift = min(max(duration.bit_length() - SHADES.bit_length(), 0), MAX_SHIFT)
    return shift * SHADES + min(duration >> shift, 2 * SHADES - 1)


def _upper_end(shade: int) -> float:
    shift = max(shade // SHADES - 1, 0)
    return float(((shade - shift * SHADES + 1) << shift) - 1)


class Ring:
    """The samples with one step. `take` is called with the number of the sample, which only grows."""

    def __init__(self, step: int, size: int, kinds: Sequence[str] = ()) -> None:
        self.step = step
        self._size = size
        self._figures: dict[str, array[float]] = {}
        self._last = -1
        self._counted: Mapping[str, float] = {}
        self.durations: dict[str, Durations] = {kind: Durations() for kind in kinds}

    def take(self, number: int, gauges: Mapping[str, float], counters: Mapping[str, float]) -> None:
        """Store the sample with this number; `counters` are numbers since the start, of which rates are stored."""
        if number <= self._last and self._last - number <= 1:  # the clock was adjusted a little
            return
        if number < self._last:  # the clock was set back: the times of all samples were wrong
            self._figures.clear()
            self._last = -1
        figures = dict(gauges)
        if number == self._last + 1:
            for name, value in counters.items():
                figures[name] = round((value - self._counted.get(name, 0.0)) / self.step, 4)
        for kind, durations in self.durations.items():
            for percentile, value in zip(SAMPLED_PERCENTILES, durations.take(), strict=True):
                figures[f"{kind}_{percentile}%ile"] = value
        self._leave_gap(number)
        for name, value in figures.items():
            if name not in self._figures:
                self._figures[name] = array("d", [GAP]) * self._size
            self._figures[name][number % self._size] = value
        self._last, self._counted = number, counters

    def _leave_gap(self, number: int) -> None:
        """Forget what the places from the last sample up to this one held."""
        for skipped in range(max(self._last, number - self._size) + 1, number + 1):
            for values in self._figures.values():
                values[skipped % self._size] = GAP

    def read(self, first: int, count: int, includes: Callable[[str], bool] = bool) -> dict[str, list[float | None]]:
        """Return the samples with the numbers from `first` on, of the figures whose names `includes` accepts."""
        oldest = self._last - self._size
        numbers = range(first, first + min(count, self._size))
        return {
            name: [
                value
                if oldest < number <= self._last and not math.isnan(value := values[number % self._size])
                else None
                for number in numbers
            ]
            for name, values in self._figures.items()
            if includes(name)
        }

    @property
    def memory(self) -> int:
        """Bytes that the samples take."""
        return sum(values.itemsize * len(values) for values in self._figures.values())


class Rings:
    """Samples of the same figures with each step. `kinds` are the kinds of durations whose percentiles are stored."""

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        self._rings = {step: Ring(step, size, kinds) for step, size in STEPS.items()}
        self._sampled: dict[int, int] = {}

    def add_durations(self, kind: str, microseconds: Mapping[int, int]) -> None:
        """Add durations for the next samples, with the number of times that each was measured."""
        for ring in self._rings.values():
            ring.durations[kind].add(microseconds)

    def take(self, now: float, gauges: Mapping[str, float], counters: Mapping[str, float]) -> None:
        """Store a sample in each ring whose time has come; `counters` are numbers since the start."""
        for step, ring in self._rings.items():
            number = int(now // step)
            if self._sampled.get(step) != number:
                self._sampled[step] = number
                ring.take(number, gauges, counters)

    def read(self, wanted: SamplesWanted, includes: Callable[[str], bool] = bool) -> dict[str, list[float | None]]:
        """Return the wanted samples of the figures whose names `includes` accepts; nothing for an unknown step."""
        ring = self._rings.get(wanted.step)
        return ring.read(wanted.first, wanted.count, includes) if ring is not None else {}

    @property
    def memory(self) -> int:
        """Bytes that all samples take."""
        return sum(ring.memory for ring in self._rings.values())


def window_of(now: float, seconds: float, since: float = 0) -> SamplesWanted:
    """Return which samples the last seconds have that are newer than `since`.

    The step is the shortest one that reaches back so far.
    """
    step = next((step for step, size in STEPS.items() if step * size >= seconds), max(STEPS))
    last = int((now - SETTLING_TIME) // step)
    first = last - math.ceil(min(seconds, MAX_WINDOW) / step) + 1
    first = max(first, int(since // step) + 1)
    return SamplesWanted(step, first, max(last - first + 1, 0))


def times_of(wanted: SamplesWanted) -> Sequence[int]:
    """Return the times of samples, in seconds since 1970."""
    return range(wanted.first * wanted.step, (wanted.first + wanted.count) * wanted.step, wanted.step)
