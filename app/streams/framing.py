"""Encodes messages for a response: as lines, as events, or as bytes that contain their length; with or without chunks.

Each encoding is one function, which is the same object for all connections that use it. So a publication is framed, and
compressed, only once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from ..http.response import chunk
from ..protocol.v2.event_positions import split_id
from . import gzip_parts

Frame = Callable[[bytes], bytes]
Pieces = Callable[[bytes], tuple[bytes, ...]]
"""Writes a message in pieces, so that clients can share those that are the same for several of them."""


class Framing(NamedTuple):
    """One encoding of messages in a response."""

    transport: str
    """The kind of stream, as operators see it."""
    content_type: str
    start: bytes
    """The first bytes of the body."""
    write: Pieces
    """Encodes a message for the body, which is compressed and cut into chunks afterwards."""

    def prelude(self, is_compressed: bool = False) -> bytes:
        """Return the first bytes of the body, not cut into chunks."""
        if not is_compressed:
            return self.start
        return gzip_parts.GZIP_START + (gzip_parts.part(self.start) if self.start else b"")

    def frame(self, is_chunked: bool, is_compressed: bool = False) -> Frame:
        """Return the function that encodes a message; the same one for equal arguments.

        A body that is not cut into chunks ends with the connection, as for HTTP/1.0.
        """
        return _frame(self.write, is_chunked, is_compressed)


@cache
def _frame(write: Pieces, is_chunked: bool, is_compressed: bool) -> Frame:
    def encode_plain(message: bytes) -> bytes:
        return b"".join(write(message))

    def encode_compressed(message: bytes) -> bytes:
        return b"".join(map(gzip_parts.part, write(message)))

    encode = encode_compressed if is_compressed else encode_plain

    def encode_chunk(message: bytes) -> bytes:
        return chunk(encode(message))

    return encode_chunk if is_chunked else encode


def encode_line(message: bytes) -> tuple[bytes]:
    """Encode a message in JSON as a line."""
    return (message + b"\n",)


def encode_event(message: bytes) -> tuple[bytes]:
    """Encode a message in JSON as a Server-Sent Event, without carriage returns, which would end the line."""
    return (b"data: %b\n\n" % message.replace(b"\r", b""),)


def encode_event_with_id(message: bytes) -> tuple[bytes, ...]:
    """Return an event, with an id if the message has one (event_positions.py). Browsers reconnect with it."""
    id_, text = split_id(message)
    return encode_event(text) if id_ is None else (b"id: %b\n" % id_, *encode_event(text))


def _encode_unchanged(message: bytes) -> tuple[bytes]:
    return (message,)


LINES = Framing("http_stream", "text/plain; charset=utf-8", b"", encode_line)
BYTES = Framing("http_stream", "application/octet-stream", b"", _encode_unchanged)
EVENTS = Framing("sse", "text/event-stream", b"\r\n", encode_event)
EVENTS_WITH_IDS = Framing("sse", "text/event-stream", b"\r\n", encode_event_with_id)

STREAM_HEADERS: Mapping[str, str] = {
    # Without this header, nginx would collect the response in a buffer.
    "X-Accel-Buffering": "no",
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response that is a stream."""
