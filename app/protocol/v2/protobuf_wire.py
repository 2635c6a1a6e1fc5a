"""The wire format of Protobuf: integers of variable length (varints), and how to skip unknown fields.

Does not depend on the declarations of messages. Reading beyond the end of the data raises IndexError, which callers
convert to InvalidFrame.
"""

from __future__ import annotations

from collections.abc import Container

from .format import InvalidFrame

MAX_UINT32 = 2**32 - 1
MAX_UINT64 = 2**64 - 1
OUT_OF_RANGE = "number out of range"
TOO_SHORT = "field is longer than its message"

VARINT, FIXED64, DELIMITED, _, _, FIXED32 = range(6)


def encode_varint(number: int) -> bytes:
    """Encode an integer from 0 to 2**64 - 1."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


VARINTS = tuple(encode_varint(number) for number in range(4096))
"""Small integers, encoded in advance: most lengths, IDs and offsets."""


def varint(number: int) -> bytes:
    """Encode an integer from 0 to 2**64 - 1. Small ones are looked up in a table."""
    return VARINTS[number] if number < 4096 else encode_varint(number)


def signed_varint(number: int) -> bytes:
    """Encode an integer from -2**63 to 2**63 - 1. Negative ones need ten bytes."""
    return varint(number & MAX_UINT64)


def continue_varint(data: bytes, position: int, first: int) -> tuple[int, int]:
    """Return the integer whose first byte is `first`, and the position after it. Raises InvalidFrame over 64 bits."""
    number = first & 0x7F
    for shift in range(7, 70, 7):
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            if number > MAX_UINT64:
                break
            return number, position
    raise InvalidFrame(OUT_OF_RANGE)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the integer at a position, and the position after it. Raises InvalidFrame over 64 bits."""
    first = data[position]
    return (first, position + 1) if first < 0x80 else continue_varint(data, position + 1, first)


def as_uint32(number: int) -> int:
    """Return a number unchanged. Raises InvalidFrame if it has more than 32 bits."""
    if number > MAX_UINT32:
        raise InvalidFrame(OUT_OF_RANGE)
    return number


def as_int32(number: int) -> int:
    """Convert an unsigned number to a signed one. Raises InvalidFrame if it has more than 32 bits."""
    signed = number if number < 2**63 else number - 2**64
    if not -(2**31) <= signed < 2**31:
        raise InvalidFrame(OUT_OF_RANGE)
    return signed


def skip_field(data: bytes, position: int, tag: int, known: Container[int]) -> int:
    """Return the position after a field of which only the tag was read.

    Raises InvalidFrame for a field whose number is in `known`, because its type is not the declared one.
    """
    number, wire_type = tag >> 3, tag & 7
    if number in known:
        raise InvalidFrame(f"field {number} has wire type {wire_type}, which is not the declared type")
    if not 0 < number < 2**29:
        raise InvalidFrame(f"invalid field number {number}")
    if wire_type == VARINT:
        return read_varint(data, position)[1]
    if wire_type == FIXED64:
        return position + 8
    if wire_type == FIXED32:
        return position + 4
    if wire_type == DELIMITED:
        length, position = read_varint(data, position)
        return position + length
    raise InvalidFrame(f"field {number} has unknown wire type {wire_type}")
