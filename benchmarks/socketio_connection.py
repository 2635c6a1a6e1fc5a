"""A subscriber of Socket.IO over a WebSocket, as far as a benchmark needs it."""

from __future__ import annotations

from benchmarks.connection import Connection
from benchmarks.frames import TEXT, masked_frame

OPEN, CONNECT = b"0", b"40"
"""Packets: Engine.IO opens, and Socket.IO connects to the one namespace."""


class SocketIOConnection(Connection):
    """A client of Flask-SocketIO 5, which the site subscribes when it connects."""

    def _path(self) -> str:
        return "/socket.io/?EIO=4&transport=websocket"

    def _begin_session(self) -> None:
        self._loop.watch(self._socket, lambda: self._handle_packets(self._read_answer()))
        self._handle_packets(b"")

    def _handle_packets(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if frame.opcode != TEXT:
                raise self._failed("the server sent a frame that is not a Socket.IO packet")
            if frame.message.startswith(CONNECT):
                self._handle_subscribed()
            elif frame.message.startswith(OPEN):
                self._send(masked_frame(TEXT, CONNECT))
