"""Reads and writes a TLS connection of gevent directly, as direct_socket.py does for plain connections.

If the socket does not take a whole encrypted record, OpenSSL must be called again with exactly the same data. It may be
a copy, because Python sets SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER. But the data that waits for a slow client may be
discarded meanwhile. So `send` reports that all of the record except its last byte is sent. The caller then calls again
with at least that byte, and the record is sent first.
"""

from __future__ import annotations

import ssl
from errno import EBADF
from typing import Any

import gevent
from gevent.ssl import SSLSocket

from .direct_socket import DirectSocket

RECORD = 16384
"""Bytes that TLS encrypts together, at most."""


class RawTLS:
    """The TLS connection below gevent's: calls that would block raise BlockingIOError."""

    __slots__ = ("_peeked", "_socket", "_taken", "_tls")

    def __init__(self, socket: SSLSocket) -> None:
        self._socket = socket
        self._tls: Any = getattr(socket, "_sslobj")  # private attribute; unusable after the socket was shut down
        self._taken = b""
        """The record that OpenSSL has encrypted and not written."""
        self._peeked = b""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._socket.fileno()

    def send(self, data: bytes | memoryview, /) -> int:
        """Encrypt and send as much as the socket accepts. Returns the sent bytes; one less for an unfinished record."""
        sent = 0
        if self._taken:
            self._write(self._taken)
            self._taken = b""
            sent = 1
        while sent < len(data):
            record = data[sent : sent + RECORD]
            try:
                self._write(record)
            except BlockingIOError:
                self._taken = bytes(record)  # a view would keep all of the data
                sent += len(record) - 1
                break
            sent += len(record)
        if not sent:
            raise BlockingIOError
        return sent

    def recv(self, size: int) -> bytes:
        """Return up to `size` decrypted bytes, or no bytes at the end."""
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        if self._socket.fileno() < 0:
            raise OSError(EBADF, "the socket is closed")
        try:
            read: bytes = self._tls.read(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        return read

    def peek(self) -> bytes:
        """Return the next byte, without consuming it, or no bytes at the end."""
        self._peeked = self.recv(1)
        return self._peeked

    def send_close_notify(self) -> None:
        """Send the alert close_notify, if that is possible without waiting."""
        try:
            self._tls.shutdown()
        except OSError:
            pass  # raised also because the peer has not replied yet

    def _write(self, data: bytes | memoryview) -> None:
        if self._socket.fileno() < 0:
            raise OSError(EBADF, "the socket is closed")
        try:
            self._tls.write(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None


class DirectTLS(DirectSocket):
    """Reads and writes one TLS connection."""

    __slots__ = ()

    raw: RawTLS

    def __init__(self, socket: SSLSocket) -> None:
        super().__init__(socket, RawTLS(socket))

    def recv(self, size: int) -> bytes:
        """Return up to `size` decrypted bytes, or no bytes at the end. Waits until data can be read."""
        gevent.sleep(0)  # other greenlets run first, even if decrypted data is there already
        while True:
            try:
                return self.raw.recv(size)
            except BlockingIOError:
                self._wait_readable()

    def peek(self) -> bytes:
        """Return the next byte without consuming it; no bytes at the end. Raises BlockingIOError if there is none."""
        return self.raw.peek()

    def sendall(self, data: bytes) -> None:
        """Encrypt and write all of `data`. If the socket is full, the timeout of the socket applies."""
        rest = memoryview(data)  # so that no part of a large message is copied for each write
        while rest:
            try:
                rest = rest[self.raw.send(rest) :]
            except BlockingIOError:
                # The socket's own timeout applies, as in gevent's sendall.
                self._socket._wait(self._socket._write_event)

    def send_close_notify(self) -> None:
        """Send the alert close_notify, if that is possible without waiting."""
        self.raw.send_close_notify()


def direct(socket: Any) -> DirectSocket:
    """Return the object that reads and writes this socket of gevent directly."""
    return DirectTLS(socket) if isinstance(socket, SSLSocket) else DirectSocket(socket)


def raw_of(socket: Any) -> Any:
    """Return the non-blocking socket below this socket of gevent."""
    return RawTLS(socket) if isinstance(socket, SSLSocket) else socket._sock
