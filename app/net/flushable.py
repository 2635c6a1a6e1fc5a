"""What the flusher writes: an outbox, as the flusher and its rounds see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .traffic import SentCounts


class Flushable(Protocol):
    """The interface of an outbox that the flusher uses."""

    frames: list[bytes]
    """The waiting frames. The outbox is registered with the flusher if and only if there are any."""
    size: int
    """The number of bytes that wait."""
    limit: int
    """The maximum number of bytes that may wait."""
    fileno: Callable[[], int]
    """Returns the file descriptor to which the frames may be sent without `write`, or -1."""

    counts: SentCounts
    """Where sent frames are counted."""

    def overflow(self) -> None:
        """Handle more waiting bytes than `limit`. Must not block."""

    def write(self, data: bytes) -> None:
        """Write `data`, which contains all waiting frames. Must not block."""

    def take_result(self, sent: int) -> None:
        """Process the result of sending all waiting frames: the number of sent bytes, or a negative errno."""

    def fail(self, reason: str) -> None:
        """Handle an exception that `write` or `take_result` has raised."""
