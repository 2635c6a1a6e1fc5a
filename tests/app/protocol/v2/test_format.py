"""Common behaviour of both formats, with messages of every kind."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from centrifuge.protocol import client_pb2
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.protocol.v2.format import Format, InvalidFrame
from gentrifugo.app.protocol.v2.json_format import JSON
from gentrifugo.app.protocol.v2.messages import (
    ClientInfo,
    Command,
    FilterNode,
    Publication,
    Push,
    Reply,
    client_info,
)
from gentrifugo.app.protocol.v2.protobuf_code import decoder_of, encoder_of
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF
from tests.protocol_v2_samples import (
    BINARY_PAYLOADS,
    COMMANDS,
    JSON_PAYLOADS,
    JSON_VALUES,
    REPLIES,
    TEXTS,
    Sample,
    delimited,
    messages_of,
)

FORMATS: list[Format] = [JSON, PROTOBUF]
encode_json = msgspec.json.encode


def frame_of(format_: Format, *samples: Sample) -> bytes:
    """Samples as a frame."""
    if format_ is JSON:
        return "\n".join(sample.json for sample in samples).encode()
    return b"".join(delimited(sample.protobuf) for sample in samples)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
@pytest.mark.parametrize("sample", COMMANDS, ids=lambda sample: sample.json)
def test_commands_are_decoded(format_: Format, sample: Sample) -> None:
    assert list(format_.decode_commands(frame_of(format_, sample))) == [sample.message]


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
@pytest.mark.parametrize("sample", REPLIES, ids=lambda sample: sample.json)
def test_replies_and_pushes_are_encoded(format_: Format, sample: Sample) -> None:
    assert format_.encode_reply(sample.message) == frame_of(format_, sample)


@pytest.mark.parametrize("sample", COMMANDS, ids=lambda sample: sample.json)
def test_commands_are_encoded(sample: Sample) -> None:
    assert encode_json(sample.message).decode() == sample.json
    assert encoder_of(Command)(sample.message) == bytes.fromhex(sample.protobuf)


@pytest.mark.parametrize("sample", REPLIES, ids=lambda sample: sample.json)
def test_replies_and_pushes_are_decoded(sample: Sample) -> None:
    data = bytes.fromhex(sample.protobuf)
    assert decoder_of(Reply)(data, 0, len(data)) == sample.message
    assert msgspec.json.decode(sample.json, type=Reply) == sample.message


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_a_frame_may_hold_many_commands(format_: Format) -> None:
    assert list(format_.decode_commands(frame_of(format_, *COMMANDS))) == [sample.message for sample in COMMANDS]


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_a_frame_may_hold_many_replies(format_: Format) -> None:
    frame = format_.join([format_.encode_reply(sample.message) for sample in REPLIES])
    assert frame == frame_of(format_, *REPLIES)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_a_ping_is_an_empty_reply_and_a_pong_an_empty_command(format_: Format) -> None:
    assert format_.encode_reply(Reply()) == format_.ping
    assert list(format_.decode_commands(format_.ping)) == [Command()]


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_valid_commands_are_returned_before_the_error(format_: Format) -> None:
    invalid = b"\xff" if format_ is PROTOBUF else b"{"
    commands = iter(format_.decode_commands(frame_of(format_, COMMANDS[1]) + format_.separator + invalid))
    assert next(commands) == COMMANDS[1].message
    with pytest.raises(InvalidFrame):
        next(commands)


def test_frame_in_json_that_is_not_utf8_is_refused_as_a_whole() -> None:
    with pytest.raises(InvalidFrame, match="not UTF-8"):
        JSON.decode_commands(frame_of(JSON, COMMANDS[1]) + b'\n{"\xff":1}')


infos = st.none() | st.builds(
    RawClientInfo,
    TEXTS,
    TEXTS,
    st.just(b"") | JSON_VALUES.map(encode_json),
    st.just(b"") | JSON_VALUES.map(encode_json),
)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
@given(
    channel=TEXTS,
    data=JSON_VALUES.map(encode_json),
    info=infos,
    offset=st.just(0) | st.integers(0, 2**64 - 1),
    epoch=TEXTS,
    tags=st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
    delta=st.booleans(),
)
@settings(deadline=None)
def test_encode_publication_equals_encode_push(
    format_: Format,
    channel: str,
    data: bytes,
    info: RawClientInfo | None,
    offset: int,
    epoch: str,
    tags: dict[str, str] | None,
    delta: bool,
) -> None:
    fast = format_.encode_publication(channel, data, info, offset, epoch, tags, delta)
    publication = Publication(Raw(data), client_info(info) if info else None, offset, tags or {}, delta, epoch=epoch)
    slow = format_.encode_reply(Reply(push=Push(channel, publication)))
    if format_ is JSON and not channel:
        assert json.loads(fast)["push"].pop("channel") == ""  # a publication without a channel cannot be
    elif format_ is JSON:
        assert json.loads(fast) == json.loads(slow)
    else:
        assert read_by_the_official_library(fast) == read_by_the_official_library(slow)


def read_by_the_official_library(frame: bytes) -> Any:
    """Decode a frame with one reply with the official library."""
    skipped = next(index for index, byte in enumerate(frame) if byte < 128) + 1
    return client_pb2.Reply.FromString(frame[skipped:])


@pytest.mark.parametrize("type_", [Command, Reply])
@given(data=st.data())
@settings(deadline=None)
def test_conversion_from_json_to_protobuf_and_back_is_lossless(type_: Any, data: st.DataObject) -> None:
    text = encode_json(data.draw(messages_of(type_, JSON_PAYLOADS)))
    from_json = msgspec.json.decode(text, type=type_)
    encoded = encoder_of(type_)(from_json)
    from_protobuf = decoder_of(type_)(encoded, 0, len(encoded))
    assert from_protobuf == from_json
    assert encode_json(from_protobuf) == text


@pytest.mark.parametrize("type_", [Command, Reply])
@given(data=st.data())
@settings(deadline=None)
def test_official_library_encodes_every_message_equally(type_: Any, data: st.DataObject) -> None:
    message = data.draw(messages_of(type_, BINARY_PAYLOADS))
    encoded = encoder_of(type_)(message)
    theirs = getattr(client_pb2, type_.__name__).FromString(encoded)
    again = theirs.SerializeToString()
    assert decoder_of(type_)(again, 0, len(again)) == message


def test_the_official_library_reads_the_same_values() -> None:
    (sample,) = [sample for sample in REPLIES if '"time":-1' in sample.json]
    theirs = client_pb2.Reply.FromString(bytes.fromhex(sample.protobuf))
    values = json_format.MessageToDict(theirs, preserving_proto_field_name=True)["push"]["pub"]
    assert (values["offset"], values["tags"], values["time"]) == ("3", {"k": "v"}, "-1")


def test_payloads_stay_byte_for_byte() -> None:
    payload = b'{"b": 1.50,  "a":1e3, "n": 123456789012345678901234567890, "t": "\\u0070"}'
    line = b'{"id":1,"publish":{"channel":"n","data":%b}}' % payload
    (command,) = JSON.decode_commands(line)
    assert command.publish is not None
    assert bytes(command.publish.data) == payload
    (again,) = PROTOBUF.decode_commands(PROTOBUF.join([delimited_command(command)]))
    assert again.publish is not None
    assert bytes(again.publish.data) == payload
    assert payload in JSON.encode_publication("n", payload)
    assert payload in PROTOBUF.encode_publication("n", payload)


def delimited_command(command: Command) -> bytes:
    """A command in a Protobuf frame."""
    encoded = encoder_of(Command)(command)
    return bytes([len(encoded)]) + encoded


def test_the_deepest_filter_of_json_has_a_form_in_protobuf() -> None:
    node = FilterNode(key="k")
    for _ in range(249):
        node = FilterNode("and", nodes=[node])
    encoded = encoder_of(FilterNode)(node)
    assert decoder_of(FilterNode)(encoded, 0, len(encoded)) == node


def test_one_way_pushes_have_no_reply_around_them() -> None:
    push = Push("n", Publication(Raw(b"1"), ClientInfo("u", "c")))
    assert JSON.encode_push(push) == b'{"channel":"n","pub":{"data":1,"info":{"user":"u","client":"c"}}}'
    assert PROTOBUF.encode_push(push) == delimited("12016e 220b 220131 2a06 0a0175 120163")
