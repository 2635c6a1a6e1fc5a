"""Connecting: the rate at which clients can connect and subscribe, and its CPU time."""

from __future__ import annotations

from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.percentiles import Percentiles
from benchmarks.receivers import IdleReceiver
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.subscribers import Subscribers
from benchmarks.target import Target


def run(target: Target, load: Load) -> Result:
    """Open connections, several at the same time; each connects and subscribes to one channel."""
    loop = EventLoop()
    subscribers = Subscribers(
        loop, target, load.channel_names, load.connections, lambda number: IdleReceiver(target.protocol)
    )
    try:
        span = Span(target)
        subscribers.connect_all(load.parallel)
        span.end()
        subscribers.close_all()
    finally:
        subscribers.drop_all()
        loop.close()
    figures = [Figure("connected and subscribed", load.connections / span.seconds, "clients/s")]
    figures += span.cost("client", load.connections) + span.loads()
    setup_seconds = Percentiles.of(connection.setup_seconds for connection in subscribers.connections)
    if setup_seconds is not None:
        figures += [Figure(f"time {name}", value * 1000, "ms") for name, value in setup_seconds._asdict().items()]
    title = f"connect: {load.who}, {load.parallel} at a time"
    return Result(title, figures)


MODE = Mode(
    "clients that connect and subscribe: how many a second, CPU of each",
    {"connections": 2000, "channels": 1, "namespace": "", "parallel": 32},
    run,
)
