"""Measures a span of time: its length, and the CPU time of server, Redis, load generator and other processes."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.processes import machine_cpu
from benchmarks.report import Figure
from benchmarks.target import Target

CPU_OF_OTHERS = "CPU of all others"
"""Name of the figure."""


class _Clocks(NamedTuple):
    """The wall time and CPU times in seconds at one moment."""

    wall: float
    server: float
    engine: float
    own: float
    machine: float


class Span:
    """A measurement that begins with the constructor and ends with `end`."""

    def __init__(self, target: Target) -> None:
        self._processes = target.processes
        self._engine = target.engine
        self._start = self._end = self._now()

    def end(self) -> None:
        """Stop the measurement of the span."""
        self._end = self._now()

    @property
    def seconds(self) -> float:
        """The length of the span in seconds."""
        return self._end.wall - self._start.wall

    def cost(self, name: str, count: int) -> list[Figure]:
        """Return the CPU time of server and Redis for each of `count` items; empty if it is not known."""
        if self._processes is None or not count:
            return []
        figures = [Figure(f"server CPU per {name}", (self._end.server - self._start.server) * 1e6 / count, "µs")]
        if self._engine is not None:
            figures.append(Figure(f"Redis CPU per {name}", (self._end.engine - self._start.engine) * 1e6 / count, "µs"))
        return figures

    def loads(self) -> list[Figure]:
        """Return the CPU usage of server, Redis, load generator and other processes, in percent of one core.

        The load generator must not be at its limit, and other processes should be idle, because their work distorts
        all figures. Their usage includes work of the kernel that belongs to no process.
        """
        server, engine, own, machine = (
            (end - start) * 100 / self.seconds for start, end in zip(self._start[1:], self._end[1:], strict=True)
        )
        figures = [Figure("load generator CPU", own, "% of a core")]
        if self._processes is not None:
            others = max(machine - server - engine - own, 0.0)
            figures = [
                Figure("server CPU", server, "% of a core"),
                *([Figure("Redis CPU", engine, "% of a core")] if self._engine is not None else []),
                *figures,
                Figure(CPU_OF_OTHERS, others, "% of a core"),
            ]
        return figures

    def _now(self) -> _Clocks:
        server = self._processes.cpu() if self._processes is not None else 0.0
        engine = self._engine.cpu() if self._engine is not None else 0.0
        return _Clocks(time.monotonic(), server, engine, time.process_time(), machine_cpu())
