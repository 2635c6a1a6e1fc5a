"""Behaviour of payloads: JSON stays unchanged, and other bytes can be distinguished from JSON."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from gentrifugo.app.model.payload import bytes_of, is_binary, json_of, json_or_base64, payload


@pytest.mark.parametrize("data", [b"null", b'{"a": 1.50}', b" [1]\n", '"Grüße"'.encode()])
def test_json_payload_stays_unchanged(data: bytes) -> None:
    assert payload(data) == bytes_of(data) == json_of(data) == data
    assert not is_binary(data)


@given(st.binary(max_size=30))
def test_any_bytes_are_restored(data: bytes) -> None:
    kept = payload(data)
    assert bytes_of(kept) == data
    if is_binary(kept):
        assert b64decode(json.loads(json_of(kept))) == data
    else:
        assert json_of(kept) == data


@pytest.mark.parametrize(
    ("given_json", "encoded", "data"),
    [
        (b"", None, b""),
        (b"null", "", b""),
        (b"[1.50]", "", b"[1.50]"),
        (b"[1]", "/w==", b"\xff"),
        (b"", "bnVsbA==", b"null"),
    ],
)
def test_a_payload_is_given_as_json_or_in_base64(given_json: bytes, encoded: str | None, data: bytes) -> None:
    assert json_or_base64(Raw(given_json), encoded) == data


def test_null_can_be_a_payload() -> None:
    assert json_or_base64(Raw(b"null"), None, keeps_null=True) == b"null"


@pytest.mark.parametrize("encoded", ["?", "/w", "/w==\n", "é"])
def test_invalid_base64_is_an_error(encoded: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_or_base64(Raw(b"1"), encoded)
