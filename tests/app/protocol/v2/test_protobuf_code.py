"""The generated encoders and decoders: details of Protobuf that the samples do not contain."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Raw

from gentrifugo.app.model.payload import NO_PAYLOAD
from gentrifugo.app.protocol.v2.format import InvalidFrame
from gentrifugo.app.protocol.v2.messages import (
    Command,
    ConnectRequest,
    FilterNode,
    HistoryRequest,
    HistoryResult,
    Publication,
    PublishRequest,
    SubscribeRequest,
    UnsubscribeResult,
)
from gentrifugo.app.protocol.v2.protobuf_code import MAX_MESSAGE_DEPTH, decoder_of, encoder_of


def decoded(type_: Any, encoded: str) -> Any:
    """A message of a type from hexadecimal digits."""
    data = bytes.fromhex(encoded)
    return decoder_of(type_)(data, 0, len(data))


def test_unknown_fields_are_ignored() -> None:
    assert decoded(PublishRequest, "1801 0a016e 2200 a00601 a5060000 0000") == PublishRequest("n")
    assert decoded(UnsubscribeResult, "0801 12036e6e6e") == UnsubscribeResult()


def test_last_value_of_a_repeated_field_is_used() -> None:
    assert decoded(PublishRequest, "0a016e 0a016d") == PublishRequest("m")
    assert decoded(Command, "0801 3a030a016e 0802 3a021200") == Command(2, publish=PublishRequest())


def test_empty_payload_is_decoded_as_missing() -> None:
    assert decoded(PublishRequest, "1200").data is NO_PAYLOAD
    assert encoder_of(PublishRequest)(PublishRequest(data=Raw(b""))) == b""


def test_fields_without_a_default_may_be_missing() -> None:
    assert decoded(HistoryResult, "") == HistoryResult([], "", 0)


def test_values_with_several_encodings_are_read() -> None:
    assert decoded(SubscribeRequest, "18ff01") == SubscribeRequest(recover=True)
    assert decoded(SubscribeRequest, "188000") == SubscribeRequest(recover=False)


@pytest.mark.parametrize(
    ("entry", "key", "value"),
    [
        ("0a0161 120162", "a", "b"),
        ("120162 0a0161", "a", "b"),
        ("0a0161", "a", ""),
        ("120162", "", "b"),
        ("", "", ""),
        ("0a0161 1801 120162 22017a", "a", "b"),
        ("0a0161 0a0163 120162 120164", "c", "d"),
    ],
)
def test_entries_of_maps_are_read(entry: str, key: str, value: str) -> None:
    length = f"{len(bytes.fromhex(entry)):02x}"
    assert decoded(ConnectRequest, f"32{length}{entry} 0a0174") == ConnectRequest("t", headers={key: value})


@pytest.mark.parametrize("entry", ["0a0561", "1205", "0a016112", "0d00000000", "0801", "180112", "0a016119", "0a01ff"])
def test_a_wrong_entry_of_a_map_is_refused(entry: str) -> None:
    length = f"{len(bytes.fromhex(entry)):02x}"
    with pytest.raises((InvalidFrame, IndexError, UnicodeDecodeError)):
        decoded(ConnectRequest, f"32{length}{entry}")


def test_a_map_may_hold_empty_messages() -> None:
    assert decoded(ConnectRequest, "1a030a0161") == ConnectRequest(subs={"a": SubscribeRequest()})


@pytest.mark.parametrize("limit", [-1, -(2**31), 2**31 - 1, 2**31 - 2])
def test_signed_numbers_keep_their_sign(limit: int) -> None:
    encoded = encoder_of(HistoryRequest)(HistoryRequest(limit=limit))
    assert decoded(HistoryRequest, encoded.hex()) == HistoryRequest(limit=limit)


@pytest.mark.parametrize("time", [-1, -(2**63), 2**63 - 1])
def test_signed_numbers_of_64_bits_keep_their_sign(time: int) -> None:
    encoded = encoder_of(Publication)(Publication(time=time))
    assert decoded(Publication, encoded.hex()) == Publication(time=time)


def test_messages_of_one_type_inside_each_other_have_a_limit() -> None:
    node = FilterNode()
    for _ in range(MAX_MESSAGE_DEPTH):
        node = FilterNode(nodes=[node])
    assert decoded(FilterNode, encoder_of(FilterNode)(node).hex()) == node
    with pytest.raises(InvalidFrame, match="nested too deeply"):
        decoded(FilterNode, encoder_of(FilterNode)(FilterNode(nodes=[node])).hex())


def test_generated_function_is_cached() -> None:
    assert decoder_of(Command) is decoder_of(Command)
    assert encoder_of(Command) is encoder_of(Command)
