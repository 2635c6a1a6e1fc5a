"""The encoding of Protobuf below messages: integers of variable length, and fields that a decoder does not know.

Knows no message. Reading beyond the end of the data raises IndexError, which the callers turn into InvalidFrame.
"""

from __future__ import annotations

from collections.abc import Container

from .format import InvalidFrame

MAX_UINT32 = 2**32 - 1
MAX_UINT64 = 2**64 - 1
OUT_OF_RANGE = "a number is out of range"
TOO_SHORT = "a field ends behind the message that it is in"

VARINT, FIXED64, DELIMITED, _, _, FIXED32 = range(6)


def encode_varint(number: int) -> bytes:
    """An integer from 0 to 2**64 - 1."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


VARINTS = tuple(encode_varint(number) for number in range(4096))
"""Small integers, encoded beforehand: most lengths, ids and offsets."""


def varint(number: int) -> bytes:
    """An integer from 0 to 2**64 - 1, small ones without a calculation."""
    return VARINTS[number] if number < 4096 else encode_varint(number)


def signed_varint(number: int) -> bytes:
    """An integer from -2**63 to 2**63 - 1; negative ones take ten bytes."""
    return varint(number & MAX_UINT64)


def continue_varint(data: bytes, position: int, first: int) -> tuple[int, int]:
    """The integer whose first byte is `first`, and the position behind it. Raises InvalidFrame over 64 bits."""
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
    """The integer at a position, and the position behind it. Raises InvalidFrame over 64 bits."""
    first = data[position]
    return (first, position + 1) if first < 0x80 else continue_varint(data, position + 1, first)


def as_uint32(number: int) -> int:
    """A number that was read. Raises InvalidFrame unless it has 32 bits at most."""
    if number > MAX_UINT32:
        raise InvalidFrame(OUT_OF_RANGE)
    return number


def as_int32(number: int) -> int:
    """A number that was read, with its sign. Raises InvalidFrame unless it has 32 bits."""
    signed = number if number < 2**63 else number - 2**64
    if not -(2**31) <= signed < 2**31:
        raise InvalidFrame(OUT_OF_RANGE)
    return signed


def skip_field(data: bytes, position: int, tag: int, known: Container[int]) -> int:
    """The position behind a field of which only the tag was read.

    Raises InvalidFrame for a field whose number is known: then it has another type than the message declares.
    """
    number, wire_type = tag >> 3, tag & 7
    if number in known:
        raise InvalidFrame(f"field {number} has the wire type {wire_type}")
    if not 0 < number < 2**29:
        raise InvalidFrame(f"there is no field number {number}")
    if wire_type == VARINT:
        return read_varint(data, position)[1]
    if wire_type == FIXED64:
        return position + 8
    if wire_type == FIXED32:
        return position + 4
    if wire_type == DELIMITED:
        length, position = read_varint(data, position)
        return position + length
    raise InvalidFrame(f"field {number} has the wire type {wire_type}")
