"""A WebSocket whose client sends one request to connect, and only listens then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..websocket.connection import TransportOwner, WebSocket


class OneWayClient(TransportOwner, Protocol):
    """A connection whose client has a WebSocket and sends nothing over it but the request to connect."""

    def handle(self, frame: bytes) -> None:
        """Carry out the request to connect. May block."""


class OneWayWebSocket:
    """The transport of such a client. It says why it is closed in a last message, and in the close frame."""

    name = "uni_websocket"
    binary_frame = None

    def __init__(self, websocket: WebSocket, farewell: Callable[[int, str], bytes]) -> None:
        self.outbox = websocket.outbox
        self.frame = websocket.frame
        self._farewell = farewell
        self._websocket = websocket
        self._has_connected = False

    def serve(self, client: OneWayClient) -> None:
        """Serve the client until the connection has ended. Everything but its first message is ignored."""

        def handle(message: bytes) -> None:
            if not self._has_connected:
                self._has_connected = True
                client.handle(message)

        self._websocket.serve(client, handle)

    def stop_pings(self) -> None:
        """Send no ping frames: the messages have pings of their own."""
        self._websocket.stop_pings()

    def close(self, code: int, reason: str) -> None:
        """Send what waits, the code and reason as the last message, and the close frame. Repeated calls do nothing."""
        if not self._websocket.is_closing:
            self.outbox.append(self.frame(self._farewell(code, reason)))
            self._websocket.close(code, reason)
