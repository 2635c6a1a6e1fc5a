"""How messages are written into a response: as lines, as events, or as bytes with their own lengths, in chunks or not.

Each way of writing is one function, the same object for all connections that use it. So what is published in a channel
is framed, and compressed, once for all of them.
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
    """One way to write messages into a response."""

    transport: str
    """The kind of stream, as operators see it."""
    content_type: str
    start: bytes
    """What the body begins with."""
    write: Pieces
    """Writes a message into the body, before that is compressed or cut into chunks."""

    def prelude(self, is_compressed: bool = False) -> bytes:
        """The beginning of the body, not cut into chunks."""
        if not is_compressed:
            return self.start
        return gzip_parts.GZIP_START + (gzip_parts.part(self.start) if self.start else b"")

    def frame(self, is_chunked: bool, is_compressed: bool = False) -> Frame:
        """The function that writes a message; the same one for equal arguments.

        A body that is not cut into chunks ends with the connection, as for HTTP/1.0.
        """
        return _frame(self.write, is_chunked, is_compressed)


@cache
def _frame(write: Pieces, is_chunked: bool, is_compressed: bool) -> Frame:
    def plain(message: bytes) -> bytes:
        return b"".join(write(message))

    def compressed(message: bytes) -> bytes:
        return b"".join(map(gzip_parts.part, write(message)))

    body = compressed if is_compressed else plain

    def in_a_chunk(message: bytes) -> bytes:
        return chunk(body(message))

    return in_a_chunk if is_chunked else body


def line(message: bytes) -> tuple[bytes]:
    """A message in JSON as a line."""
    return (message + b"\n",)


def event(message: bytes) -> tuple[bytes]:
    """A message in JSON as an event of Server-Sent Events, in which a carriage return would end the line, too."""
    return (b"data: %b\n\n" % message.replace(b"\r", b""),)


def event_with_id(message: bytes) -> tuple[bytes, ...]:
    """An event whose id the browser returns when it comes back, if the message has one (event_positions.py)."""
    id_, text = split_id(message)
    return event(text) if id_ is None else (b"id: %b\n" % id_, *event(text))


def _bare(message: bytes) -> tuple[bytes]:
    return (message,)


LINES = Framing("http_stream", "text/plain; charset=utf-8", b"", line)
BYTES = Framing("http_stream", "application/octet-stream", b"", _bare)
EVENTS = Framing("sse", "text/event-stream", b"\r\n", event)
EVENTS_WITH_IDS = Framing("sse", "text/event-stream", b"\r\n", event_with_id)

STREAM_HEADERS: Mapping[str, str] = {
    # nginx would collect the response in a buffer.
    "X-Accel-Buffering": "no",
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expire": "0",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response that is a stream."""
