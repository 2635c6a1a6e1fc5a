"""Compression of WebSocket messages with permessage-deflate (RFC 7692): negotiation and encoding.

Messages are compressed independently in both directions (no_context_takeover in the RFC). So a broadcast is compressed
once for all receivers, and an idle connection needs no memory for a window, which would be 300 KB.
"""

from __future__ import annotations

import zlib
from functools import cache, lru_cache
from typing import NamedTuple

from websockets.exceptions import InvalidHeader, NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension
from websockets.typing import ExtensionName

from ..http.head import HTTPError
from .frames import BINARY, COMPRESSED, TEXT, data_frame

DEFLATE_NAME = ExtensionName("permessage-deflate")
EXTENSIONS_HEADER = "sec-websocket-extensions"
MAX_WINDOW_BITS = 15
"""Bits of the largest window. Peers may choose a smaller one, which is supported, too."""
BLOCK_END = len(b"\x00\x00\xff\xff")
"""Number of bytes at the end of each flush, which the RFC removes from a message."""
MAX_CACHED_OFFERS = 64
"""Number of values of the request header whose result is cached; clients send only a few different values."""

_terms = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)


class Compression(NamedTuple):
    """Settings of a server for compressing messages."""

    level: int = 1
    """1 is fastest, 9 is smallest."""
    min_size: int = 0
    """Bytes of the smallest message that is compressed."""


class Deflate:
    """Compresses messages for all peers with the same negotiated parameters.

    `answer` is the value of the response's Sec-WebSocket-Extensions.
    """

    def __init__(self, compression: Compression, window_bits: int, answer: str) -> None:
        self.answer = answer
        self._min_size = max(compression.min_size, 1)  # nothing flushes nothing
        self._deflater = zlib.compressobj(compression.level, zlib.DEFLATED, -window_bits)

    def frame(self, message: bytes) -> bytes:
        """Encode a complete text message, given in UTF-8, as a frame."""
        return self.data_frame(TEXT, message)

    def binary_frame(self, message: bytes) -> bytes:
        """Encode a complete binary message as a frame."""
        return self.data_frame(BINARY, message)

    def data_frame(self, opcode: int, payload: bytes) -> bytes:
        """Encode a complete message as one frame, uncompressed if it is shorter than min_size."""
        if len(payload) < self._min_size:
            return data_frame(opcode, payload)
        # A full flush removes all earlier data, and takes less time than a new compressor for each message.
        deflated = self._deflater.compress(payload) + self._deflater.flush(zlib.Z_FULL_FLUSH)
        return data_frame(COMPRESSED | opcode, deflated[:-BLOCK_END])


@lru_cache(MAX_CACHED_OFFERS)
def agree(compression: Compression | None, offers: str) -> Deflate | None:
    """Select the first acceptable offer of compression parameters; None if there is none.

    `offers` is the value of the request's Sec-WebSocket-Extensions; empty if the request has none. Raises HTTPError for
    an invalid value.
    """
    if compression is None or not offers:
        return None
    try:
        extensions = parse_extension(offers)
    except InvalidHeader as error:
        raise HTTPError(400, f"cannot parse Sec-WebSocket-Extensions: {error}") from None
    for name, parameters in extensions:
        if name == DEFLATE_NAME:
            try:
                answer, terms = _terms.process_request_params(parameters, [])
            except NegotiationError:  # with other parameters it may come again
                continue
            return _deflate(compression, terms.local_max_window_bits, build_extension([(DEFLATE_NAME, answer)]))
    return None


def inflate_extension() -> Extension:
    """Return an extension for the parser of one peer's frames that inflates compressed messages up to the limit."""
    return PerMessageDeflate(True, True, MAX_WINDOW_BITS, MAX_WINDOW_BITS)


@cache
def _deflate(compression: Compression, window_bits: int, answer: str) -> Deflate:
    return Deflate(compression, window_bits, answer)
