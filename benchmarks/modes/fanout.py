"""Fan-out: the rate of deliveries when backends publish as fast as possible."""

from __future__ import annotations

from functools import partial

from benchmarks.broadcast import Broadcast
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.publishers import SaturatingPublishers
from benchmarks.report import Result, count_text
from benchmarks.target import Target

MIN_STRIDE = 50
"""To check a message takes ten times as long as to count it: of 50 connections one is enough."""


def run(target: Target, load: Load, name: str = "fanout") -> Result:
    """Publish batches as fast as they are accepted, then wait until all messages have arrived.

    `name` is that of the mode.
    """
    title = (
        f"{name}: {load.who}, {load.size} bytes, "
        f"{count_text(load.publishers, 'publisher')}, batches of {load.batch}, {load.seconds:g} s"
    )
    return Broadcast(target, load, SaturatingPublishers, MIN_STRIDE).run(title)


MODE = Mode(
    "saturated fan-out: deliveries a second, CPU of each",
    {
        "connections": 1000,
        "channels": 1,
        "namespace": "",
        "publishers": 2,
        "batch": 10,
        "size": 100,
        "seconds": 6.0,
        "parallel": 32,
        "check": False,
        "compress": False,
    },
    run,
)

SMALL_CHANNELS = Mode(
    "100 channels of 10 subscribers, messages published one by one, as fast as possible",
    {**MODE.defaults, "channels": 100, "publishers": 4, "batch": 1},
    partial(run, name="small-channels"),
)

MANY_CHANNELS = Mode(
    "1000 channels of 5 subscribers, messages published one by one, as fast as possible",
    {**SMALL_CHANNELS.defaults, "connections": 5000, "channels": 1000},
    partial(run, name="many-channels"),
)
