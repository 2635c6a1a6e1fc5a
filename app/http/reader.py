"""Reads requests from a socket: complete heads with a timeout, bodies on demand.

It is also a file-like object for pywsgi, so that a request can be inspected here first and then be passed to pywsgi as
if it had not been read.
"""

from __future__ import annotations

from ..net.direct_socket import RECV_SIZE, DirectSocket
from ..net.read_allowance import ReadAllowance
from ..runtime.running_clock import running_time
from .head import END_OF_HEAD, MAX_HEAD_SIZE, HTTPError
from .misplaced_tls import NO_TLS_HERE, TLS_HANDSHAKE

BARE_LINE_FEED = "a line of the head does not end with CR LF"


class RequestReader:
    """Reads the bytes of one connection in order. Raises TimeoutError if a peer is too slow.

    A head may take `timeout` seconds. A body may take as long, and 1 / MIN_RATE seconds more for each of its bytes
    (net/read_allowance.py), independent of the pieces in which it is sent and read.
    """

    def __init__(self, socket: DirectSocket, timeout: float) -> None:
        self.closed = False
        """Whether no request can follow."""
        self._socket = socket
        self._timeout = timeout
        self._buffer = b""
        self._allowance: ReadAllowance | None = None
        """The allowance for the current body; None until the reader has to wait for a part of it."""

    def read_head(self, idle_timeout: float) -> bytes | None:
        """Read the next head without the empty line after it; None if the peer closes or stays idle.

        The first byte may take `idle_timeout` seconds, the rest of the head the reader's timeout.
        Raises HTTPError for an invalid head, and TimeoutError for an incomplete one.
        """
        if not self._buffer and not self._receive_first(idle_timeout):
            return None
        end = self._buffer.find(END_OF_HEAD)
        if not 0 < end <= MAX_HEAD_SIZE or self._buffer.startswith(b"\r\n"):  # most heads arrive in one piece
            end = self._wait_for_head()
            if end < 0:
                return None
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        if head.count(b"\n") != head.count(b"\r\n"):
            raise HTTPError(400, BARE_LINE_FEED)
        self._allowance = None
        return head

    def _receive_first(self, timeout: float) -> bool:
        """Wait for the first data of a request; returns False if the peer closes or stays idle."""
        try:
            data = self._socket.recv_within(RECV_SIZE, timeout)
        except TimeoutError:
            return False
        self._buffer = data
        return bool(data)

    def _wait_for_head(self) -> int:
        """Wait until the buffer begins with a whole head, and return its size; -1 if the peer closes before that."""
        if self._buffer.startswith(TLS_HANDSHAKE):  # no head follows: the peer waits for the other half of it
            raise HTTPError(400, NO_TLS_HERE)
        deadline = running_time() + self._timeout
        searched = 0  # bytes that have been searched: a head may arrive byte by byte
        while True:
            while self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2: ignore empty lines before the head
                self._buffer = self._buffer[2:]
            end = self._buffer.find(END_OF_HEAD, max(searched - 3, 0))
            size = end if end >= 0 else len(self._buffer)
            if size > MAX_HEAD_SIZE:
                raise HTTPError(431, f"the head is larger than {MAX_HEAD_SIZE} bytes")
            if self._buffer.count(b"\n", searched, size) != self._buffer.count(b"\r\n", max(searched - 1, 0), size):
                raise HTTPError(400, BARE_LINE_FEED)
            if end >= 0:
                return end
            searched = size
            if not self._receive(deadline):
                return -1

    def unread_head(self, head: bytes) -> None:
        """Put a head back, so that it can be read again."""
        self.put_back(head + END_OF_HEAD)

    def put_back(self, data: bytes) -> None:
        """Put data back in front of the unread data."""
        self._buffer = data + self._buffer

    def read_body(self, size: int) -> bytes:
        """Read exactly `size` bytes. Raises EOFError or TimeoutError."""
        body = self.read(size)
        if len(body) < size:
            raise EOFError("the request ended in the middle of its body")
        return body

    def take_rest(self) -> bytes:
        """Return and remove the data that was received after the requests read so far."""
        rest, self._buffer = self._buffer, b""
        return rest

    def peek(self) -> bytes:
        """Return the data received after the requests read so far, without consuming it. Does not block."""
        return self._buffer

    # -- what pywsgi needs of a file

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of a body; fewer only at the end of the stream."""
        if 0 < len(self._buffer) == size and self._allowance is None:  # most bodies arrive with their heads
            body, self._buffer = self._buffer, b""
            return body
        parts = []
        missing = size
        while missing > 0:
            if not self._buffer and not self._wait_for_body():
                break
            part, self._buffer = self._buffer[:missing], self._buffer[missing:]
            parts.append(part)
            missing -= len(part)
            if self._allowance is not None:
                self._allowance.note_received(len(part))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self, limit: int = -1) -> bytes:
        """Return a line of a body with its line end, at most `limit` bytes; shorter only at the end of the stream."""
        line = self.read_framing_line(limit)
        if self._allowance is not None:
            self._allowance.note_received(len(line))
        return line

    def read_framing_line(self, limit: int) -> bytes:
        """Read a line between chunks. It is not content, so it does not extend the timeout."""
        while True:
            end = self._buffer.find(b"\n") + 1
            if limit >= 0 and (end > limit or (not end and len(self._buffer) >= limit)):
                end = limit
            if end or not self._wait_for_body():
                line, self._buffer = self._buffer[: end or None], self._buffer[end or len(self._buffer) :]
                return line

    def close(self) -> None:
        """Record that no further request can be read."""
        self.closed = True

    def _wait_for_body(self) -> bool:
        """Wait for more of the body. Returns False at the end of the stream. Raises TimeoutError if it is too slow."""
        if self._allowance is None:
            self._allowance = ReadAllowance(self._timeout)
        began = running_time()
        try:
            return self._receive(began + self._allowance.left)
        finally:
            self._allowance.note_waited(running_time() - began)

    def _receive(self, deadline: float) -> bool:
        """Wait for more data. Returns False at the end of the stream."""
        data = self._socket.recv_within(RECV_SIZE, deadline - running_time())
        self._buffer = self._buffer + data if self._buffer else data
        return bool(data)
