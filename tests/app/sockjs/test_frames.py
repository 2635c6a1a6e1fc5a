"""Behaviour of SockJS frames: text with unusual characters, and invalid frames of clients."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.sockjs import frames


@given(st.text(st.characters()))
def test_any_text_survives_quoting(text: str) -> None:
    quoted = frames.quote(text)
    assert json.loads(quoted.decode()) == text
    assert not set(quoted.decode()) & set("\u200c\u2028\u2060\ufff0\uffff\n\r\0")


@given(st.lists(st.text(st.characters())))
def test_framed_messages_are_decoded_unchanged(texts: list[str]) -> None:
    frame = frames.messages_frame(map(frames.quote, texts))
    assert frames.decode_messages(frame[1:]) == texts


def test_half_a_surrogate_pair_survives() -> None:
    assert json.loads(frames.quote("a\ud800\u2028")) == "a\ud800\u2028"
    assert frames.decode_messages(b'["\\udfff"]') == ["\udfff"]


def test_usual_text_is_not_escaped() -> None:
    assert frames.quote("Grüße </b> 100%").decode() == '"Grüße </b> 100%"'


def test_a_broadcast_is_quoted_once() -> None:
    message = '{"text":"Grüße"}'.encode()
    assert frames.quote_message(message) is frames.quote_message(bytes(bytearray(message)))


def test_close_reason_is_quoted_as_json() -> None:
    assert frames.session_close_frame(3000, '{"a": "b"}') == b'c[3000,"{\\"a\\": \\"b\\"}"]'


@pytest.mark.parametrize("body", [b"", b"{}", b"1", b"null", b'"text"'])
def test_message_that_is_not_an_array_is_refused(body: bytes) -> None:
    with pytest.raises(frames.BadPayload, match=r"^Payload expected\.$"):
        frames.decode_messages(body)


@pytest.mark.parametrize("body", [b"[", b"[1]", b'["a",[]]', b"\xff", b'["\xff"]', b"[" * 100_000, b'["\n"]', b"[NaN]"])
def test_array_with_other_items_than_texts_is_refused(body: bytes) -> None:
    with pytest.raises(frames.BadPayload, match=r"^Broken JSON encoding\.$"):
        frames.decode_messages(body)


def test_over_a_websocket_one_message_needs_no_array() -> None:
    assert [frames.decode_websocket_messages(body) for body in (b"", b"[]", b'"a"', b'["a","b"]')] == [
        [],
        [],
        ["a"],
        ["a", "b"],
    ]


@pytest.mark.parametrize("body", [b"[", b"{}", b"1", b"null", b"[null]"])
def test_invalid_messages_over_websocket_are_refused(body: bytes) -> None:
    with pytest.raises(frames.BadPayload):
        frames.decode_websocket_messages(body)
