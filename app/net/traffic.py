"""Traffic counters of the connections of one kind since the start: plain integers, which connections add to."""

from __future__ import annotations

from typing import Protocol


class SentCounts(Protocol):
    """Counts what was written to sockets."""

    frames_sent: int
    bytes_sent: int


class Traffic:
    """The number and the traffic of the connections with the same transport and version of the protocol."""

    __slots__ = ("accepted", "bytes_received", "bytes_sent", "connections", "frames_sent", "messages_received")

    def __init__(self) -> None:
        self.connections = 0
        """Authenticated connections that are open."""
        self.accepted = 0
        """Connections that were authenticated since the start."""
        self.messages_received = 0
        self.bytes_received = 0
        """The bytes of these messages, without framing."""
        self.frames_sent = 0
        self.bytes_sent = 0
        """Bytes written to sockets, including framing."""
