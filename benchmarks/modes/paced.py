"""Paced fan-out: latency and CPU time of messages at a fixed rate below the limit of the server."""

from __future__ import annotations

from benchmarks.broadcast import Broadcast
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.publishers import PacedPublishers
from benchmarks.report import Result
from benchmarks.target import Target


def run(target: Target, load: Load) -> Result:
    """Publish messages at a fixed rate."""
    title = (
        f"paced: {load.who}, {load.size} bytes, {load.rate:g} messages/s in batches of {load.batch}, {load.seconds:g} s"
    )
    return Broadcast(target, load, PacedPublishers).run(title)


MODE = Mode(
    "fan-out at a rate: latency from publish to receive, CPU of each delivery",
    {
        "connections": 1000,
        "channels": 1,
        "namespace": "",
        "publishers": 4,
        "rate": 50.0,
        "batch": 1,
        "size": 100,
        "seconds": 6.0,
        "parallel": 32,
        "check": False,
        "compress": False,
    },
    run,
)
