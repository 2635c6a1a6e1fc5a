"""The counters of the server, and the durations of requests.

The hot path only adds to plain integers and to a dictionary; percentiles are computed
when they are requested. Names and meaning: docs/stats.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

import psutil

from ..net.flusher import Flusher
from ..runtime.yielding import iterate_yielding
from .breakdowns import Breakdowns

HISTOGRAM_INTERVALS = 15
"""Number of intervals in the long histogram."""
LOWEST, HIGHEST = 1, 60_000_000
"""Range of a histogram in microseconds. Durations outside it count as its lowest or highest value."""
PRECISION_BITS = 11
"""Leading bits of a duration that are published: three significant digits, as in the histograms of Centrifugo v1."""
PERCENTILES = ((50, "50%ile"), (90, "90%ile"), (99, "99%ile"), (99.99, "99.99%ile"))
HISTOGRAM_FIELDS = (*(name for _, name in PERCENTILES), "max", "mean", "min")


@dataclass(slots=True)
class Counters:
    """Counters since the start of the process, under their public names."""

    client_api_num_requests: int = 0
    client_bytes_in: int = 0
    client_bytes_out: int = 0
    client_num_closed_ping_error: int = 0
    client_num_closed_send_error: int = 0
    client_num_closed_slow: int = 0
    client_num_connect: int = 0
    client_num_msg_published: int = 0
    client_num_msg_queued: int = 0
    client_num_msg_sent: int = 0
    client_num_subscribe: int = 0
    http_api_num_requests: int = 0
    http_raw_ws_num_requests: int = 0
    http_sockjs_num_requests: int = 0
    node_num_add_client_conn: int = 0
    node_num_add_client_sub: int = 0
    node_num_add_presence: int = 0
    node_num_admin_msg_published: int = 0
    node_num_admin_msg_received: int = 0
    node_num_client_msg_published: int = 0
    node_num_client_msg_received: int = 0
    node_num_control_msg_published: int = 0
    node_num_control_msg_received: int = 0
    node_num_history: int = 0
    node_num_join_msg_published: int = 0
    node_num_join_msg_received: int = 0
    node_num_last_message_id: int = 0
    node_num_leave_msg_published: int = 0
    node_num_leave_msg_received: int = 0
    node_num_presence: int = 0
    node_num_remove_client_conn: int = 0
    node_num_remove_client_sub: int = 0
    node_num_remove_presence: int = 0


COUNTER_NAMES = tuple(field.name for field in fields(Counters))


class Latency:
    """The durations of one kind of request, over the current interval and over the last 15."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._recorded: Counter[int] = Counter()
        """The durations since they were last taken, which are not in `_current` yet."""
        self._ended: Counter[int] = Counter()
        """Those of ended intervals that have not been taken."""
        self._current: Counter[int] = Counter()
        self._past: deque[Counter[int]] = deque(maxlen=HISTOGRAM_INTERVALS - 1)

    def record(self, seconds: float) -> None:
        """Record a request that took `seconds`."""
        self._recorded[int(seconds * 1e6)] += 1

    def take_recorded(self) -> Counter[int]:
        """Return the durations in microseconds since the last call, with how often each was measured."""
        recorded, self._recorded = self._recorded, Counter()
        self._current.update(recorded)
        ended, self._ended = self._ended, Counter()
        return recorded + ended if ended else recorded

    def values(self) -> dict[str, int]:
        """Return count, percentiles, maximum, mean and minimum in microseconds, under their public names."""
        now = [self._recorded, self._current]
        return self._summary("1", now) | self._summary(str(HISTOGRAM_INTERVALS), [*now, *self._past])

    def rotate(self) -> None:
        """Begin a new interval."""
        self._current.update(self._recorded)
        self._ended.update(self._recorded)
        self._past.appendleft(self._current)
        self._recorded, self._current = Counter(), Counter()

    def _summary(self, span: str, intervals: Sequence[Counter[int]]) -> dict[str, int]:
        prefix = f"{self._name}_{span}_"
        count = sum(interval.total() for interval in intervals)
        figures = _distribution(intervals, count) if count else dict.fromkeys(HISTOGRAM_FIELDS, 0)
        return {f"{prefix}count": count} | {f"{prefix}microseconds_{name}": figures[name] for name in HISTOGRAM_FIELDS}


