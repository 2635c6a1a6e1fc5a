"""The encoding of messages in the body of a stream."""

from __future__ import annotations

import zlib

import pytest

from gentrifugo.app.streams.framing import BYTES, EVENTS, EVENTS_WITH_IDS, LINES, Framing


@pytest.mark.parametrize(
    ("framing", "body"), [(LINES, b'{"a":1}\n'), (EVENTS, b'data: {"a":1}\n\n'), (BYTES, b'{"a":1}')]
)
def test_message_is_encoded_with_and_without_chunks(framing: Framing, body: bytes) -> None:
    assert framing.frame(is_chunked=False)(b'{"a":1}') == body
    assert framing.frame(is_chunked=True)(b'{"a":1}') == b"%x\r\n%b\r\n" % (len(body), body)


def test_a_carriage_return_between_json_tokens_does_not_end_an_event() -> None:
    assert EVENTS.frame(is_chunked=False)(b'{"a":\r1}') == b'data: {"a":1}\n\n'


def test_all_connections_of_a_kind_share_one_function() -> None:
    assert EVENTS.frame(is_chunked=True) is EVENTS.frame(is_chunked=True)


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("framing", [LINES, EVENTS, EVENTS_WITH_IDS, BYTES])
def test_a_compressed_body_is_the_same_body(framing: Framing, is_chunked: bool) -> None:
    message = b'{"a":"%b"}' % (b"long " * 100)
    frame = framing.frame(is_chunked, is_compressed=True)
    assert frame is framing.frame(is_chunked, is_compressed=True)
    written = frame(message)
    body = written.partition(b"\r\n")[2].removesuffix(b"\r\n") if is_chunked else written
    inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert inflater.decompress(framing.prelude(is_compressed=True)) == framing.prelude()
    assert inflater.decompress(body) == framing.frame(is_chunked=False)(message)


def test_event_with_an_id_has_an_id_line() -> None:
    assert EVENTS_WITH_IDS.frame(is_chunked=False)(b'abc7\n{"a":1}') == b'id: abc7\ndata: {"a":1}\n\n'
    assert EVENTS_WITH_IDS.frame(is_chunked=False)(b'{"a":1}') == b'data: {"a":1}\n\n'


def test_clients_with_different_ids_share_compressed_data() -> None:
    frame = EVENTS_WITH_IDS.frame(is_chunked=False, is_compressed=True)
    message = b'{"a":"%b"}' % (b"long " * 100)
    first, second = frame(b"id1\n" + message), frame(b"id2\n" + message)
    assert first.replace(b"id: id1\n", b"id: id2\n") == second
    assert len(second) < len(message) / 2
