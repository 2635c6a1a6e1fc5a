"""A span of time: how long it was, and what it cost the server and us."""

from __future__ import annotations

import time

from benchmarks.report import Figure
from benchmarks.target import Target


class Span:
    """Begins when it is made, ends with `end`."""

    def __init__(self, target: Target) -> None:
        self._processes = target.processes
        self.seconds = 0.0
        self.server_cpu = 0.0
        """Seconds; 0 when no processes are known."""
        self.own_cpu = 0.0
        self._start = self._now()

    def end(self) -> None:
        """The span ends now."""
        wall, server, own = self._now()
        self.seconds = wall - self._start[0]
        self.server_cpu = server - self._start[1]
        self.own_cpu = own - self._start[2]

    def cost(self, name: str, count: int) -> list[Figure]:
        """The server's CPU for each of `count` pieces of work; nothing when it is not known."""
        if self._processes is None or not count:
            return []
        return [Figure(f"server CPU per {name}", self.server_cpu * 1e6 / count, "us")]

    def loads(self) -> list[Figure]:
        """How busy the server and we were, in percent of one core. We must not have been the limit."""
        own = Figure("load generator CPU", self.own_cpu * 100 / self.seconds, "% of a core")
        if self._processes is None:
            return [own]
        return [Figure("server CPU", self.server_cpu * 100 / self.seconds, "% of a core"), own]

    def _now(self) -> tuple[float, float, float]:
        cpu = self._processes.cpu() if self._processes is not None else 0.0
        return time.monotonic(), cpu, time.process_time()
