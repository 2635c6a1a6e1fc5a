"""HMAC with a processed key, compared with Python's module hmac."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gentrifugo.app.model.keyed_hmac import KeyedHMAC, keyed_hmac


@given(st.binary(max_size=300), st.lists(st.binary(max_size=300), min_size=1, max_size=3))
@example(b"", [b""])
@example(b"k" * 64, [b"data"])
@example(b"k" * 65, [b"data"])
@example(b"k" * 129, [b"data"])
@pytest.mark.parametrize("new", [hashlib.sha256, hashlib.sha384, hashlib.sha512])
def test_result_is_that_of_the_standard_library(new: Any, key: bytes, texts: list[bytes]) -> None:
    keyed = KeyedHMAC(key, new)
    for data in texts:
        assert keyed.digest(data) == hmac.digest(key, data, new)
        assert keyed.hexdigest(data) == hmac.digest(key, data, new).hex()


def test_a_key_is_processed_once_for_each_hash() -> None:
    assert keyed_hmac(b"key") is keyed_hmac(b"key")
    assert keyed_hmac(b"key", hashlib.sha512) is not keyed_hmac(b"key")
