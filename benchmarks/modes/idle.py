"""Memory: the memory of a subscribed connection while nothing happens."""

from __future__ import annotations

from benchmarks.advice import with_advice
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.processes import KIBIBYTE, MEBIBYTE
from benchmarks.receivers import IdleReceiver
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.subscribers import Subscribers
from benchmarks.target import Target


def run(target: Target, load: Load) -> Result:
    """Open connections, wait, and divide the growth of the server's memory by their number."""
    if target.processes is None:
        raise BenchmarkError("mode idle measures memory and requires --pid, the process ID of the server")
    loop = EventLoop()
    subscribers = Subscribers(
        loop, target, load.channel_names, load.connections, lambda number: IdleReceiver(target.protocol)
    )
    before = target.processes.memory()
    try:
        subscribers.connect_all(load.parallel)
        connected = target.processes.memory()
        span = Span(target)
        loop.run_for(load.settle)
        span.end()
        settled = target.processes.memory()
        ended = subscribers.closed_by_server()
        subscribers.close_all()
    finally:
        subscribers.drop_all()
        loop.close()
    figures = [
        Figure("memory of a connection", (settled - before) / load.connections / KIBIBYTE, "KiB"),
        Figure("just after connecting", (connected - before) / load.connections / KIBIBYTE, "KiB"),
        Figure("server memory", settled / MEBIBYTE, "MiB"),
        *span.loads(),
    ]
    title = f"idle: {load.who}, after {load.settle:g} s"
    problems = [f"the server ended {count} connections: {with_advice(reason)}" for reason, count in ended.most_common()]
    return Result(
        title,
        figures,
        problems,
        ["memory that an earlier run has freed is not counted: use a server that has just started"],
    )


MODE = Mode(
    "memory of subscribed connections while nothing happens; requires a server that has just started",
    {"connections": 2000, "channels": 1, "namespace": "", "settle": 10.0, "parallel": 32},
    run,
    repeatable=False,
)
