"""A one-way WebSocket: the client sends one connect request, and only receives after that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..net.transport import TransportOwner
from ..websocket.connection import WebSocket


class OneWayClient(TransportOwner, Protocol):
    """The connection of a client that sends only a connect request over its WebSocket."""

    def handle(self, frame: bytes) -> None:
        """Carry out the connect request. May block."""


class OneWayWebSocket:
    """The transport of a one-way client. The reason for closing is sent in a last message and in the close frame."""

    name = "uni_websocket"
    binary_frame = None

    def __init__(self, websocket: WebSocket, encode_disconnect: Callable[[int, str], bytes]) -> None:
        self.outbox = websocket.outbox
        self.frame = websocket.frame
        self._encode_disconnect = encode_disconnect
        self._websocket = websocket
        self._has_connected = False

    def serve(self, client: OneWayClient) -> None:
        """Serve the client until the connection has ended. All messages after the first one are ignored."""

        def handle(message: bytes) -> None:
            if not self._has_connected:
                self._has_connected = True
                client.handle(message)

        self._websocket.serve(client, handle)

    def stop_pings(self) -> None:
        """Stop sending ping frames, because protocol version 2 sends pings as messages."""
        self._websocket.stop_pings()

    def close(self, code: int, reason: str) -> None:
        """Send waiting data, then code and reason as the last message, and the close frame. Later calls do nothing."""
        if not self._websocket.is_closing:
            self.outbox.append(self.frame(self._encode_disconnect(code, reason)))
            self._websocket.close(code, reason)
