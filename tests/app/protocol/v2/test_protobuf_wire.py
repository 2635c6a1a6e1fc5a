"""Integers of variable length, and fields that a decoder does not know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.protocol.v2 import protobuf_wire as wire
from gentrifugo.app.protocol.v2.format import InvalidFrame


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, "00"),
        (1, "01"),
        (127, "7f"),
        (128, "8001"),
        (300, "ac02"),
        (4096, "8020"),
        (2**64 - 1, "ffffffffffffffffff01"),
    ],
)
def test_integers_take_as_many_bytes_as_they_need(number: int, encoded: str) -> None:
    assert wire.varint(number).hex() == encoded
    assert wire.read_varint(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


@given(number=st.integers(0, 2**64 - 1), before=st.binary(max_size=3), after=st.binary(max_size=3))
def test_encoded_integers_are_decoded_unchanged(number: int, before: bytes, after: bytes) -> None:
    data = before + wire.varint(number)
    assert wire.read_varint(data + after, len(before)) == (number, len(data))


def test_negative_integers_are_written_with_64_bits() -> None:
    assert wire.signed_varint(-1).hex() == "ffffffffffffffffff01"
    assert wire.signed_varint(5) == b"\x05"
    assert wire.as_int32(2**64 - 1) == -1


@pytest.mark.parametrize("encoded", ["ff" * 9 + "02", "80" * 10 + "01", "ff" * 11])
def test_integers_of_more_than_64_bits_are_refused(encoded: str) -> None:
    with pytest.raises(InvalidFrame, match="out of range"):
        wire.read_varint(bytes.fromhex(encoded), 0)


@pytest.mark.parametrize("number", [2**31, 2**63 - 1, 2**64 - 2**31 - 1, 2**63])
def test_integers_of_more_than_32_bits_are_refused_where_32_are_declared(number: int) -> None:
    with pytest.raises(InvalidFrame, match="out of range"):
        wire.as_int32(number)


def test_unsigned_integers_have_32_bits_where_32_are_declared() -> None:
    assert wire.as_uint32(2**32 - 1) == 2**32 - 1
    with pytest.raises(InvalidFrame, match="out of range"):
        wire.as_uint32(2**32)


@pytest.mark.parametrize(
    ("wire_type", "data", "length"), [(0, "ac02", 2), (1, "00" * 8, 8), (2, "0361626300", 4), (5, "00" * 4, 4)]
)
def test_unknown_fields_are_skipped(wire_type: int, data: str, length: int) -> None:
    assert wire.skip_field(b"." + bytes.fromhex(data), 1, 99 << 3 | wire_type, ()) == 1 + length


@pytest.mark.parametrize("wire_type", [3, 4, 6, 7])
def test_other_wire_types_are_refused(wire_type: int) -> None:
    with pytest.raises(InvalidFrame, match=f"wire type {wire_type}"):
        wire.skip_field(bytes(9), 0, 99 << 3 | wire_type, ())


def test_a_known_field_is_not_skipped() -> None:
    with pytest.raises(InvalidFrame, match="field 4 has wire type 5"):
        wire.skip_field(bytes(9), 0, 4 << 3 | 5, {4})


@pytest.mark.parametrize("number", [0, 2**29])
def test_field_numbers_have_29_bits(number: int) -> None:
    with pytest.raises(InvalidFrame, match="invalid field number"):
        wire.skip_field(bytes(9), 0, number << 3, ())
