"""The HTTP API: the rate of publish commands without subscribers."""

from __future__ import annotations

from functools import partial

from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.publishers import SaturatingPublishers
from benchmarks.report import Figure, Result, count_text
from benchmarks.span import Span
from benchmarks.target import Target


def run(target: Target, load: Load, name: str = "api") -> Result:
    """Publish into channels without subscribers, as fast as the server accepts. `name` is that of the mode."""
    title = (
        f"{name}: {count_text(load.publishers, 'connection')}, batches of {load.batch}, {load.size} bytes, "
        f"{load.seconds:g} s"
    )
    loop = EventLoop()
    publishers = SaturatingPublishers(loop, target, load)
    try:
        span = Span(target)
        publishers.run()
        span.end()
    finally:
        publishers.close()
        loop.close()
    rates = [
        Figure("requests", publishers.published / load.batch / span.seconds, "/s"),
        Figure("commands", publishers.published / span.seconds, "/s"),
    ]
    return Result(title, rates + span.cost("command", publishers.published) + span.loads())


MODE = Mode(
    "publish commands over the HTTP API, no subscribers",
    {
        "channels": 1,
        "namespace": "",
        "publishers": 8,
        "batch": 1,
        "size": 100,
        "seconds": 5.0,
    },
    run,
)

BATCH_MODE = Mode(
    "publish commands over the HTTP API, 100 in each request, no subscribers",
    {**MODE.defaults, "publishers": 4, "batch": 100},
    partial(run, name="api-batch"),
)
