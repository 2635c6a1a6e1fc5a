"""SockJS over a WebSocket: the frames are those of other transports, the connection is the session."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ..http.opening_request import Opening
from ..net.flusher import Flusher
from ..runtime.timers import Timers
from ..websocket.connection import WebSocket
from ..websocket.frames import text_frame
from . import frames
from .options import Options
from .peer import Connect
from .sessions import Sessions

log = logging.getLogger(__name__)


class WebSocketSession:
    """One connection; a transport for its peer. `serve` it once."""

    def __init__(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        flusher: Flusher,
        timers: Timers,
        options: Options,
    ) -> None:
        self.heard_at = time.monotonic()
        self._websocket = WebSocket(socket, recv, flusher, timers, options, options.max_size, options.too_large)
        self.outbox = self._websocket.outbox
        self._is_closed = False

    @staticmethod
    def frame(message: bytes) -> bytes:
        """A message as it goes into the outbox."""
        return text_frame(frames.messages_frame([frames.quote_message(message)]))

    def send(self, text: str) -> None:
        """Queue one message."""
        self._append(frames.messages_frame([frames.quote(text)]))

    def close(self, code: int, reason: str) -> None:
        """Say goodbye after what waits, in SockJS's words and in the WebSocket's."""
        if not self._is_closed:
            self._append(frames.close_frame(code, reason))
            self._is_closed = True
            self._websocket.close(code, reason)

    def beat(self) -> None:
        """Send a heartbeat, unless something waits to be written anyway."""
        self.heard_at = time.monotonic()
        if not self.outbox.frames:
            self._append(frames.HEARTBEAT)

    def serve(self, connect: Connect, opening: Opening | None, sessions: Sessions) -> None:
        """Serve the client until the connection has ended."""
        self._append(frames.OPEN)
        peer = connect(self, opening)
        self._websocket.owner = peer
        sessions.connect(self)
        try:
            while (message := self._websocket.receive()) is not None:
                for text in frames.decode_websocket_messages(message.data):
                    peer.handle(text)
        except frames.BadPayload as error:
            log.debug("a SockJS client sent over WebSocket: %s", error)
            self._websocket.abort()
        finally:
            sessions.connections.discard(self)
            peer.end()
            self._websocket.finish()

    def _append(self, frame: bytes) -> None:
        if not self._is_closed:
            self.outbox.append(text_frame(frame))
