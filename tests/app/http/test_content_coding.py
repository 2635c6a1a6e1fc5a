"""Which values of Accept-Encoding allow gzip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.http.content_coding import accepts_gzip


@pytest.mark.parametrize(
    "header", ["gzip", "deflate, gzip", "br;q=1, GZip;q=0.5", "x-gzip", "gzip ; q=0.001", "gzip;q=1"]
)
def test_gzip_is_accepted(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header", ["", "identity", "br, deflate", "*", "gzip;q=0", "gzip; Q=0.000", "gzipped", "a;gzip"]
)
def test_gzip_is_not_accepted(header: str) -> None:
    assert not accepts_gzip(header)


@given(st.text(max_size=50))
def test_no_header_without_gzip_accepts_it(header: str) -> None:
    assert not accepts_gzip(header) or "gzip" in header.lower()
