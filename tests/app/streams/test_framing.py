"""How messages look in the body of a stream."""

from __future__ import annotations

import pytest

from gentrifugo.app.streams.framing import BYTES, EVENTS, LINES, Framing


@pytest.mark.parametrize(
    ("framing", "body"), [(LINES, b'{"a":1}\n'), (EVENTS, b'data: {"a":1}\n\n'), (BYTES, b'{"a":1}')]
)
def test_a_message_in_a_body_with_and_without_chunks(framing: Framing, body: bytes) -> None:
    assert framing.frame(is_chunked=False)(b'{"a":1}') == body
    assert framing.frame(is_chunked=True)(b'{"a":1}') == b"%x\r\n%b\r\n" % (len(body), body)


def test_a_carriage_return_between_json_tokens_does_not_end_an_event() -> None:
    assert EVENTS.frame(is_chunked=False)(b'{"a":\r1}') == b'data: {"a":1}\n\n'


def test_all_connections_of_a_kind_share_one_function() -> None:
    assert EVENTS.frame(is_chunked=True) is EVENTS.frame(is_chunked=True)
