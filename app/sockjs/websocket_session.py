"""SockJS over a WebSocket: the frames are those of other transports, the connection is the session."""

from __future__ import annotations

import logging
from functools import partial

from ..http.opening_request import Opening
from ..runtime.running_clock import running_time
from ..runtime.yielding import yield_if_due
from ..websocket.connection import WebSocket
from ..websocket.frames import text_frame
from . import frames
from .peer import Connect, Peer
from .sessions import Sessions

log = logging.getLogger(__name__)


class WebSocketSession:
    """One connection, and the transport of its peer. `serve` it once."""

    def __init__(self, websocket: WebSocket) -> None:
        self.last_write_at = running_time()
        self.outbox = websocket.outbox
        self._websocket = websocket
        self._is_closed = False

    name = "sockjs"
    binary_frame = None

    def stop_pings(self) -> None:
        """Do nothing, because the client relies on the heartbeats of SockJS, which are not pings."""

    @staticmethod
    def frame(message: bytes) -> bytes:
        """Encode a message for the outbox."""
        return text_frame(frames.messages_frame([frames.quote_message(message)]))

    def send(self, text: str) -> None:
        """Queue one message for the client."""
        self._append(frames.messages_frame([frames.quote(text)]))

    def close(self, code: int, reason: str) -> None:
        """Send waiting data, the close frame of SockJS, and that of the WebSocket. A second call does nothing."""
        if not self._is_closed:
            self._append(frames.session_close_frame(code, reason))
            self._is_closed = True
            self._websocket.close(code, reason)

    def send_heartbeat(self) -> None:
        """Send a heartbeat, unless other data waits to be written."""
        self.last_write_at = running_time()
        if not (self.outbox.frames or self._websocket.is_closing):
            self._append(frames.HEARTBEAT)

    def serve(self, connect: Connect, opening: Opening | None, sessions: Sessions) -> None:
        """Serve the client until the connection has ended."""
        self._append(frames.OPEN)
        peer = connect(self, opening)
        sessions.connect(self)
        try:
            self._websocket.serve(peer, partial(self._handle, peer))
        finally:
            sessions.connections.discard(self)

    def _handle(self, peer: Peer, message: bytes) -> None:
        try:
            texts = frames.decode_websocket_messages(message)
        except frames.BadPayload as error:
            log.debug("invalid SockJS message over WebSocket, closing connection: %s", error)
            self._websocket.abort()
            return
        for text in texts:
            if self._is_closed:
                return
            peer.handle_text(text)
            yield_if_due()

    def _append(self, frame: bytes) -> None:
        if not self._is_closed:
            self.outbox.append(text_frame(frame))
