"""SockJS polling: many clients that poll for messages at a fixed rate, and the memory of a session."""

from __future__ import annotations

from benchmarks.broadcast import Broadcast
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.poller import Poller
from benchmarks.processes import KIBIBYTE
from benchmarks.publishers import PacedPublishers
from benchmarks.report import Figure, Result
from benchmarks.target import Target


class Polls(Broadcast):
    """A broadcast to pollers that also measures the memory of a session."""

    def __init__(self, target: Target, load: Load) -> None:
        super().__init__(target, load.with_given({"check": True}), PacedPublishers, connect=Poller)
        self._memory = target.processes.memory() if target.processes is not None else 0

    def _measure(self, title: str) -> Result:
        processes = self._target.processes
        connected = processes.memory() if processes is not None else 0
        result = super()._measure(title)
        if processes is None:
            return result
        size = self._load.connections * KIBIBYTE
        result.figures.extend(
            [
                Figure("memory of a session", (connected - self._memory) / size, "KiB"),
                Figure("memory of a session, under load", (processes.memory() - self._memory) / size, "KiB"),
            ]
        )
        return result


def run(target: Target, load: Load) -> Result:
    """Publish at a fixed rate to clients that poll."""
    title = f"polls: {load.who} over SockJS polling, {load.size} bytes, {load.rate:g} messages/s, {load.seconds:g} s"
    return Polls(target, load).run(title)


MODE = Mode(
    "SockJS polling: every message checked on every client, memory of a session; requires a new server",
    {
        "connections": 2000,
        "channels": 1,
        "namespace": "",
        "publishers": 2,
        "rate": 10.0,
        "batch": 1,
        "size": 100,
        "seconds": 10.0,
        "parallel": 32,
    },
    run,
    repeatable=False,
    is_for_v1=True,
)
