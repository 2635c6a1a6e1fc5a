"""Strict reading of chunked request bodies (RFC 9112 7.1).

The reader of pywsgi accepts a bare line feed in a chunk extension, but other parsers treat it as the end of the line.
Such parsers would read different bodies, and could interpret the rest of one as another request.
"""

from __future__ import annotations

import re
from typing import Any

from gevent.pywsgi import Input

from .head import MAX_HEAD_SIZE

MAX_LINE = 4096
"""Bytes of a line with a chunk's size and extensions, which are ignored."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00-\x08\x0a-\x1f\x7f]*")


class BadBody(OSError):
    """The body is malformed, so that no further request can be read from the connection.

    An OSError, because frameworks expect one if they cannot read from a peer.
    """


class ChunkedBody(Input):
    """pywsgi's `wsgi.input` for a body in chunks. Reading raises BadBody or TimeoutError."""

    __slots__ = ("ended", "_left")

    rfile: Any
    """The RequestReader (reader.py) of the connection."""

    def __init__(self, rfile: Any, socket: Any = None) -> None:
        super().__init__(rfile, None, socket, chunked_input=True)
        self.ended = False
        """Whether the last chunk and the trailers have been read."""
        self._left = 0

    def _chunked_read(self, length: int | None = None, use_readline: bool = False) -> bytes:
        self._send_100_continue()  # type: ignore[attr-defined]
        parts = []
        while length != 0 and self._has_more():
            part = self._read_part(self._left if length is None else min(self._left, length), use_readline)
            parts.append(part)
            if length is not None:
                length -= len(part)
            if use_readline and part.endswith(b"\n"):
                break
        return b"".join(parts)

    def _has_more(self) -> bool:
        """Return whether there is more data to read, in this chunk or in the next one."""
        if not self._left and not self.ended:
            self._left = self._next_chunk()
        return not self.ended

    def _read_part(self, size: int, use_readline: bool) -> bytes:
        part: bytes = self.rfile.readline(size) if use_readline else self.rfile.read(size)
        if not part:
            raise self._bad("the request ended in the middle of a chunk")
        self._left -= len(part)
        if not self._left and self.rfile.read_framing_line(2) != b"\r\n":
            raise self._bad("a chunk of the request body is longer than its size")
        return part

    def _next_chunk(self) -> int:
        match = _SIZE.fullmatch(self._line())
        if match is None:
            raise self._bad("a chunk of the request body has an invalid size")
        size = int(match[1], 16)
        if not size:
            self._read_trailers()
            self.ended = True
        return size

    def _read_trailers(self) -> None:
        """Read the trailers after the last chunk, and discard them."""
        room = MAX_HEAD_SIZE
        while line := self._line():
            room -= len(line)
            if room < 0 or not _TRAILER.fullmatch(line):
                raise self._bad("a trailer after the request body is malformed")

    def _line(self) -> bytes:
        line: bytes = self.rfile.read_framing_line(MAX_LINE)
        if not line.endswith(b"\r\n"):
            raise self._bad("a line between chunks does not end with CR LF, or is too long")
        return line[:-2]

    def _bad(self, reason: str) -> BadBody:
        # This keeps pywsgi from reading the rest before the next request.
        self._chunked_input_error = True
        return BadBody(reason)
