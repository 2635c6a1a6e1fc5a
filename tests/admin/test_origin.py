"""Behaviour of the look at where a browser's request comes from."""

from __future__ import annotations

import pytest

from gentrifugo.admin.origin import is_own


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "example.com"),
        ("http://example.com", "example.com"),
        ("https://example.com", "example.com"),
        ("http://example.com", "example.com:80"),
        ("https://example.com:443", "example.com"),
        ("http://Example.COM:8000", "example.com:8000"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_pages_of_the_server_itself_are_welcome(origin: str | None, host: str) -> None:
    assert is_own(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "http://example.com.evil.example", "http://evil.example/example.com"),
        *("http://example.com:8001", "http://example.com@evil.example", "http://a@example.com", "null", "", "file://"),
        *("http://", "http://example.com:port", "ftp://example.com", "http://[", "http://example.com:99999"),
        "https://sub.example.com",
    ],
)
def test_pages_of_all_others_are_not(origin: str) -> None:
    assert not is_own(origin, "example.com")
