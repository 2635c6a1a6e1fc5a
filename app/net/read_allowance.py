"""How long a peer may keep the server waiting for one body or message that it has begun to send.

A timeout for each read would begin again with every byte: a peer that sends one byte a second could hold a connection
for days. One deadline from the declared size would give a peer that declares 10 MB minutes in which it sends nothing.
"""

from __future__ import annotations

MIN_RATE = 16384
"""Bytes per second that a peer must send on average, after the seconds that it may take anyway."""


class ReadAllowance:
    """The seconds for which the server still waits for the rest of one body or message.

    Waiting uses them up. Each byte of content gives 1 / MIN_RATE seconds back, up to the `seconds` at the beginning. So
    a body takes at most `seconds` plus its size divided by MIN_RATE, and no pause in it is longer than `seconds`.
    Time in which the server does not wait for the peer does not count.
    """

    __slots__ = ("left", "_most")

    def __init__(self, seconds: float) -> None:
        self.left = seconds
        """Seconds that are left; 0 or less when the peer is too slow."""
        self._most = seconds

    def note_waited(self, seconds: float) -> None:
        """Count the seconds that the server has waited."""
        self.left -= seconds

    def note_received(self, size: int) -> None:
        """Extend the allowance for `size` received bytes of content."""
        self.left = min(self.left + size / MIN_RATE, self._most)
