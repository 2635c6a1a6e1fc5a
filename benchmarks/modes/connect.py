"""Arrivals: how fast clients can connect and subscribe, and what that costs."""

from __future__ import annotations

from benchmarks.crowd import Crowd
from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.percentiles import Percentiles
from benchmarks.receivers import Ignorer
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.target import Target


def run(target: Target, load: Load) -> Result:
    """Open connections, some at a time; each connects and subscribes to one channel."""
    loop = EventLoop()
    crowd = Crowd(loop, target, load.channel_names, load.connections, lambda number: Ignorer(target.protocol))
    try:
        span = Span(target)
        crowd.come(load.parallel)
        span.end()
        crowd.leave()
    finally:
        crowd.drop()
        loop.close()
    figures = [Figure("connected and subscribed", load.connections / span.seconds, "clients/s")]
    figures += span.cost("client", load.connections) + span.loads()
    took = Percentiles.of(connection.took for connection in crowd.connections)
    if took is not None:
        figures += [Figure(f"time {name}", value * 1000, "ms") for name, value in took._asdict().items()]
    title = f"connect: {load.who}, {load.parallel} at a time"
    return Result(title, figures)


MODE = Mode(
    "clients that connect and subscribe: how many a second, CPU of each",
    {"connections": 2000, "channels": 1, "namespace": "", "parallel": 32},
    run,
)
