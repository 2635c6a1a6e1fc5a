"""The interfaces between a connection and whatever carries its messages, such as a WebSocket or a SockJS session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .outbox import Queue


class Transport(Protocol):
    """Carries messages to one client. No method blocks."""

    @property
    def name(self) -> str:
        """The kind of transport, as operators see it: `websocket`, `sockjs`, `http_stream`, `uni_sse` and so on."""
        ...

    @property
    def outbox(self) -> Queue:
        """The queue of frames that wait to be written to the client."""
        ...

    @property
    def frame(self) -> Callable[[bytes], bytes]:
        """Converts a message in UTF-8 to a frame for the outbox.

        All connections of one kind of transport have the same function, so that they can share its results.
        """
        ...

    @property
    def binary_frame(self) -> Callable[[bytes], bytes] | None:
        """Converts a message of bytes to a frame for the outbox; None if the transport only carries text."""
        ...

    def stop_pings(self) -> None:
        """Send no pings of the transport any more, because the messages have pings of their own."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send waiting data, then the code and reason, and end the connection."""
        ...


class TransportOwner(Protocol):
    """The object that uses a transport and is notified of its failures, such as a client's connection.

    A transport exists before its owner, which needs it to send. See "Transports and owners" in docs/architecture.md.
    """

    def close_slow(self) -> None:
        """Handle a queue of unwritten data that is larger than its limit. Must not block."""

    def close_silent(self) -> None:
        """Handle a ping that the peer has not answered. Must not block."""

    def close_failed(self, reason: str) -> None:
        """Handle a socket that cannot be written to any more. Must not block."""

    def close_too_large(self) -> None:
        """Close the connection because of a message that is larger than the transport reads. May block."""

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected exception of the code that handled a message, and close the connection."""

    def close(self) -> None:
        """Handle the end of the connection. A second call has no effect. May block."""
