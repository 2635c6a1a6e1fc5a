"""HTTP streaming: the memory of an idle stream, and the CPU time of messages, compressed or not."""

from __future__ import annotations

from benchmarks.broadcast import Broadcast
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.processes import KIBIBYTE
from benchmarks.publishers import PacedPublishers
from benchmarks.report import Figure, Result
from benchmarks.stream import CompressedStream, Stream
from benchmarks.target import Target


class Streams(Broadcast):
    """A broadcast to streams that first measures the memory of an idle stream."""

    def __init__(self, target: Target, load: Load) -> None:
        super().__init__(target, load, PacedPublishers, connect=CompressedStream if load.compress else Stream)
        self._memory = target.processes.memory() if target.processes is not None else 0

    def _measure(self, title: str) -> Result:
        processes = self._target.processes
        self._loop.run_for(self._load.settle)
        settled = processes.memory() if processes is not None else 0
        result = super()._measure(title)
        sizes = [connection.size for connection in self._subscribers.connections if isinstance(connection, Stream)]
        result.figures.append(Figure("body of a delivery", sum(sizes) / max(self._deliveries.count, 1), "bytes"))
        if processes is not None:
            size = self._load.connections * KIBIBYTE
            result.figures.append(Figure("memory of an idle stream", (settled - self._memory) / size, "KiB"))
        return result


def run(target: Target, load: Load) -> Result:
    """Measure idle streams, then publish at a fixed rate. Raises BenchmarkError."""
    title = f"streams: {load.who}, {load.size} bytes, {load.rate:g} messages/s, {load.seconds:g} s"
    return Streams(target, load).run(title)


MODE = Mode(
    "HTTP streaming: memory of idle streams, CPU and bytes of each delivery; requires a new server, at most 30 s",
    {
        "connections": 1000,
        "channels": 1,
        "namespace": "",
        "publishers": 4,
        "rate": 50.0,
        "batch": 1,
        "size": 100,
        "seconds": 6.0,
        "settle": 5.0,
        "parallel": 32,
        "compress": False,
    },
    run,
    repeatable=False,
    is_for_v2=True,
)
