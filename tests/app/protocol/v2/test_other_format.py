"""Which first frames have another format than the connection."""

from __future__ import annotations

import pytest

from gentrifugo.app.protocol.v2.format import Format
from gentrifugo.app.protocol.v2.json_format import JSON
from gentrifugo.app.protocol.v2.messages import Command, ConnectRequest
from gentrifugo.app.protocol.v2.other_format import MismatchTexts, format_mismatch
from gentrifugo.app.protocol.v2.protobuf_code import encoder_of, with_length
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF

TEXTS = MismatchTexts(json="is JSON", protobuf="is Protobuf")
_encode = encoder_of(Command)


def connect_frame(size: int) -> bytes:
    """A command in Protobuf with a token of this size."""
    return with_length(_encode(Command(id=1, connect=ConnectRequest(token="x" * size))))


@pytest.mark.parametrize("frame", [b'{"id":1,"connect":{}}', b'{"method":"connect"}', b'{ "id": 1 }\n{"id":2}'])
def test_json_is_found_where_protobuf_is_expected(frame: bytes) -> None:
    assert format_mismatch(PROTOBUF, frame, TEXTS) == TEXTS.json
    assert not format_mismatch(JSON, frame, TEXTS)


@pytest.mark.parametrize("format_", [None, JSON])
def test_protobuf_of_any_size_is_found_where_json_is_expected(format_: Format | None) -> None:
    for size in range(300):
        assert format_mismatch(format_, connect_frame(size), TEXTS) == TEXTS.protobuf
        assert not format_mismatch(PROTOBUF, connect_frame(size), TEXTS)


@pytest.mark.parametrize("format_", [None, JSON, PROTOBUF])
@pytest.mark.parametrize("frame", [b"hello", b"", b"\xff", b"\x00", b"{", b'{ "id": ', b"[]", b"{}"])
def test_frame_in_neither_format_is_not_taken_for_the_other_one(format_: Format | None, frame: bytes) -> None:
    assert not format_mismatch(format_, frame, TEXTS)
