"""Reads and writes a gevent socket with fewer system calls than gevent itself.

gevent's `recv` first tries to read, which fails whenever the peer waits for a response, and creates an object for the
timeout. Its `sendall` asks the kernel for the size of the send buffer. A request and its response take 20 µs
with gevent's methods, and 10 µs with these.
"""

from __future__ import annotations

from errno import EBADF
from socket import MSG_PEEK
from typing import Any

import gevent
from gevent.socket import socket as Socket

from ..runtime.wait_limit import WaitLimit, WaitTooLong

RECV_SIZE = 16384
"""Bytes that a reader asks of the socket with one call."""


class DirectSocket:
    """Reads and writes one socket. Each wait ends when the socket is closed, with an OSError."""

    __slots__ = ("raw", "_hub", "_limit", "_socket")

    def __init__(self, socket: Socket, raw: Any = None) -> None:
        # Any: the socket below it and its watcher are not part of gevent's public types.
        self._socket: Any = socket
        self.raw: Any = raw if raw is not None else getattr(socket, "_sock")
        """The non-blocking socket below gevent's: calls that would block raise BlockingIOError."""
        self._hub = gevent.get_hub()
        self._limit: WaitLimit | None = None

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes, or no bytes at the end of the stream. Blocks until there is something to read.

        Other greenlets run first, even if there is something to read already, so that no peer can keep them waiting.
        """
        while True:
            self._wait_readable()
            try:
                data: bytes = self.raw.recv(size)
            except BlockingIOError:  # the kernel has discarded the data that it announced
                continue
            return data

    def recv_within(self, size: int, seconds: float) -> bytes:
        """Receive like `recv`. Raises TimeoutError if nothing arrives within `seconds` in which the process runs."""
        limit = self._limit
        if limit is None:
            limit = self._limit = WaitLimit(self._hub)
        limit.begin(seconds)
        try:
            return self.recv(size)
        except WaitTooLong:
            # A busy process may not have noticed the data in time.
            data = self.recv_now(size)
            if data is None:
                raise TimeoutError("timed out") from None
            return data
        finally:
            limit.end()

    def release_limit(self) -> None:
        """Release the timer of `recv_within`. The next call creates another one."""
        if self._limit is not None:
            self._limit.close()
            self._limit = None

    def recv_now(self, size: int) -> bytes | None:
        """Return up to `size` bytes that have arrived, or no bytes at the end; None if nothing has. Never waits."""
        try:
            data: bytes = self.raw.recv(size)
        except BlockingIOError:
            return None
        return data

    def peek(self) -> bytes:
        """Return the next byte without consuming it; no bytes at the end. Raises BlockingIOError if there is none."""
        data: bytes = self.raw.recv(1, MSG_PEEK)
        return data

    def sendall(self, data: bytes) -> None:
        """Write all of `data`. If the socket is full, the socket's own timeout applies."""
        try:
            sent = self.raw.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._socket.sendall(memoryview(data)[sent:])

    def send_close_notify(self) -> None:
        """Announce the end of the data to the peer, if the protocol has a message for that; plain TCP has none."""

    def _wait_readable(self) -> None:
        watcher = self._socket._read_event
        if watcher is None:
            raise OSError(EBADF, "the socket is closed")
        self._hub.wait(watcher)
