"""A session over HTTP: the state of one client from its first request until its session is closed."""

from __future__ import annotations

from typing import Protocol

from gevent.lock import BoundedSemaphore

from ..http.opening_request import Opening
from ..net.flusher import Flusher
from ..runtime.running_clock import running_time
from ..runtime.yielding import yield_if_due
from . import frames
from .binding import Binding
from .message_queue import MessageQueue
from .peer import Connect, Peer

CONNECTION_INTERRUPTED = (1002, "Connection interrupted")


class Receiver(Protocol):
    """The request that waits for frames of the session. No method blocks."""

    last_write_at: float
    """Time of the last write to the client, a value of `running_time()`."""

    def wake(self) -> None:
        """Wake the request, because a frame may be available."""

    def send_heartbeat(self) -> None:
        """Send a heartbeat, because nothing was sent for some time."""

    def has_unacknowledged_data(self) -> bool:
        """Return whether the client's machine has not yet acknowledged all data."""
        ...

    def check_disconnected(self) -> bool:
        """Return whether the client has disconnected."""
        ...

    def abandon(self) -> None:
        """End the request and its connection."""


class Session:
    """One session; the transport of its peer. Between two requests a session has no greenlet."""

    __slots__ = ("__weakref__", "binding", "outbox", "receiver", "since", "_close_frame", "_is_open", "_peer", "_turn")

    def __init__(self, flusher: Flusher, queue_max_size: int, connect: Connect, opening: Opening | None = None) -> None:
        self.outbox = MessageQueue(flusher, queue_max_size, self._slow, self._ready)
        self.receiver: Receiver | None = None
        self.binding: Binding | None = None
        """The credentials that requests of this session need; None if its ID is sufficient."""
        self.since = running_time()
        """The time when the last receiver was removed, or when the session was closed."""
        self._is_open = False
        self._close_frame: bytes | None = None
        self._turn = BoundedSemaphore()
        self._peer: Peer | None = None
        peer = connect(self, opening)
        if self._close_frame is None:
            self._peer = peer
        else:
            peer.close()  # it has closed the session already

    # -- for the peer

    name = "sockjs"
    binary_frame = None

    def stop_pings(self) -> None:
        """Do nothing, because the client relies on the heartbeats of SockJS, which are not pings."""

    @staticmethod
    def frame(message: bytes) -> bytes:
        """Encode a message for the outbox."""
        return frames.quote_message(message)

    def send(self, text: str) -> None:
        """Queue one message for the client."""
        if self._close_frame is None:
            self.outbox.append(frames.quote(text))

    def close(self, code: int, reason: str) -> None:
        """Close the session. The receiver sends waiting messages and a close frame. A second call does nothing."""
        if self._close_frame is not None:
            return
        self._close_frame = frames.session_close_frame(code, reason)
        self.since = running_time()
        if self.receiver is not None:
            self.receiver.wake()
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()

    # -- for requests

    @property
    def close_frame_if_closed(self) -> bytes | None:
        """Return the close frame of a closed session; None if it is open."""
        return self._close_frame

    def handle(self, messages: list[str]) -> None:
        """Pass messages of the client to the peer, one request at a time; those for a closed session are discarded."""
        with self._turn:
            for message in messages:
                peer = self._peer
                if peer is not None:
                    try:
                        peer.handle_text(message)
                    except Exception as error:
                        peer.close_broken(error)
                yield_if_due()

    def take(self) -> bytes | None:
        """Return the next frame for the client, with all messages that wait; None if nothing is to be sent.

        The messages leave the outbox, but count towards its limit until `outbox.settle()` is called. Call that when
        the frame has been sent.
        """
        if not self._is_open:
            self._is_open = True
            return frames.OPEN
        if self.outbox.frames:
            return frames.messages_frame(self.outbox.take())
        return self._close_frame

    def attach(self, receiver: Receiver) -> None:
        """Make this request the receiver; there must not be another one."""
        self.receiver = receiver

    def detach(self) -> None:
        """Remove the receiver, which has been answered; messages wait for the next one."""
        self.receiver = None
        if self._close_frame is None:
            self.since = running_time()

    def has_receiver(self) -> bool:
        """Return whether there is a receiver. One whose client has disconnected ends the session. May block."""
        if self.receiver is None:
            return False
        if self.receiver.check_disconnected():
            self.interrupt()
        return True

    def interrupt(self) -> None:
        """Handle a client that has disconnected, during a request or permanently. May block."""
        self.outbox.drop_waiting()
        self.close(*CONNECTION_INTERRUPTED)
        self.outbox.drop_waiting()  # what was sent while the peer was closed

    # -- failures

    def close_silent(self) -> None:
        """Close the session of a client whose machine has not acknowledged data for too long."""
        if self._peer is not None:
            self._peer.close_silent()

    def close_failed(self, reason: str) -> None:
        """Close the session after a write timeout."""
        if self._peer is not None:
            self._peer.close_failed(reason)

    def close_too_large(self) -> None:
        """Close the session of a client that has sent a request that is too large. May block."""
        if self._peer is not None:
            self._peer.close_too_large()

    def _slow(self) -> None:
        if self._peer is not None:
            self._peer.close_slow()

    def _ready(self) -> None:
        if self.receiver is not None:
            self.receiver.wake()
