"""A response that does not end, as the transport of one client."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, NamedTuple

from gevent.event import Event

from ..exchange.peer_watch import PeerWatch
from ..net.direct_tls import direct as direct_of
from ..net.flusher import Flusher
from ..net.outbox import Outbox, OutboxLimits
from ..net.transport import TransportOwner

CLOSE_TIMEOUT = 5.0
"""Seconds for writing what waits when the connection is closed."""


class StreamKind(NamedTuple):
    """How a stream is written, which depends on its endpoint and on the request."""

    name: str
    """The name of the transport, as operators see it."""
    frame: Callable[[bytes], bytes]
    """Encodes a message for the stream."""
    encode_disconnect: Callable[[int, str], bytes]
    """Encodes code and reason as the last message."""
    end: bytes
    """The last bytes of the response."""


class StreamTransport:
    """One stream on gevent's `socket`, whose head has been sent.

    Frames are written from the event loop; the greenlet that calls `serve` only waits.
    """

    __slots__ = (
        "binary_frame",
        "frame",
        "name",
        "outbox",
        "_direct",
        "_end",
        "_encode_disconnect",
        "_is_closing",
        "_owner",
        "_socket",
        "_watch",
        "_woken",
    )

    def __init__(self, kind: StreamKind, socket: Any, flusher: Flusher, limits: OutboxLimits) -> None:
        direct = direct_of(socket)
        self.name, self.frame, self._encode_disconnect, self._end = kind
        self.binary_frame = self.frame
        self.outbox = Outbox(
            flusher,
            direct.raw,
            limits.client_queue_max_size,
            self._handle_overflow,
            self._handle_write_error,
            limits.client_message_write_timeout,
        )
        self._direct = direct
        self._is_closing = False
        self._owner: TransportOwner | None = None
        self._socket = socket
        self._woken = Event()
        self._watch = PeerWatch(socket, direct)

    def serve(self, owner: TransportOwner) -> None:
        """Keep the stream open until one side ends it, then release everything except the socket."""
        self._owner = owner
        is_complete = False
        try:
            with self._watch.watching(self._notice_data):
                self._woken.wait()
            is_complete = self._is_closing and not self._watch.is_disconnected and self.outbox.drain(CLOSE_TIMEOUT)
        finally:
            owner.close()
            self.outbox.close()
            self._finish(is_complete)
            self._owner = None  # it refers to this object: only the garbage collector could free the two

    def _finish(self, is_complete: bool) -> None:
        """End the body, or the connection if the client has disconnected or does not read."""
        with suppress(OSError):
            if not is_complete:
                self._socket.shutdown(SHUT_RDWR)
            elif self._end:  # only now: nothing may follow it, such as a publication
                self._direct.sendall(self._end)

    def stop_pings(self) -> None:
        """Do nothing, because a stream has no pings below those of the protocol."""

    def close(self, code: int, reason: str) -> None:
        """Send waiting data, then code and reason as the last message, and end the response."""
        if not self._is_closing:
            self._is_closing = True
            self.outbox.append(self.frame(self._encode_disconnect(code, reason)))
            self._woken.set()

    def _notice_data(self) -> None:
        """End the stream if the client has disconnected. Further requests stay unread, because no response follows."""
        if self._watch.is_disconnected:
            self._woken.set()

    # -- failures, which the outbox reports

    def _handle_overflow(self) -> None:
        if self._owner is not None:
            self._owner.close_slow()

    def _handle_write_error(self, reason: str) -> None:
        self._watch.is_disconnected = True
        self._woken.set()
        if self._owner is not None:
            self._owner.close_failed(reason)
