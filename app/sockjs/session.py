"""A session over HTTP: what lasts from the client's first request to the end, while requests come and go."""

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
    """The request that waits for what the session has to say. No method blocks."""

    heard_at: float
    """When the client was last sent something; monotonic."""

    def wake(self) -> None:
        """There may be something to take."""

    def beat(self) -> None:
        """Nothing was sent for long: send a heartbeat."""

    def is_stuck(self) -> bool:
        """Whether what was sent before has not even reached the client's machine."""
        ...

    def notice_end(self) -> bool:
        """Whether the client has gone."""
        ...

    def abandon(self) -> None:
        """The client has gone, or must go: end the request."""


class Session:
    """One session; a transport for its peer. Between two requests it costs memory alone."""

    __slots__ = ("__weakref__", "binding", "outbox", "receiver", "since", "_close_frame", "_is_open", "_peer", "_turn")

    def __init__(self, flusher: Flusher, queue_max_size: int, connect: Connect, opening: Opening | None = None) -> None:
        self.outbox = MessageQueue(flusher, queue_max_size, self._slow, self._ready)
        self.receiver: Receiver | None = None
        self.binding: Binding | None = None
        """What requests of this session must present; None when its id is enough."""
        self.since = running_time()
        """When the last receiver left, or the session was closed."""
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

    binary_frame = None

    def stop_pings(self) -> None:
        """Do nothing: the heartbeats of SockJS are no pings, and the client counts on them."""

    @staticmethod
    def frame(message: bytes) -> bytes:
        """A message as it goes into the outbox."""
        return frames.quote_message(message)

    def send(self, text: str) -> None:
        """Queue one message."""
        if self._close_frame is None:
            self.outbox.append(frames.quote(text))

    def close(self, code: int, reason: str) -> None:
        """Tell whoever receives, after what waits; the session is over. A second call does nothing."""
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
    def last_words(self) -> bytes | None:
        """The close frame of a session that is over."""
        return self._close_frame

    def handle(self, messages: list[str]) -> None:
        """Give messages of the client to the peer, one request at a time; those for a closed session are lost."""
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
        """The next frame for the client; None when there is nothing to say. Settle the outbox when it is sent."""
        if not self._is_open:
            self._is_open = True
            return frames.OPEN
        if self.outbox.frames:
            return frames.messages_frame(self.outbox.take())
        return self._close_frame

    def attach(self, receiver: Receiver) -> None:
        """From now on this request receives; there must be none yet."""
        self.receiver = receiver

    def detach(self) -> None:
        """The request has been answered; until the next one messages wait."""
        self.receiver = None
        if self._close_frame is None:
            self.since = running_time()

    def has_receiver(self) -> bool:
        """Whether a request receives already. One whose client has gone meanwhile ends the session. May block."""
        if self.receiver is None:
            return False
        if self.receiver.notice_end():
            self.interrupt()
        return True

    def interrupt(self) -> None:
        """The client has gone, in the middle of a request or for good. May block."""
        self.outbox.drop_waiting()
        self.close(*CONNECTION_INTERRUPTED)

    # -- trouble

    def close_silent(self) -> None:
        """The client's machine has confirmed nothing for long."""
        if self._peer is not None:
            self._peer.close_silent()

    def close_failed(self, reason: str) -> None:
        """The client took nothing for too long."""
        if self._peer is not None:
            self._peer.close_failed(reason)

    def _slow(self) -> None:
        if self._peer is not None:
            self._peer.close_slow()

    def _ready(self) -> None:
        if self.receiver is not None:
            self.receiver.wake()
