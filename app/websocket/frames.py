"""Encodes WebSocket frames, without I/O. One frame is used for all receivers."""

from __future__ import annotations

import struct

TEXT = 0x1
BINARY = 0x2
COMPRESSED = 0x40
"""Added to the opcode of a compressed message: the bit RSV1 of its frame (RFC 7692 6)."""
PING_FRAME = b"\x89\x00"
TWO_BYTE_LENGTH = 126
"""The length in a frame whose real length is in the two bytes after it; smaller ones are lengths themselves."""


def data_frame(opcode: int, payload: bytes) -> bytes:
    """Encode a complete message as one unmasked frame of a server (RFC 6455, section 5.2)."""
    size = len(payload)
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


_TEXT_HEADERS = [bytes((0x80 | TEXT, size)) for size in range(TWO_BYTE_LENGTH)]


def text_frame(payload: bytes) -> bytes:
    """Encode a complete text message, given in UTF-8, as a frame."""
    size = len(payload)
    return _TEXT_HEADERS[size] + payload if size < TWO_BYTE_LENGTH else data_frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """Encode a complete binary message as a frame."""
    return data_frame(BINARY, payload)


def close_frame(code: int, reason: str) -> bytes:
    """Encode a close frame. The reason is truncated to the maximum of 123 bytes."""
    text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    payload = struct.pack("!H", code) + text
    return bytes((0x88, len(payload))) + payload
