"""Outboxes: the frames that wait to be written to one connection, counted in bytes.

A frame for many connections is the same bytes object in each of their outboxes. The flusher (flusher.py) writes them.
Only a socket that is full gets a greenlet of its own, so that it does not delay the other connections.
"""

from __future__ import annotations

import os
import time
from _socket import socket as PlainSocket
from abc import ABC, abstractmethod
from collections.abc import Callable
from errno import EAGAIN, EWOULDBLOCK
from typing import Protocol

import gevent
from gevent.socket import wait_write

from ..runtime.running_clock import running_time
from .flusher import Flusher
from .traffic import SentCounts

WRITER_CHUNK = 1 << 18
"""Bytes that the writer of a full socket joins for one send; a single frame may be longer."""
NO_LIMIT = 1 << 62
"""A limit in bytes that no outbox reaches."""


class RawSocket(Protocol):
    """A non-blocking socket: `send` raises BlockingIOError when it is full."""

    def send(self, data: bytes, /) -> int:
        """Write as much of `data` as the socket accepts, and return the number of bytes. Raises OSError."""

    def fileno(self) -> int:
        """Return the file descriptor of the socket."""


def no_descriptor() -> int:
    """Return -1, the `fileno` of a queue without a socket."""
    return -1


def ignore_call(*_: object) -> None:
    """Ignore the call of a queue whose connection has ended."""


class OutboxLimits(Protocol):
    """The options of the configuration that apply to an outbox."""

    @property
    def client_queue_max_size(self) -> int:
        """Maximum size of the queue of a client in bytes."""

    @property
    def client_message_write_timeout(self) -> float:
        """Maximum seconds for one write to a client; 0 means no limit."""


class Queue(ABC):
    """The frames that wait for one connection: the part of an outbox that the hub and the flusher use.

    `limit` is in bytes. `on_overflow` is called once when more waits than that; it must not block or raise.
    """

    __slots__ = ("counts", "fileno", "frames", "limit", "size", "_flusher", "_on_overflow")

    def __init__(self, flusher: Flusher, limit: int, on_overflow: Callable[[], None]) -> None:
        self.frames: list[bytes] = []
        """The frames that wait, oldest first. Empty if there is nothing to write."""
        self.size = 0
        """The number of bytes that wait."""
        self.limit = limit
        self.fileno: Callable[[], int] = no_descriptor
        """Returns the file descriptor that the flusher may send to directly, or -1: then it calls `write`."""
        self.counts: SentCounts = flusher
        """Where sent frames are counted: at the flusher, until the kind of the connection is known."""
        self._flusher = flusher
        self._on_overflow = on_overflow

    def append(self, frame: bytes) -> None:
        """Queue one frame for this connection alone."""
        self._flusher.fan_out((self,), frame)

    def overflow(self) -> None:
        """Call `on_overflow` once; the flusher calls this when more bytes wait than the limit allows."""
        self.limit = NO_LIMIT  # so that this is called once
        self._on_overflow()

    def release(self) -> None:
        """Call no callback any more: they refer to the connection, so only the garbage collector could free both."""
        self._on_overflow = ignore_call

    @abstractmethod
    def drop_waiting(self) -> None:
        """Discard the frames that wait, except the rest of a frame that is partly sent."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Write `data`, all waiting frames joined; called by the flusher. Must not block."""

    def take_result(self, sent: int) -> None:
        """Process the result of sending to the descriptor: the number of sent bytes, or a negative errno."""
        raise NotImplementedError(  # pragma: no cover (a queue without a descriptor is written with `write`)
            "cannot send directly: this queue has no descriptor"
        )

    @abstractmethod
    def fail(self, reason: str) -> None:
        """Handle an exception that `write` has raised; called by the flusher."""


