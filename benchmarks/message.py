"""The published messages: JSON of a constant size with the publisher, the number and the time of sending.

Because of the constant size, receivers can count messages by counting bytes.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

_DATA = '{"publisher":"%03d","number":"%010d","sent":"%017d","padding":"%s"}'
MIN_SIZE = len(_DATA % (0, 0, 0, ""))
MAX_SIZE = 32000
"""Bytes; more might not fit the limits of a server with default options."""


class Message(NamedTuple):
    """One message of the load."""

    publisher: int
    number: int
    """Counted by each publisher in each channel, from 0."""
    sent: int
    """The time of sending, in microseconds of the monotonic clock."""


def now() -> int:
    """Return the monotonic time in microseconds."""
    return time.monotonic_ns() // 1000


class Format:
    """Messages of `size` bytes."""

    def __init__(self, size: int) -> None:
        self._padding = "x" * (size - MIN_SIZE)

    def data(self, message: Message) -> str:
        """Encode a message as JSON of the configured size."""
        return _DATA % (*message, self._padding)

    def parse(self, data: Any) -> Message:
        """Convert decoded JSON to a message. Raises ValueError if it is not from this benchmark or was changed."""
        try:
            publisher, number, sent, padding = data["publisher"], data["number"], data["sent"], data["padding"]
            message = Message(int(publisher), int(number), int(sent))
        except (TypeError, KeyError):
            raise ValueError(f"{data!r} is not a message of this load") from None
        if padding != self._padding:
            raise ValueError(f"{data!r} does not have the size of the sent message")
        return message
