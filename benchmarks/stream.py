"""One subscriber over HTTP streaming: connects and subscribes with one request, whose response has all messages."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

from benchmarks.message import now
from benchmarks.receivers import CheckingReceiver, CountingReceiver
from benchmarks.subscriber import Subscriber

MAX_PING_SIZE = 16
"""Bytes of the largest chunk that is a ping, compressed or not; all messages are larger."""


class Stream(Subscriber):
    """A subscriber that answers no pings, so that the server closes it after half a minute.

    The server sends each message as a chunk. With a CountingReceiver, messages are only counted.
    """

    coding = ""
    """What the client accepts."""

    def _prepare(self) -> None:
        self.size = 0
        """Bytes that came after the replies."""
        self._buffer = b""
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if self.coding else None
        self._take: Callable[[bytes], None] = self._take_replies

    def start_closing(self) -> None:
        """Close the connection, which ends the stream."""
        self.drop()

    def _connected(self) -> None:
        protocol = self._target.protocol
        body = protocol.connect(self._user, self._target.secret) + b"\n" + protocol.subscribe(self._channel)
        lines = [
            f"POST {self._target.prefix}/connection/http_stream HTTP/1.1",
            f"Host: {self._target.host}",
            f"Content-Length: {len(body)}",
            *([f"Accept-Encoding: {self.coding}"] if self.coding else []),
        ]
        self._loop.watch(self._socket, self._read_head)
        self._send("\r\n".join([*lines, "", ""]).encode() + body)

    def _receive(self) -> bytes:
        data = self._receive_available()
        if self.ended and not self._subscribed:
            raise self._failed("the server closed the connection")
        return data

    def _read_head(self) -> None:
        self._buffer += self._receive()
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        if b" 200 " not in head:
            raise self._failed(f"unexpected response: {head[:80]!r}")
        if self.coding and b"Content-Encoding: gzip" not in head:
            raise self._failed("the server does not compress (option stream_compression)")
        self._buffer = b""
        self._loop.watch(self._socket, self._read)
        self._take_chunks(rest)

    def _read(self) -> None:
        self._take_chunks(self._receive())

    def _take_chunks(self, data: bytes) -> None:
        data = self._buffer + data
        position = 0
        while (line := data.find(b"\r\n", position)) >= 0:
            start = line + 2
            end = start + int(data[position:line], 16)
            if end + 2 > len(data):
                break
            self._take(data[start:end])
            position = end + 2
        self._buffer = data[position:]

    def _take_replies(self, chunk: bytes) -> None:
        for line in self._plain(chunk).splitlines():
            if b'"disconnect"' in line:
                raise self._failed(f"the server closed the connection: {line.decode()}")
            if self._is_reply(line, "subscribe"):
                self._subscribed = time.monotonic()
                self._take = self._check if isinstance(self.receiver, CheckingReceiver) else self._count
                self._on_subscribed(self)

    def _plain(self, chunk: bytes) -> bytes:
        return chunk if self._inflater is None else self._inflater.decompress(chunk)

    def _count(self, chunk: bytes) -> None:
        self._inflater = None
        if len(chunk) > MAX_PING_SIZE and isinstance(self.receiver, CountingReceiver):
            self.size += len(chunk)
            self.receiver.count()

    def _check(self, chunk: bytes) -> None:
        received = now()
        if len(chunk) > MAX_PING_SIZE and isinstance(self.receiver, CheckingReceiver):
            self.size += len(chunk)
            self.receiver.check(self._target.protocol.publications(self._plain(chunk)), received)


class CompressedStream(Stream):
    """A stream that requests compression, and fails if the server does not support it."""

    coding = "gzip"
