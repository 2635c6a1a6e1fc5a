"""A gzip stream (RFC 1952) whose parts are compressed once for all connections, and which has no end.

Each part can be decompressed without earlier parts, and ends at a byte boundary. So parts can follow each other in
any order, and no connection needs a compressor, which would take 100 KB.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

GZIP_START = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
"""The head of the stream: deflate, and no name, time or system."""
COMPRESSION_LEVEL = 1
"""Higher levels take up to twice the time, and save 3 % more of messages of 4 KB and nothing of shorter ones."""
MIN_COMPRESSED_SIZE = 200
"""Bytes from which on a message is compressed. Of shorter ones less than 20 % would be saved."""

_compressor = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)


def part(data: bytes) -> bytes:
    """Return the part of the stream for this data: compressed, or unchanged behind a header of five bytes."""
    size = len(data)
    if size < MIN_COMPRESSED_SIZE:
        return b"\0%b%b%b" % (size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"), data)
    return _compress(data)


@lru_cache(maxsize=1)
def _compress(data: bytes) -> bytes:
    """Compress data. Broadcasts to clients whose messages differ only in their ids call this for each client."""
    # A full flush forgets what came before, and costs less than a new compressor for each message.
    return _compressor.compress(data) + _compressor.flush(zlib.Z_FULL_FLUSH)
