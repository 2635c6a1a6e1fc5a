"""The interface between a client's connection and whatever carries its messages: a WebSocket, or a SockJS session."""

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
