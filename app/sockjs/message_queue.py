"""The messages that wait for a client between its requests."""

from __future__ import annotations

from collections.abc import Callable

from ..net.flusher import Flusher
from ..net.outbox import Queue, ignore_call


class MessageQueue(Queue):
    """Messages as JSON strings. The flusher calls `on_ready` when there are some; it must not block.

    Taken messages count towards the limit until `settle`, because they are in memory until the client has read them.
    """

    __slots__ = ("_on_ready", "_taken_messages", "_taken_size")

    def __init__(
        self, flusher: Flusher, limit: int, on_overflow: Callable[[], None], on_ready: Callable[[], None]
    ) -> None:
        super().__init__(flusher, limit, on_overflow)
        self._on_ready = on_ready
        self._taken_size = 0
        self._taken_messages = 0

    def take(self) -> list[bytes]:
        """Take all waiting messages. `settle` must be called before the next `take`."""
        messages, self.frames = self.frames, []
        self._taken_messages, self._taken_size = len(messages), self.size
        return messages

    def settle(self) -> None:
        """Record that the messages taken last have been sent."""
        self.size -= self._taken_size
        self.counts.frames_sent += self._taken_messages
        self.counts.bytes_sent += self._taken_size
        self._taken_messages = self._taken_size = 0
        if not self.size:
            self._flusher.unsent.discard(self)

    def release(self) -> None:
        """Call no callback any more, when the session has ended."""
        super().release()
        self._on_ready = ignore_call

    def drop_waiting(self) -> None:
        """Discard the waiting messages, except those that are being written."""
        self.frames = []
        self.size = self._taken_size
        self._flusher.unsent.discard(self)

    def write(self, data: bytes) -> None:
        """Call `on_ready` if messages wait; they stay in the queue."""
        if self.frames:
            self._on_ready()
            if self.size:
                self._flusher.unsent.add(self)

    def fail(self, reason: str) -> None:
        """Discard the waiting messages, because writing has failed."""
        self.drop_waiting()
