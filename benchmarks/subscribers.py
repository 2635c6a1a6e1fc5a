"""Many subscribers that are opened and closed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.connection import Connection
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.receivers import Receiver
from benchmarks.subscriber import Subscriber
from benchmarks.target import Target

STALL_TIMEOUT = 15.0
"""Seconds without a new connection after which no more is expected."""
CLOSE_TIMEOUT = 5.0
"""Seconds the server may take to end connections that have sent a close frame."""

SubscriberFactory = Callable[..., Subscriber]
"""Makes a subscriber, given what Subscriber takes."""


class Subscribers:
    """A number of connections, spread over `channels` in turn; `receiver(number)` creates the receiver of each."""

    def __init__(
        self,
        loop: EventLoop,
        target: Target,
        channels: Sequence[str],
        size: int,
        receiver: Callable[[int], Receiver],
        connect: SubscriberFactory = Connection,
    ) -> None:
        self.connections: list[Subscriber] = []
        """Connections that have been opened."""
        self._loop = loop
        self._target = target
        self._channels = channels
        self._size = size
        self._receiver = receiver
        self._connect = connect
        self._subscribed = 0

    def connect_all(self, parallel: int) -> None:
        """Open all connections, `parallel` at a time; returns when all are subscribed. Raises BenchmarkError."""
        for _ in range(parallel):
            self._open_next()
        while (before := self._subscribed) < self._size:
            if not self._wait_for_another(before):
                raise BenchmarkError(
                    f"{before} of {self._size} connections are subscribed, then nothing for {STALL_TIMEOUT:g} s"
                )

    def closed_by_server(self) -> Counter[str]:
        """Return the number of connections that the server closed, by reason."""
        return Counter(connection.ended for connection in self.connections if connection.ended is not None)

    def close_all(self) -> None:
        """Send close frames and wait until the server closes the connections; then close the remaining sockets."""
        for connection in self.connections:
            if connection.is_open:
                connection.start_closing()
        self._loop.run_until(lambda: not any(connection.is_open for connection in self.connections), CLOSE_TIMEOUT)
        self.drop_all()

    def drop_all(self) -> None:
        """Close all sockets without a close frame."""
        for connection in self.connections:
            connection.drop()

    def _wait_for_another(self, before: int) -> bool:
        return self._loop.run_until(lambda: self._subscribed > before, STALL_TIMEOUT)

    def _handle_subscribed(self, connection: Subscriber) -> None:
        self._subscribed += 1
        self._open_next()

    def _open_next(self) -> None:
        number = len(self.connections)
        if number < self._size:
            channel = self._channels[number % len(self._channels)]
            receiver = self._receiver(number)
            self.connections.append(
                self._connect(
                    self._loop, self._target.node(number), f"user{number}", channel, receiver, self._handle_subscribed
                )
            )
