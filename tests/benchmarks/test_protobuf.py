"""The wire format of Protobuf, compared with what the server writes and reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.errors import BenchmarkError
from benchmarks.protobuf import fields, length_delimited, number, read_varint, varint


@given(st.integers(0, 2**64 - 1))
def test_encoded_number_is_decoded_unchanged(value: int) -> None:
    assert read_varint(varint(value) + b"rest", 0) == (value, len(varint(value)))


def test_numbers_are_written_as_the_documentation_of_protobuf_shows() -> None:
    assert varint(150) == b"\x96\x01"
    assert number(1, 150) == b"\x08\x96\x01"
    assert length_delimited(2, b"testing") == b"\x12\x07testing"


def test_a_message_is_read_by_its_fields() -> None:
    assert fields(number(1, 7) + length_delimited(4, b"x") + number(1, 8)) == {1: 8, 4: b"x"}


@pytest.mark.parametrize("data", [b"\x08", b"\x08\x96", b"\x12\x07test", b"\x0d\x01\x02\x03\x04"])
def test_incomplete_and_unknown_fields_are_refused(data: bytes) -> None:
    with pytest.raises(BenchmarkError, match="Protobuf"):
        fields(data)
