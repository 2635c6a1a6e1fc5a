"""Behaviour of payloads: JSON stays unchanged, and other bytes can be distinguished from JSON."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.model.payload import bytes_of, is_binary, json_of, payload


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
