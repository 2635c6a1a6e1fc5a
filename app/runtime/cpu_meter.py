"""The share of a CPU that this thread has used recently, and whether there is CPU time for another thread."""

from __future__ import annotations

import time
from collections.abc import Callable

WINDOW = 0.25
"""Minimum seconds over which a share is measured."""
MIN_WINDOW = 0.05
"""Seconds after which the current, incomplete window is used if its share is lower than the last one."""


class CPUMeter:
    """Measures the share of a CPU in windows of WINDOW seconds.

    `clock` returns the elapsed time, and `cpu_clock` the CPU time of this thread, both in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu_clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._began = clock()
        self._cpu_began = cpu_clock()
        self._share = 0.0

    def share(self) -> float:
        """Return the share from 0 (idle) to 1 (always working) in the last complete window. Takes less than 1 µs.

        Returns the share of the current window if it is lower. Otherwise, after a thousand clients have connected at
        the same time, the messages of the next quarter of a second would be delayed (p99 27 ms instead of 15 in every
        other run).
        """
        passed = self._clock() - self._began
        if passed < MIN_WINDOW:
            return self._share
        cpu = self._cpu_clock()
        share = min((cpu - self._cpu_began) / passed, 1.0)
        if passed >= WINDOW:
            self._share = share
            self._began += passed
            self._cpu_began = cpu
        return min(share, self._share)


SPARE_LIMIT = 0.65
"""Share of a CPU up to which a process with two CPUs leaves enough time for a second thread."""


def demanded_cpu_time() -> float:
    """Return the seconds in which this process has used a CPU, or this thread has waited for one.

    Waiting counts only on Linux. Takes 10 µs.
    """
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            waited = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):  # pragma: no cover (only on systems other than Linux)
        waited = 0.0
    return time.process_time() + waited


class SpareCPU:
    """Whether another thread of this process would find a CPU that is not busy.

    A busy process gains nothing by a second thread if its peers, or other processes, need the other CPUs. `clock`
    returns the elapsed time, and `demand` the CPU time that the process has used or waited for, both in seconds.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, demand: Callable[[], float] = demanded_cpu_time
    ) -> None:
        self._clock = clock
        self._demand = demand
        self._began = clock()
        self._demanded = demand()
        self._is_spare = True

    def __call__(self) -> bool:
        """Return whether the process was not busy in the last complete window of WINDOW seconds."""
        now = self._clock()
        passed = now - self._began
        if passed >= WINDOW:
            demanded = self._demand()
            self._is_spare = demanded - self._demanded < SPARE_LIMIT * passed
            self._began, self._demanded = now, demanded
        return self._is_spare
