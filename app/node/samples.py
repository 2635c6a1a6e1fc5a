"""The figures of a node over the last day: a ring of samples for each step, of limited size.

Samples are taken at whole multiples of a step of the clock, so samples of several nodes have the same times. A time
without a measurement, for example because the process was suspended, is a gap.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import gevent
import msgspec

from .metrics import Metrics

STEPS = {2: 450, 30: 360, 300: 288}
"""The seconds between two samples, and how many are kept: 15 minutes, 3 hours and a day."""
MIN_STEP = min(STEPS)
MAX_WINDOW = max(step * size for step, size in STEPS.items())
SETTLING_TIME = 1.0
"""Seconds after which all nodes have taken a sample, though their clocks differ a little and they may be busy."""
GAP = math.nan
SAMPLED_PERCENTILES = (50, 90, 99)
RATES = {
    "published": "node_num_client_msg_published",
    "received": "node_num_client_msg_received",
    "sent": "client_num_msg_sent",
    "requests": "http_api_num_requests",
    "commands": "client_api_num_requests",
    "connects": "node_num_add_client_conn",
    "disconnects": "node_num_remove_client_conn",
    "slow": "client_num_closed_slow",
    "bytes_in": "client_bytes_in",
    "bytes_out": "client_bytes_out",
}
"""Figures per second, and the counters that they come from."""
SHADES = 32
"""Parts of each power of two into which durations are counted, so that a percentile is at most 3 % too high."""
MAX_EXPONENT = 26
"""Durations of 2 to this power and more, which is a minute in microseconds, are counted as such."""


class SamplesWanted(msgspec.Struct):
    """Selects samples of a node: `count` samples, beginning with the one with the number `first`."""

    step: int
    first: int
    """The time of the sample, divided by the step."""
    count: int


class NodeSamples(msgspec.Struct):
    """The samples of one node, one list for each figure. None is a gap."""

    uid: str
    name: str
    figures: dict[str, list[float | None]]


class Gauges(NamedTuple):
    """Figures that are read when a sample is taken."""

    clients: int
    users: int
    channels: int
    subscriptions: int
    engine_up: int
    """1 if all servers of the engine are reachable."""
    waiting: int
    """Commands that wait for a reply of the engine."""
    round_trip: float
    """The seconds that the engine last took."""


class Durations:
    """Counts durations by size, for percentiles."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, microseconds: Mapping[int, int]) -> None:
        """Add durations in microseconds, with the number of times that each was measured."""
        for duration, number in microseconds.items():
            self._counts[_shade(duration)] += number

    def take(self) -> list[float]:
        """Return the SAMPLED_PERCENTILES in microseconds, 0 without any duration, and reset the counts."""
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
    """Return the bucket of a duration: each power of two has SHADES buckets; small durations have their own."""
    duration = max(duration, 0)
    shift = min(max(duration.bit_length() - SHADES.bit_length(), 0), MAX_EXPONENT)
    return shift * SHADES + min(duration >> shift, 2 * SHADES - 1)


def _upper_end(shade: int) -> float:
    shift = max(shade // SHADES - 1, 0)
    return float(((shade - shift * SHADES + 1) << shift) - 1)


class Ring:
    """The samples with one step. `take` is called with the number of the sample; the numbers only increase."""

    def __init__(self, step: int, size: int) -> None:
        self.step = step
        self._size = size
        self._figures: dict[str, array[float]] = {}
        self._last = -1
        self._counted: Mapping[str, float] = {}
        self.durations: dict[str, Durations] = {"http_api": Durations(), "client_api": Durations()}

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
                figures[name] = round((value - self._counted[name]) / self.step, 3)
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
        """Clear the entries between the last sample and the one with this number."""
        for skipped in range(max(self._last, number - self._size) + 1, number + 1):
            for values in self._figures.values():
                values[skipped % self._size] = GAP

    def read(self, first: int, count: int) -> dict[str, list[float | None]]:
        """Return the samples with the numbers from `first` on."""
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
        }

    @property
    def memory(self) -> int:
        """The size of the samples in bytes."""
        return sum(values.itemsize * len(values) for values in self._figures.values())


class NodeHistory:
    """Takes samples of one node. `gauges` returns the current ones; `clock` is in seconds since 1970."""

    def __init__(self, metrics: Metrics, gauges: Callable[[], Gauges], clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._gauges = gauges
        self._clock = clock
        self._rings = {step: Ring(step, size) for step, size in STEPS.items()}
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._sampled: dict[int, int] = {}

    def start(self) -> None:
        """Start the greenlet that takes samples."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop the greenlet. A second call does nothing."""
        if self._greenlet is not None:
            self._greenlet.kill()
            self._greenlet = None

    def _run(self) -> None:
        while True:
            self.take()
            gevent.sleep(MIN_STEP - self._clock() % MIN_STEP)

    def take(self) -> None:
        """Store a sample in each ring whose time has come."""
        now = self._clock()
        gauges, counters = self._read()
        for step, ring in self._rings.items():
            number = int(now // step)
            if self._sampled.get(step) != number:
                self._sampled[step] = number
                ring.take(number, gauges, counters)

    def _read(self) -> tuple[dict[str, float], dict[str, float]]:
        metrics = self._metrics
        totals = metrics.sample_values()
        for kind, latency in (("http_api", metrics.http_api), ("client_api", metrics.client_api)):
            recorded = latency.take_recorded()
            for ring in self._rings.values():
                ring.durations[kind].add(recorded)
        counters = {name: float(totals[counter]) for name, counter in RATES.items()}
        counters["cpu"] = time.process_time() * 100
        gauges = {name: float(value) for name, value in self._gauges()._asdict().items()}
        return {**gauges, "memory": float(totals["node_memory_sys"])}, counters

    def read(self, wanted: SamplesWanted) -> dict[str, list[float | None]]:
        """Return the requested figures of this node; empty for a step that does not exist."""
        ring = self._rings.get(wanted.step)
        return ring.read(wanted.first, wanted.count) if ring is not None else {}

    def window(self, seconds: float, since: float = 0) -> SamplesWanted:
        """Return the samples of the last seconds that are newer than `since`.

        The step is the shortest one whose ring covers this time.
        """
        step = next((step for step, size in STEPS.items() if step * size >= seconds), max(STEPS))
        last = int((self._clock() - SETTLING_TIME) // step)
        first = last - math.ceil(min(seconds, MAX_WINDOW) / step) + 1
        first = max(first, int(since // step) + 1)
        return SamplesWanted(step, first, max(last - first + 1, 0))

    @property
    def memory(self) -> int:
        """The size of all samples in bytes."""
        return sum(ring.memory for ring in self._rings.values())


def times_of(wanted: SamplesWanted) -> Sequence[int]:
    """Return the times of samples, in seconds since 1970."""
    return range(wanted.first * wanted.step, (wanted.first + wanted.count) * wanted.step, wanted.step)
