"""The part of the wire format of Protobuf that the load generator needs, independent of the package."""

from __future__ import annotations

from benchmarks.errors import BenchmarkError

VARINT, LENGTH_DELIMITED = 0, 2

Fields = dict[int, int | bytes]
"""The last value of each field, by its number."""


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number at a position, and the position after it. Raises BenchmarkError if the data ends before."""
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
    raise BenchmarkError(f"the server sent Protobuf that ends within a number: {data[:80]!r}")


def number(field: int, value: int) -> bytes:
    """Encode a field with a number."""
    return varint(field << 3 | VARINT) + varint(value)


def length_delimited(field: int, value: bytes) -> bytes:
    """Encode a field with a string, bytes or a message."""
    return varint(field << 3 | LENGTH_DELIMITED) + varint(len(value)) + value


def fields(message: bytes) -> Fields:
    """Decode a message. Raises BenchmarkError for other wire types, and for data that ends too early."""
    found: Fields = {}
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        value, position = read_varint(message, position)
        if key & 7 == VARINT:
            found[key >> 3] = value
        elif key & 7 == LENGTH_DELIMITED and position + value <= len(message):
            found[key >> 3] = message[position : position + value]
            position += value
        else:
            raise BenchmarkError(f"the server sent Protobuf that cannot be read: {message[:80]!r}")
    return found
