"""Connecting and disconnecting: checks that the server releases all resources of disconnected clients."""

from __future__ import annotations

import time
from typing import NamedTuple

from benchmarks.event_loop import EventLoop
from benchmarks.gauges import gauges
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.processes import KIBIBYTE, MEBIBYTE
from benchmarks.receivers import IdleReceiver
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.subscribers import Subscribers
from benchmarks.target import Target

RELEASE_TIMEOUT = 15.0
"""Seconds after which the server must have noticed that a client has gone."""
POLL_INTERVAL = 0.1
ALLOWED_EXTRA = 10
"""How many more greenlets, goroutines or files may be there afterwards: a server has some of its own."""
MAX_GROWTH_PER_CLIENT = KIBIBYTE
"""Bytes that memory may grow for each client of the second half."""
MIN_GROWTH = 4 * MEBIBYTE
"""Bytes that memory may grow in the second half, however few the clients are."""


class ResourceUsage(NamedTuple):
    """Resources that the server uses at one time: connections, files and memory."""

    gauges: dict[str, int]
    open_files: int
    memory: int
    """Bytes."""

    @classmethod
    def of(cls, target: Target) -> ResourceUsage:
        """Measure the current usage; files and memory are 0 if the processes of the server are not known."""
        processes = target.processes
        files, memory = (processes.open_files(), processes.memory()) if processes is not None else (0, 0)
        return cls(gauges(target), files, memory)

    def not_released_since(self, before: ResourceUsage) -> list[str]:
        """Describe resources that were not released since an earlier measurement, one sentence each."""
        left = []
        for name, count in before.gauges.items():
            slack = ALLOWED_EXTRA if name == "node_num_goroutine" else 0
            if self.gauges[name] > count + slack:
                left.append(f"{name} was {count} before the run and {self.gauges[name]} after the run")
        if self.open_files > before.open_files + ALLOWED_EXTRA:
            left.append(f"{before.open_files} files were open before the run and {self.open_files} after the run")
        return left


def run(target: Target, load: Load) -> Result:
    """Let clients connect, subscribe and disconnect in cycles, half of them without a close frame."""
    before = ResourceUsage.of(target)
    span = Span(target)
    halfway = before
    for cycle in range(load.cycles):
        if cycle == load.cycles // 2:
            halfway = _settled_usage(target, before)
        _cycle(target, load)
    after = _settled_usage(target, before)
    span.end()
    total = load.cycles * load.connections
    growth = after.memory - halfway.memory
    clients = (load.cycles - load.cycles // 2) * load.connections
    problems = after.not_released_since(before)
    if growth > max(MAX_GROWTH_PER_CLIENT * clients, MIN_GROWTH):
        problems.append(f"memory grew by {growth / KIBIBYTE:,.0f} KiB with the last {clients:,} clients")
    figures = [Figure("clients came and went", total / span.seconds, "/s"), *span.cost("client", total), *span.loads()]
    figures += _remaining(before, after)
    if target.processes is not None:
        figures.append(Figure("memory growth, second half", growth / clients, "bytes/client"))
    title = f"churn: {load.cycles} times {load.who}, half of them drop without a close frame"
    return Result(title, figures, problems, [] if problems else ["all resources were released"])


def _cycle(target: Target, load: Load) -> None:
    loop = EventLoop()
    subscribers = Subscribers(
        loop, target, load.channel_names, load.connections, lambda number: IdleReceiver(target.protocol)
    )
    try:
        subscribers.connect_all(load.parallel)
        for connection in subscribers.connections[::2]:
            connection.drop()
        subscribers.close_all()
    finally:
        subscribers.drop_all()
        loop.close()


def _settled_usage(target: Target, before: ResourceUsage) -> ResourceUsage:
    """Return the resources in use once they no longer decrease."""
    deadline = time.monotonic() + RELEASE_TIMEOUT
    while (usage := ResourceUsage.of(target)).not_released_since(before) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
    return usage


def _remaining(before: ResourceUsage, after: ResourceUsage) -> list[Figure]:
    pairs: list[tuple[str, float, float, str]] = [
        (name, count, after.gauges[name], "") for name, count in before.gauges.items()
    ]
    if before.open_files:
        pairs.append(("open files", before.open_files, after.open_files, ""))
        pairs.append(("server memory", before.memory / MEBIBYTE, after.memory / MEBIBYTE, "MiB"))
    return [
        Figure(f"{name}, {when}", value, unit)
        for name, first, last, unit in pairs
        for when, value in (("before", first), ("after", last))
    ]


MODE = Mode(
    "clients that connect, subscribe and disconnect: whether all their resources are released",
    {"connections": 500, "channels": 10, "namespace": "", "cycles": 10, "parallel": 32},
    run,
    is_for_v1=True,
)
