"""Behaviour of the format Protobuf alone: frames of messages with their lengths."""

from __future__ import annotations

import pytest
from msgspec import Raw

from gentrifugo.app.protocol.v2.format import InvalidFrame
from gentrifugo.app.protocol.v2.messages import (
    Command,
    HistoryResult,
    Publication,
    Push,
    Reply,
    RPCRequest,
    UnsubscribeRequest,
)
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF


def decoded(frame: str) -> list[Command]:
    """All commands of a frame in hexadecimal digits."""
    return list(PROTOBUF.decode_commands(bytes.fromhex(frame)))


def test_commands_and_pongs_may_be_mixed() -> None:
    assert decoded("00 0408 0a 6a00 00") == [Command(), Command(10, rpc=RPCRequest()), Command()]


def test_a_length_may_take_several_bytes() -> None:
    payload = b"x" * 300
    data = b"\x6a\xaf\x02\x0a\xac\x02" + payload
    assert list(PROTOBUF.decode_commands(b"\xb2\x02" + data)) == [Command(rpc=RPCRequest(Raw(payload)))]
    assert PROTOBUF.encode_reply(Reply(1, history=HistoryResult([], "e" * 300, 0)))[:2] == b"\xb4\x02"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "empty frame"),
        ("80", "incomplete length"),
        ("05 0801", "longer than its frame"),
        ("ffffffffffffffffff01 00", "longer than its frame"),
        ("ff" * 10 + "01", "out of range"),
        ("01 08", "incomplete message"),
        ("02 0880", "incomplete message"),
        ("06 08ffffffff1f", "out of range"),
        ("03 6a05 00", "field is longer than its message"),
        ("04 6a02 0a05", "field is longer than its message"),
        ("05 6a03 120180", "not UTF-8"),
        ("03 6d0000", "field 13 has wire type 5"),
    ],
)
def test_a_wrong_frame_is_refused(frame: str, reason: str) -> None:
    with pytest.raises(InvalidFrame, match=reason):
        decoded(frame)


def test_a_field_does_not_reach_into_the_next_message() -> None:
    with pytest.raises(InvalidFrame):
        decoded("02 6a02 0408 016a00")


def test_payloads_are_any_bytes() -> None:
    payload = bytes(range(256))
    push = PROTOBUF.encode_publication("n", payload)
    assert payload in push
    assert push == PROTOBUF.encode_reply(Reply(push=Push("n", Publication(Raw(payload)))))
    assert PROTOBUF.delta_payload(payload) == payload


def test_an_emulation_request_holds_a_frame() -> None:
    request = PROTOBUF.decode_emulation(bytes.fromhex("0a016d 120173 1a08 07080132030a016e"))
    assert (request.node, request.session) == ("m", "s")
    assert list(PROTOBUF.decode_commands(bytes(request.data))) == [Command(1, unsubscribe=UnsubscribeRequest("n"))]


@pytest.mark.parametrize("body", ["0a", "0a05", "08", "0dffffffff", "0a01ff"])
def test_invalid_emulation_request_is_refused(body: str) -> None:
    with pytest.raises(InvalidFrame):
        PROTOBUF.decode_emulation(bytes.fromhex(body))
