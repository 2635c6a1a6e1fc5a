"""The requests over which a client receives messages: a poll is answered with one frame, a stream with many.

Each uses the greenlet that serves its connection. While it waits, a watcher in the event loop detects when the client
disconnects; a write would detect that only later. Frames of a stream are written from the event loop as long as the
socket accepts them. The greenlet of a stream wakes only to end the stream, or when the socket is full.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gevent.event import Event

from ..exchange.exchange import Exchange
from ..exchange.peer_watch import PeerWatch
from ..http.response import CLOSE_CONNECTION, HTTPResponse
from ..runtime.running_clock import running_time
from .frames import HEARTBEAT
from .session import Session
from .transports import HTTPTransport


class WaitingRequest(ABC):
    """The common part of polls and streams. `write_timeout` is in seconds; 0 means no timeout."""

    def __init__(
        self, exchange: Exchange, transport: HTTPTransport, headers: dict[str, str], write_timeout: float
    ) -> None:
        self.last_write_at = running_time()
        self._exchange = exchange
        self._transport = transport
        self._headers = {"Content-Type": transport.content_type, **headers}
        self._write_timeout = write_timeout
        self._is_heartbeat_due = False
        self._woken = Event()
        self._watch = PeerWatch(exchange.socket, exchange.direct)

    @abstractmethod
    def serve(self, session: Session) -> None:
        """Wait for frames of the session, and send them until the response is complete or the client disconnects.

        Call it when the request is the receiver of the session. Raises OSError if a write fails.
        """

    @abstractmethod
    def send_alone(self, frame: bytes) -> None:
        """Answer with this frame instead of frames of the session. Raises OSError if the client has disconnected."""

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Add headers to the response, which must not have begun."""
        self._headers.update(headers)

    def wake(self) -> None:
        """Wake the greenlet of the request."""
        self._woken.set()

    def send_heartbeat(self) -> None:
        """Send a heartbeat frame with the next wakeup of the request."""
        self._is_heartbeat_due = True
        self._woken.set()

    def has_unacknowledged_data(self) -> bool:
        """Return whether the client's machine has not yet acknowledged all data."""
        return self._exchange.unacknowledged_bytes() > 0

    def abandon(self) -> None:
        """End the request and its connection."""
        self.is_disconnected = True
        self._exchange.abort()
        self._woken.set()

    def _wait(self) -> None:
        self._woken.wait()
        self._woken.clear()

    def _next_frame(self, session: Session) -> bytes | None:
        frame = session.take()
        if frame is None and self._is_heartbeat_due:
            frame = HEARTBEAT
        self._is_heartbeat_due = False
        return frame

    @property
    def is_disconnected(self) -> bool:
        """Whether the client has disconnected."""
        return self._watch.is_disconnected

    @is_disconnected.setter
    def is_disconnected(self, value: bool) -> None:
        self._watch.is_disconnected = value

    def check_disconnected(self) -> bool:
        """Return whether the client has disconnected."""
        self._watch.check()
        return self.is_disconnected

    @contextmanager
    def _limit_writes(self, session: Session) -> Iterator[None]:
        """Limit the writes in a `with` block to the write timeout, which closes the session."""
        socket = self._exchange.socket
        usual = socket.gettimeout()
        socket.settimeout(self._write_timeout or None)
        try:
            yield
        except TimeoutError:
            session.close_failed(f"write timeout: the client read nothing for {self._write_timeout:g} s")
            raise
        finally:
            socket.settimeout(usual)


class Poll(WaitingRequest):
    """A request that is answered with the first available frame."""

    def serve(self, session: Session) -> None:
        """Answer with the next frame of the session. Raises OSError if the client has disconnected."""
        frame = self._next_frame(session)
        if frame is None:
            with self._watch.watching(self._woken.set):
                while frame is None and not self.is_disconnected:
                    self._wait()
                    frame = self._next_frame(session)
        if frame is None:
            return
        with self._limit_writes(session):
            self.send_alone(frame)
        session.outbox.settle()

    def send_alone(self, frame: bytes) -> None:
        """Answer with this frame. Raises OSError if the client has disconnected."""
        # After a close frame there is no next poll, so a server that shuts down need not wait for one.
        end = CLOSE_CONNECTION if frame.startswith(b"c") else {}
        self._exchange.respond(HTTPResponse(200, {**self._headers, **end}, self._transport.wrap(frame)))


class StreamingRequest(WaitingRequest):
    """A request that is answered with frames up to a total of `limit` bytes, or until the session is closed."""

    def __init__(
        self, exchange: Exchange, transport: HTTPTransport, headers: dict[str, str], write_timeout: float, limit: int
    ) -> None:
        # nginx buffers responses without this header.
        super().__init__(exchange, transport, {**headers, "X-Accel-Buffering": "no"}, write_timeout)
        self._left = limit
        self._rest = b""
        """Data that the socket did not accept at once."""
        self._idle_for: Session | None = None
        """The session, while the greenlet waits and the event loop may write frames."""

    def serve(self, session: Session) -> None:
        """Stream frames of the session until a limit or its end. Raises OSError if the client has disconnected."""
        with self._limit_writes(session):
            self._start()
        with self._watch.watching(self._woken.set):
            while not self.is_disconnected:
                if self._rest:
                    self._write_rest(session)
                elif self._left <= 0:
                    break
                elif not self._write_next(session):
                    self._idle_for = session
                    self._wait()
                    self._idle_for = None
        if not self.is_disconnected:
            self._exchange.finish()

    def send_alone(self, frame: bytes) -> None:
        """Stream only this frame, and end the response. Raises OSError if the client has disconnected."""
        self._start()
        self._exchange.direct.sendall(self._exchange.chunk(self._transport.wrap(frame)))
        self._exchange.finish()

    def _start(self) -> None:
        self._exchange.start(HTTPResponse(200, self._headers, self._transport.prelude))

    def wake(self) -> None:
        """Write available frames without waking the greenlet, as long as the socket accepts them."""
        # While the socket accepts all data, this writes without the greenlet, because waking it would double the cost.
        session = self._idle_for
        if session is not None:
            while self._is_clear and self._write_next(session):
                pass
            if self._is_clear:
                return
            self._idle_for = None
        super().wake()

    @property
    def _is_clear(self) -> bool:
        """Whether the next frame may be written."""
        return not (self._rest or self.is_disconnected) and self._left > 0

    def _write_next(self, session: Session) -> bool:
        """Write the next frame, or its beginning, without blocking. Returns whether there was one."""
        frame = self._next_frame(session)
        if frame is None:
            return False
        wrapped = self._transport.wrap(frame)
        self._left -= len(wrapped)
        if frame is session.close_frame_if_closed:
            self._left = 0
        self.last_write_at = running_time()
        data = self._exchange.chunk(wrapped)
        try:
            self._rest = data[self._exchange.direct.raw.send(data) :]
        except BlockingIOError:
            self._rest = data
        except OSError:
            self.is_disconnected = True
        if not self._rest:
            session.outbox.settle()
        return True

    def _write_rest(self, session: Session) -> None:
        with self._limit_writes(session):
            self._exchange.direct.sendall(self._rest)
        self._rest = b""
        session.outbox.settle()
