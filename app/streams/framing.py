"""How messages are written into a response: as lines, as events, or as bytes with their own lengths, in chunks or not.

Each way of writing is one function, the same object for all connections that use it. So what is published in a channel
is framed once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..http.response import chunk

Frame = Callable[[bytes], bytes]


class Framing(NamedTuple):
    """One way to write messages into a response."""

    transport: str
    """The kind of stream, as operators see it."""
    content_type: str
    prelude: bytes
    """What the body begins with."""
    chunked: Frame
    """Writes a message into a body that is sent in chunks."""
    plain: Frame
    """Writes a message into a body that ends with the connection, as for HTTP/1.0."""

    def frame(self, is_chunked: bool) -> Frame:
        """The function that writes a message."""
        return self.chunked if is_chunked else self.plain


def line(message: bytes) -> bytes:
    """A message in JSON as a line."""
    return message + b"\n"


def event(message: bytes) -> bytes:
    """A message in JSON as an event of Server-Sent Events, in which a carriage return would end the line, too."""
    return b"data: %b\n\n" % message.replace(b"\r", b"")


def _chunked_line(message: bytes) -> bytes:
    return chunk(line(message))


def _chunked_event(message: bytes) -> bytes:
    return chunk(event(message))


def _bare(message: bytes) -> bytes:
    return message


LINES = Framing("http_stream", "text/plain; charset=utf-8", b"", _chunked_line, line)
BYTES = Framing("http_stream", "application/octet-stream", b"", chunk, _bare)
EVENTS = Framing("sse", "text/event-stream", b"\r\n", _chunked_event, event)

STREAM_HEADERS: Mapping[str, str] = {
    # nginx would collect the response in a buffer.
    "X-Accel-Buffering": "no",
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expire": "0",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response that is a stream."""
