"""WebSocket frames of a client: encodes masked frames, and parses frames of the server."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
FIN = 0x80
MASKED = 0x80
COMPRESSED = 0x40
BLOCK_END = b"\x00\x00\xff\xff"
"""What RFC 7692 leaves out at the end of a compressed message."""


class Frame(NamedTuple):
    """One frame of the server; `size` counts the header too."""

    opcode: int
    payload: bytes
    size: int
    is_compressed: bool = False

    @property
    def message(self) -> bytes:
        """The decompressed message in the frame."""
        if not self.is_compressed:
            return self.payload
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(self.payload + BLOCK_END)


def masked_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a client message. The mask is all zeros, which is valid and needs no masking work."""
    size = len(payload)
    if size < 126:
        return bytes((FIN | opcode, MASKED | size, 0, 0, 0, 0)) + payload
    return struct.pack("!BBH4x", FIN | opcode, MASKED | 126, size) + payload


PONG_FRAME = masked_frame(0xA, b"")
CLOSE_FRAME = masked_frame(CLOSE, struct.pack("!H", 1000))


class FrameReader:
    """Parses received bytes into WebSocket frames."""

    __slots__ = ("rest",)

    def __init__(self) -> None:
        self.rest = b""
        """The beginning of a frame whose end has not come."""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes."""
        if self.rest:
            data = self.rest + data
        frames = []
        position, end = 0, len(data)
        while end - position >= 2:
            length, start = data[position + 1], position + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if start > end:
                    break
                length = int.from_bytes(data[position + 2 : start], "big")
            following = start + length
            if following > end:
                break
            first = data[position]
            payload, size = data[start:following], following - position
            frames.append(Frame(first & 0x0F, payload, size, bool(first & COMPRESSED)))
            position = following
        self.rest = data[position:]
        return frames


def close_reason(payload: bytes) -> str:
    """Format code and reason of a close frame as text."""
    if len(payload) < 2:
        return "without a code"
    code = int.from_bytes(payload[:2], "big")
    return f"{code} {payload[2:].decode('utf-8', 'replace')}".rstrip()
