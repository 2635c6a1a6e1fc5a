"""A TLS connection's gevent socket, read and written directly: what direct_socket.py is for one that is plain.

OpenSSL encrypts a record, and if the socket does not take all of it, wants to be called again with the very same data.
What waits for a client may be dropped meanwhile. So of such data all but the last byte are said to be sent: whoever
writes comes back with at least that byte, and the record goes out first.
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
    """The connection without gevent: what cannot be done now raises BlockingIOError."""

    __slots__ = ("_peeked", "_socket", "_taken", "_tls")

    def __init__(self, socket: SSLSocket) -> None:
        self._socket = socket
        self._tls: Any = getattr(socket, "_sslobj")  # not public, and gone from a socket that is shut down
        self._taken = b""
        """What OpenSSL has taken and not written."""
        self._peeked = b""

    def fileno(self) -> int:
        """What to wait for."""
        return self._socket.fileno()

    def send(self, data: bytes, /) -> int:
        """Encrypt and send as much as the socket takes; how much, of which the last byte may have been sent before."""
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
                self._taken = record
                sent += len(record) - 1
                break
            sent += len(record)
        if not sent:
            raise BlockingIOError
        return sent

    def recv(self, size: int) -> bytes:
        """What has come and been decrypted; nothing at the end."""
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
        """What `recv` would give, which stays."""
        self._peeked = self.recv(1)
        return self._peeked

    def say_goodbye(self) -> None:
        """Tell the peer that nothing follows, if that can be done at once."""
        try:
            self._tls.shutdown()
        except OSError:
            pass  # it does not wait for the peer's answer

    def _write(self, data: bytes) -> None:
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
        gevent.sleep(0)  # others run first, also when what has come is decrypted already
        while True:
            try:
                return self.raw.recv(size)
            except BlockingIOError:
                self._wait_readable()

    def peek(self) -> bytes:
        return self.raw.peek()

    def sendall(self, data: bytes) -> None:
        while data:
            try:
                data = data[self.raw.send(data) :]
            except BlockingIOError:
                # With the socket's own timeout, as gevent's sendall has it.
                self._socket._wait(self._socket._write_event)

    def say_goodbye(self) -> None:
        self.raw.say_goodbye()


def direct(socket: Any) -> DirectSocket:
    """What reads and writes this socket of gevent directly."""
    return DirectTLS(socket) if isinstance(socket, SSLSocket) else DirectSocket(socket)


def raw_of(socket: Any) -> Any:
    """The socket without gevent, for who must not wait."""
    return RawTLS(socket) if isinstance(socket, SSLSocket) else socket._sock
