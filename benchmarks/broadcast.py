"""Publishers and subscribers of the same channels: counts deliveries, checks them, and measures their latency."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.advice import with_advice
from benchmarks.connection import CompressedConnection, Connection
from benchmarks.event_loop import EventLoop
from benchmarks.load import Load
from benchmarks.message import Format
from benchmarks.percentiles import Percentiles
from benchmarks.processes import MEBIBYTE
from benchmarks.publishers import Publishers
from benchmarks.receivers import CheckingReceiver, CountingReceiver, Deliveries, Receiver
from benchmarks.report import Figure, Result
from benchmarks.span import Span
from benchmarks.subscribers import SubscriberFactory, Subscribers
from benchmarks.target import Target

CHECKED_CONNECTIONS = 16
"""Connections that are checked message by message, if there are so many."""
STALL_TIMEOUT = 3.0
"""Seconds without a delivery after which what is missing counts as lost."""
EXTRA_WAIT = 0.2
"""Seconds to see whether anything comes that must not."""


class Broadcast:
    """One run; `publishers` is the class of publishers to use.

    At most one of `least_stride` connections is checked message by message, because checking takes CPU time.
    """

    def __init__(
        self,
        target: Target,
        load: Load,
        publishers: Callable[[EventLoop, Target, Load], Publishers],
        least_stride: int = 1,
        connect: SubscriberFactory | None = None,
    ) -> None:
        self._target = target
        self._load = load
        self._loop = EventLoop()
        self._format = Format(load.size)
        self._deliveries = Deliveries()
        kind = CompressedConnection if load.compress else Connection
        self._subscribers = Subscribers(
            self._loop, target, load.channel_names, load.connections, self._receiver, connect or kind
        )
        self._make_publishers = publishers
        self._stride = 1 if load.check else max(load.connections // CHECKED_CONNECTIONS, least_stride)
        """Every so many connections, one is checked."""

    def run(self, title: str) -> Result:
        """Open the connections, publish, and wait for the remaining messages. Raises BenchmarkError."""
        try:
            self._subscribers.connect_all(self._load.parallel)
            self._publishers = self._make_publishers(self._loop, self._target, self._load)
            try:
                return self._measure(title)
            finally:
                self._publishers.close()
                self._subscribers.close_all()
        finally:
            self._subscribers.drop_all()
            self._loop.close()

    def _measure(self, title: str) -> Result:
        span = Span(self._target)
        self._publishers.run()
        self._drain()
        span.end()
        self._loop.run_for(EXTRA_WAIT)
        return Result(title, self._figures(span), self._problems(), [self._check_note()])

    def _receiver(self, number: int) -> Receiver:
        if number % self._stride == 0:
            channel = self._load.channel_names[number % self._load.channels]
            return CheckingReceiver(
                self._deliveries,
                self._format,
                channel,
                constant=not (self._load.check or self._load.compress),
                protocol=self._target.protocol,
            )
        return CountingReceiver(self._deliveries, self._target.protocol)

    def _expected(self) -> list[int]:
        """Return the number of messages that each connection must receive."""
        by_channel = [self._publishers.published_in(channel) for channel in range(self._load.channels)]
        return [by_channel[number % self._load.channels] for number in range(self._load.connections)]

    def _drain(self) -> None:
        expected, deliveries = sum(self._expected()), self._deliveries
        before = -1
        while before < deliveries.count < expected:
            before = deliveries.count
            self._loop.run_until(lambda: deliveries.count >= expected, STALL_TIMEOUT)

    def _figures(self, span: Span) -> list[Figure]:
        count = self._deliveries.count
        figures = [
            Figure("published", self._publishers.published / span.seconds, "messages/s"),
            Figure("delivered", count / span.seconds, "messages/s"),
            *span.cost("delivery", count),
            *span.loads(),
        ]
        latency = Percentiles.of(self._deliveries.latencies)
        if latency is not None:
            figures += [Figure(f"latency {name}", value / 1000, "ms") for name, value in latency._asdict().items()]
        if self._target.processes is not None:
            figures.append(Figure("server memory", self._target.processes.memory() / MEBIBYTE, "MiB"))
        return figures

    def _problems(self) -> list[str]:
        problems = [
            f"the server ended {count} connections: {with_advice(reason)}"
            for reason, count in self._subscribers.closed_by_server().most_common()
        ]
        pairs = zip(self._subscribers.connections, self._expected(), strict=True)
        differences = [connection.receiver.messages - expected for connection, expected in pairs]
        lost, extra = -sum(d for d in differences if d < 0), sum(d for d in differences if d > 0)
        if lost:
            problems.append(f"{lost} messages did not arrive")
        if extra:
            problems.append(f"{extra} more messages arrived than were published")
        return problems

    def _check_note(self) -> str:
        checked = sum(isinstance(connection.receiver, CheckingReceiver) for connection in self._subscribers.connections)
        others = (
            "; on the other connections messages were counted" if checked < len(self._subscribers.connections) else ""
        )
        return f"order and content of all messages were checked on {checked} connections{others}"
