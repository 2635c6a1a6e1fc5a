"""Reads the body of a request from the socket, with limits of size and time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .chunked import ChunkedBody
from .head import Head, HTTPError
from .reader import RequestReader
from .response import encode_response_head

CONTINUE = encode_response_head(100, {})
"""The interim response that tells a waiting peer to send the body."""


def too_large_error(max_size: int, headers: Mapping[str, str] | None = None) -> HTTPError:
    """Build the error for a request whose body is larger than `max_size` bytes."""
    return HTTPError(413, f"the request is larger than {max_size} bytes", headers)


def too_slow_error(headers: Mapping[str, str] | None = None) -> HTTPError:
    """Build the error for a request whose head or body arrives too slowly."""
    return HTTPError(408, "timeout while reading the request", headers)


def read_body(head: Head, reader: RequestReader, sendall: Callable[[bytes], object], max_size: int) -> bytes:
    """Read the whole body, of known length or in chunks, after `head`; `sendall` writes to the same connection.

    Raises HTTPError if the body is larger than `max_size` bytes, BadBody if its chunks are malformed, TimeoutError if
    it arrives too slowly (net/read_allowance.py), and EOFError if the connection ends before the body.
    """
    size = head.content_length
    if size is not None and size > max_size:
        raise too_large_error(max_size)
    if head.waits_for_continue:
        sendall(CONTINUE)
    if size is not None:
        return reader.read_body(size)
    body: bytes = ChunkedBody(reader).read(max_size + 1)
    if len(body) > max_size:
        raise too_large_error(max_size)
    return body
