"""Heads of handshakes from many clients, compared with heads that are parsed one by one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gentrifugo.app.http import handshake_heads
from gentrifugo.app.http.handshake_heads import MAX_HANDSHAKE, MAX_HEADS, MAX_QUERY, HandshakeHeads
from gentrifugo.app.http.head import Head, parse_head
from tests.app.http.head_outcomes import outcome

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OTHER_KEY = "MDEyMzQ1Njc4OWFiY2RlZg=="


def handshake(*headers: str, key: str = KEY, first: str = "GET /connection/websocket HTTP/1.1") -> bytes:
    return "\r\n".join((first, "Host: here", f"Sec-WebSocket-Key: {key}", *headers)).encode("latin-1")


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The heads that are parsed, instead of taken from those that are kept."""
    heads: list[bytes] = []

    def parse(raw: bytes) -> Head:
        heads.append(raw)
        return parse_head(raw)

    monkeypatch.setattr(handshake_heads, "parse_head", parse)
    return heads


KEYS = st.sampled_from(
    [KEY, OTHER_KEY, f"{KEY} ", f" {KEY}", "short==", "", f"{KEY}\x00", f"{KEY}a", "\xe4" * 22 + "=="]
)
LINES = st.sampled_from(
    [
        *("Upgrade: websocket", "Connection: Upgrade", "Origin: http://a", "Cookie: a=b", "Content-Length: 1"),
        *(f"Sec-WebSocket-Key: {KEY}", f"sec-websocket-key: {KEY}", "Host: here", " folded", "no colon", ""),
    ]
)
FIRST = st.sampled_from(["GET / HTTP/1.1", "GET / HTTP/1.0", "POST / HTTP/1.1", "nonsense"])
HEADS = st.builds(
    lambda lines, key, first: handshake(*lines, key=key, first=first), st.lists(LINES, max_size=3), KEYS, FIRST
)


@given(st.lists(HEADS, min_size=1, max_size=8))
@example([handshake(), handshake(key=OTHER_KEY), handshake(key=f"{KEY}\x00")])
@example([handshake(first="GET / HTTP/1.1"), handshake(first="GET / HTTP/1.0")])
def test_result_is_that_of_parse_head(heads: list[bytes]) -> None:
    parse = HandshakeHeads().parse
    assert [outcome(parse, raw) for raw in heads] == [outcome(parse_head, raw) for raw in heads]


def test_heads_of_different_clients_that_differ_in_the_key_are_parsed_once(parsed: list[bytes]) -> None:
    heads = HandshakeHeads()
    first = heads.parse(handshake("Upgrade: websocket"))
    second = heads.parse(handshake("Upgrade: websocket", key=OTHER_KEY))
    assert len(parsed) == 1
    assert (first.headers["sec-websocket-key"], second.headers["sec-websocket-key"]) == (KEY, OTHER_KEY)


@pytest.mark.parametrize("header", ["Cookie: session=1", "Authorization: Bearer x", "X-Forwarded-For: 10.0.0.1"])
def test_heads_with_data_of_one_client_are_not_kept(parsed: list[bytes], header: str) -> None:
    heads = HandshakeHeads()
    heads.parse(handshake(header))
    heads.parse(handshake(header))
    assert len(parsed) == 2


def test_heads_with_a_long_query_are_not_kept(parsed: list[bytes]) -> None:
    heads = HandshakeHeads()
    for query, count in (("format=protobuf", 1), (f"cf_connect={'x' * MAX_QUERY}", 3)):
        heads.parse(handshake(first=f"GET /?{query} HTTP/1.1"))
        heads.parse(handshake(first=f"GET /?{query} HTTP/1.1"))
        assert len(parsed) == count


def test_large_heads_are_not_kept(parsed: list[bytes]) -> None:
    heads = HandshakeHeads()
    large = handshake("X-Padding: " + "x" * MAX_HANDSHAKE)
    heads.parse(large)
    heads.parse(large)
    assert len(parsed) == 2


def test_number_of_kept_heads_is_limited(parsed: list[bytes]) -> None:
    heads = HandshakeHeads()
    for number in range(MAX_HEADS + 1):
        heads.parse(handshake(f"Origin: http://{number}"))
    heads.parse(handshake(f"Origin: http://{MAX_HEADS}"))
    assert len(parsed) == MAX_HEADS + 1
    heads.parse(handshake("Origin: http://0"))
    assert len(parsed) == MAX_HEADS + 2