def _distribution(intervals: Sequence[Counter[int]], count: int) -> dict[str, int]:
    """Percentiles, maximum, mean and minimum of `count` recorded durations; `count` is more than 0."""
    times: Counter[int] = Counter()
    for interval in intervals:
        times.update(interval)
    durations = sorted(times)
    figures = dict(zip((name for _, name in PERCENTILES), _percentiles(durations, times, count), strict=True))
    return figures | {
        "max": _last_of_step(durations[-1]),
        "mean": sum(duration * number for duration, number in times.items()) // count,
        "min": _first_of_step(durations[0]),
    }


def _percentiles(durations: Sequence[int], times: Counter[int], count: int) -> list[int]:
    """Return the percentiles of sorted durations, given how many times each was recorded."""
    values: list[int] = []
    ranks = [max(int(percentile * count / 100 + 0.5), 1) for percentile, _ in PERCENTILES]
    passed = 0
    for duration in durations:
        passed += times[duration]
        while len(values) < len(ranks) and passed >= ranks[len(values)]:
            values.append(_last_of_step(duration))
    return values


def _first_of_step(duration: int) -> int:
    """Return the lowest duration that has the same PRECISION_BITS."""
    clamped, shift = _clamp(duration)
    return clamped >> shift << shift


def _last_of_step(duration: int) -> int:
    """Return the highest duration that has the same PRECISION_BITS."""
    clamped, shift = _clamp(duration)
    return ((clamped >> shift) + 1 << shift) - 1


def _clamp(duration: int) -> tuple[int, int]:
    """Return a duration within LOWEST and HIGHEST, and how many of its last bits are rounded off.

    The remaining leading bits are PRECISION_BITS, or all bits of a shorter number.
    """
    clamped = min(max(duration, LOWEST), HIGHEST)
    return clamped, max(clamped.bit_length() - PRECISION_BITS, 0)


class Metrics:
    """All counters and durations of one node; `flusher` counts sent messages and bytes."""

    def __init__(self, flusher: Flusher) -> None:
        self.counters = Counters()
        self.breakdowns = Breakdowns()
        """The figures by protocol, transport, method and code."""
        self._flusher = flusher
        self.client_api = Latency("client_api")
        self.http_api = Latency("http_api")
        self.greenlets = 0
        """The greenlets that currently serve a connection."""
        self._counted = Counters()
        self._cpu_usage = 0
        self.watch_process()

    def watch_process(self) -> None:
        """Measure the memory and CPU time of the current process. Call this again after a fork."""
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call only starts the measurement

    def totals(self) -> dict[str, int]:
        """Return counters since the start, and the histograms of the current interval."""
        self._count_sent()
        return {name: getattr(self.counters, name) for name in COUNTER_NAMES} | self._histograms() | self._gauges()

    def waiting_sizes(self) -> list[int]:
        """Return how many bytes wait for each client for which any wait. Other greenlets may run meanwhile."""
        return [outbox.size for outbox in iterate_yielding(self._flusher.waiting()) if outbox.size]

    def sample_values(self) -> dict[str, int]:
        """Return the counters since the start and the memory of the process, for a sample."""
        self._count_sent()
        counters = {name: getattr(self.counters, name) for name in COUNTER_NAMES}
        return {**counters, "node_memory_sys": self._process.memory_info().rss}

    def end_interval(self) -> dict[str, int]:
        """End the current interval and begin a new one. Returns the counters and histograms of the ended one."""
        self._count_sent()
        values = {name: getattr(self.counters, name) - getattr(self._counted, name) for name in COUNTER_NAMES}
        self._cpu_usage = round(self._process.cpu_percent())
        values |= self._histograms() | self._gauges()
        for name in COUNTER_NAMES:
            setattr(self._counted, name, getattr(self.counters, name))
        self.client_api.rotate()
        self.http_api.rotate()
        return values

    def _count_sent(self) -> None:
        counters, flusher = self.counters, self._flusher
        counters.client_num_msg_queued = flusher.frames_queued
        traffic = self.breakdowns.traffic.values()
        counters.client_num_msg_sent = flusher.frames_sent + sum(kind.frames_sent for kind in traffic)
        counters.client_bytes_out = flusher.bytes_sent + sum(kind.bytes_sent for kind in traffic)

    def _histograms(self) -> dict[str, int]:
        return self.client_api.values() | self.http_api.values()

    def _gauges(self) -> dict[str, int]:
        return {
            "node_cpu_usage": self._cpu_usage,
            "node_memory_sys": self._process.memory_info().rss,
            "node_num_goroutine": self.greenlets,
        }