class Outbox(Queue):
    """The frames that wait for one connection with a socket of its own.

    `on_error` is called once when the socket cannot be written, or takes nothing for `write_timeout` seconds (0: no
    limit). It must not block or raise.
    """

    __slots__ = ("_on_error", "_socket", "_timeout", "_writer")

    def __init__(
        self,
        flusher: Flusher,
        socket: RawSocket,
        limit: int,
        on_overflow: Callable[[], None],
        on_error: Callable[[str], None],
        write_timeout: float = 0,
    ) -> None:
        super().__init__(flusher, limit, on_overflow)
        if isinstance(socket, PlainSocket):
            self.fileno = socket.fileno  # not its result: the socket may be closed before the outbox
        self._socket: RawSocket | None = socket
        self._on_error = on_error
        self._timeout = write_timeout
        self._writer: gevent.Greenlet[[], None] | None = None

    def drop_waiting(self) -> None:
        """Discard the waiting frames, except the first one, of which a part may be sent already."""
        del self.frames[1:]
        self.size = sum(map(len, self.frames))

    def release(self) -> None:
        """Call no callback any more, when the connection has ended."""
        super().release()
        self._on_error = ignore_call

    def drain(self, timeout: float) -> bool:
        """Wait until all frames are written, at most `timeout` seconds; returns whether they are."""
        deadline = time.monotonic() + timeout
        while self.frames and self._socket is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._writer is not None:
                self._writer.join(left)
            else:
                self._flusher.wait_round(left)
        return not self.frames

    def close(self) -> None:
        """Discard the frames that wait, and release the socket and its writer greenlet. A second call does nothing."""
        self._socket = None
        self.fileno = no_descriptor
        self.release()
        self._empty()
        writer = self._writer
        self._forget_writer()
        if writer is not None and writer is not gevent.getcurrent():
            writer.kill(block=False)

    def write(self, data: bytes) -> None:
        """Write all waiting frames joined; a writer greenlet writes the data that the socket does not accept."""
        sent = self._send(data)
        if sent is not None:
            self.take_result(sent)

    def _send(self, data: bytes) -> int | None:
        """Send `data`. Returns the number of bytes that the socket has accepted, or None if the outbox is closed."""
        socket = self._socket
        if socket is None:
            self._empty()
            return None
        try:
            return socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.fail(str(error))
            return None

    def take_result(self, sent: int) -> None:
        """Process the result of sending to the descriptor: the number of sent bytes, or a negative errno."""
        if sent == self.size:  # nearly always
            counts = self.counts
            counts.bytes_sent += sent
            counts.frames_sent += len(self.frames)
            self.frames = []
            self.size = 0
            return
        if sent >= 0:
            self._remove(sent)
        elif -sent not in (EAGAIN, EWOULDBLOCK):
            self.fail(str(OSError(-sent, os.strerror(-sent))))
            return
        if self.frames:
            self._start_writer()

    def _remove(self, sent: int) -> None:
        """Remove the first `sent` bytes, which the socket has accepted.

        The remaining frames stay the objects that all receivers share.
        """
        self.counts.bytes_sent += sent
        self.size -= sent
        whole = 0
        for frame in self.frames:
            if sent < len(frame):
                break
            sent -= len(frame)
            whole += 1
        self.counts.frames_sent += whole
        self.frames = self.frames[whole:]
        if sent:
            self.frames[0] = self.frames[0][sent:]

    def _empty(self) -> None:
        self.frames = []
        self.size = 0

    def fail(self, reason: str) -> None:
        """Close the outbox because the socket cannot be written, and call `on_error` with the reason."""
        if self._socket is not None:
            on_error = self._on_error
            self.close()
            on_error(reason)

    def _start_writer(self) -> None:
        self._flusher.unsent.add(self)
        self._writer = gevent.spawn(self._write_when_possible)

    def _write_when_possible(self) -> None:
        while self._socket is not None and self.frames:
            if not self._wait_until_writable(self._socket):
                self.fail(f"write timeout: the client read nothing for {self._timeout:g} s")
                return
            sent = self._send(self._next_chunk())
            if sent is None:
                return
            self._remove(sent)
        self._forget_writer()

    def _forget_writer(self) -> None:
        self._writer = None
        self._flusher.unsent.discard(self)

    def _wait_until_writable(self, socket: RawSocket) -> bool:
        ends = running_time() + self._timeout
        left: float | None = self._timeout or None
        while True:
            try:
                wait_write(socket.fileno(), timeout=left)
            except TimeoutError:
                left = ends - running_time()
                if left <= 0:
                    return False
            else:
                return True

    def _next_chunk(self) -> bytes:
        if self.size <= WRITER_CHUNK:
            return b"".join(self.frames)
        size = count = 0
        for frame in self.frames:
            if count and size + len(frame) > WRITER_CHUNK:
                break
            size += len(frame)
            count += 1
        return b"".join(self.frames[:count])
