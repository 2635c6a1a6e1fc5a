"""Encodes messages for a response: as lines, as events, or as bytes that contain their length; with or without chunks.

Each encoding is one function, which is the same object for all connections that use it. So a publication is framed only
once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..http.response import chunk

Frame = Callable[[bytes], bytes]


class Framing(NamedTuple):
    """One encoding of messages in a response."""

    content_type: str
    prelude: bytes
    """The first bytes of the body."""
    chunked: Frame
    """Encodes a message for a body that is sent in chunks."""
    plain: Frame
    """Encodes a message for a body that ends with the connection, as for HTTP/1.0."""

    def frame(self, is_chunked: bool) -> Frame:
        """Return the function that encodes a message."""
        return self.chunked if is_chunked else self.plain


def line(message: bytes) -> bytes:
    """Encode a message in JSON as a line."""
    return message + b"\n"


def event(message: bytes) -> bytes:
    """Encode a message in JSON as a Server-Sent Event, without carriage returns, which would end the line."""
    return b"data: %b\n\n" % message.replace(b"\r", b"")


def _chunked_line(message: bytes) -> bytes:
    return chunk(line(message))


def _chunked_event(message: bytes) -> bytes:
    return chunk(event(message))


def _bare(message: bytes) -> bytes:
    return message


LINES = Framing("text/plain; charset=utf-8", b"", _chunked_line, line)
BYTES = Framing("application/octet-stream", b"", chunk, _bare)
EVENTS = Framing("text/event-stream", b"\r\n", _chunked_event, event)

STREAM_HEADERS: Mapping[str, str] = {
    # Without this header, nginx would collect the response in a buffer.
    "X-Accel-Buffering": "no",
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expire": "0",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response that is a stream."""
