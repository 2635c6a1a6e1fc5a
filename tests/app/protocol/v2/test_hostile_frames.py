"""Malformed frames of attackers: each is decoded, or refused as invalid, without another effect."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gentrifugo.app.protocol.v2.format import Format, InvalidFrame
from gentrifugo.app.protocol.v2.json_format import JSON
from gentrifugo.app.protocol.v2.protobuf_format import PROTOBUF
from gentrifugo.app.protocol.v2.protobuf_wire import varint
from tests.protocol_v2_samples import COMMANDS, delimited

LENGTHS = (2**7, 2**14, 2**31, 2**32, 2**63, 2**64 - 1)


def with_length(message: bytes) -> bytes:
    """A Protobuf message of any length in a frame."""
    return varint(len(message)) + message


def cut_off() -> Iterator[bytes]:
    """Protobuf messages that end in the middle."""
    for sample in COMMANDS:
        message = bytes.fromhex(sample.protobuf)
        for end in {len(message) // 3, len(message) // 2, len(message) - 1} - {0, -1}:
            yield delimited(sample.protobuf)[:end]
            if end == len(message) - 1:
                yield with_length(message[:end])


def wrong_wire_types() -> Iterator[bytes]:
    """Every field of a command with every wire type that it does not have."""
    for number in (1, *range(4, 11), *range(12, 16)):
        for wire_type in (1, 3, 4, 5, 6, 7):
            yield with_length(bytes([number << 3 | wire_type, 0, 0, 0, 0]))


def huge_lengths() -> Iterator[bytes]:
    """Lengths that are larger than the data after them."""
    for length in LENGTHS:
        yield varint(length)
        yield varint(length) + b"\x08\x01"
        yield with_length(b"\x3a" + varint(length))
        yield with_length(b"\x3a\x0c\x0a" + varint(length))
        yield with_length(b"\x22\x0e\x1a\x0c\x0a" + varint(length))


def numbers_out_of_range() -> Iterator[bytes]:
    """Ids, limits and numbers of fields with too many bits."""
    for bits in range(32, 64):
        yield with_length(b"\x08" + varint(2**bits) + b"\x6a\x00")
        yield with_length(b"\x52\x0b\x38" + varint(2**bits))
        yield with_length(varint(2**bits) + b"\x00")
    yield with_length(b"\x08" + b"\xff" * 10 + b"\x01")
    yield with_length(b"\x08" + b"\x80" * 20)
    yield b"\x80" * 30
    yield with_length(b"\x00\x00")


def deep_nesting() -> Iterator[bytes]:
    """Filters inside each other."""
    for depth in (252, 300, 900, 5000):
        node = b""
        for _ in range(depth):
            node = b"\x32" + with_length(node)
        subscribe = b"\x6a" + with_length(node)
        yield with_length(b"\x2a" + with_length(subscribe))
        yield with_length(b"\x08\x01\x2a" + with_length(b"\x0a\x01n" + subscribe))


def bad_texts() -> Iterator[bytes]:
    """Texts that are not UTF-8."""
    for text in (b"\xff", b"\x80", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\x80"):
        yield with_length(b"\x3a" + with_length(b"\x0a" + with_length(text)))
        yield with_length(b"\x22" + with_length(b"\x32" + with_length(b"\x0a" + with_length(text))))


JSON_TEXTS = [
    "",
    " ",
    "\n\n",
    "[]",
    "[{}]",
    "null",
    "true",
    "1",
    '"{}"',
    "{",
    "}",
    "{]",
    '{"id"}',
    '{"id":}',
    '{"id":1,}',
    "{'id':1}",
    '{"id":-1,"rpc":{}}',
    '{"id":4294967296,"rpc":{}}',
    '{"id":1e3,"rpc":{}}',
    '{"id":1.5,"rpc":{}}',
    '{"id":"1","rpc":{}}',
    '{"id":true,"rpc":{}}',
    '{"id":[1],"rpc":{}}',
    '{"id":99999999999999999999999999999999,"rpc":{}}',
    '{"id":1,"rpc":[]}',
    '{"id":1,"rpc":1}',
    '{"id":1,"rpc":"x"}',
    '{"id":1,"rpc":{"method":1}}',
    '{"id":1,"rpc":{"data":}}',
    '{"id":1,"rpc":{"data":nul}}',
    '{"id":1,"rpc":{"data":1 2}}',
    '{"id":1,"rpc":{"data":{"a":1]}}',
    '{"id":1,"rpc":{"data":"\\x"}}',
    '{"id":1,"rpc":{"data":"\\u12"}}',
    '{"id":1,"rpc":{"data":01}}',
    '{"id":1,"rpc":{"data":NaN}}',
    '{"id":1,"rpc":{"data":-}}',
    '{"id":1,"subscribe":{"channel":{}}}',
    '{"id":1,"subscribe":{"channel":"n","recover":1}}',
    '{"id":1,"subscribe":{"channel":"n","offset":-1}}',
    '{"id":1,"subscribe":{"channel":"n","offset":1.5}}',
    '{"id":1,"subscribe":{"channel":"n","offset":18446744073709551616}}',
    '{"id":1,"subscribe":{"channel":"n","flag":9223372036854775808}}',
    '{"id":1,"subscribe":{"channel":"n","tf":[]}}',
    '{"id":1,"subscribe":{"channel":"n","tf":{"vals":"x"}}}',
    '{"id":1,"subscribe":{"channel":"n","tf":{"vals":[null]}}}',
    '{"id":1,"connect":{"subs":[]}}',
    '{"id":1,"connect":{"subs":{"a":1}}}',
    '{"id":1,"connect":{"subs":{"a":null}}}',
    '{"id":1,"connect":{"headers":{"a":1}}}',
    '{"id":1,"connect":{"token":5}}',
    '{"id":1,"history":{"channel":"n","limit":2147483648}}',
    '{"id":1,"history":{"channel":"n","since":{"offset":18446744073709551616}}}',
    '{"id":1,"history":{"channel":"n","since":5}}',
    '{"id":1,"subscribe":{"channel":"n","token":null,"offset":-1}}',
    '{"id":1,"subscribe":{"channel":"\\ud800","offset":-1}}',
    '{"id":null,"subscribe":null',
    "\ufeff{}",
    "\u0000",
    "{}\u0000"[:1],
    '{"id":1,"publish":{"data":' + "[" * 600 + "]" * 600 + "}}",
    '{"id":1,"publish":{"data":' + "[" * 100_000,
    '{"id":1,"publish":{"data":' + '{"a":' * 50_000,
    '{"id":1,"subscribe":{"tf":' + '{"nodes":[' * 400 + "]}" * 400 + "}}",
    '{"id":1,"subscribe":{"tf":' + '{"nodes":[' * 5000,
    '{"x":' * 3000 + "1" + "}" * 3000,
    "[" * 70_000,
]
PROTOBUF_FRAMES = [
    *cut_off(),
    *wrong_wire_types(),
    *huge_lengths(),
    *numbers_out_of_range(),
    *deep_nesting(),
    *bad_texts(),
]
CORPUS: list[tuple[Format, bytes]] = [
    *((JSON, text.encode()) for text in JSON_TEXTS),
    *(
        (JSON, data)
        for data in (b"\xff", b'{"id":1,"rpc":{"data":"\xff"}}', b'{"id":1,"rpc":{"method":"\xed\xa0\x80"}}')
    ),
    *((PROTOBUF, frame) for frame in PROTOBUF_FRAMES),
]


def outcome(format_: Format, frame: bytes) -> str:
    """Decode a whole frame, and return whether it was refused."""
    try:
        list(format_.decode_commands(frame))
    except InvalidFrame as error:
        assert str(error)
        return "refused"
    return "read"


def test_corpus_of_hostile_frames_has_300_cases() -> None:
    assert len(CORPUS) >= 300
    assert len({(format_.name, frame) for format_, frame in CORPUS}) > 280


@pytest.mark.parametrize("format_", [JSON, PROTOBUF], ids=lambda format_: format_.name)
def test_every_case_of_the_corpus_is_refused(format_: Format) -> None:
    read = [frame for other, frame in CORPUS if other is format_ and outcome(format_, frame) == "read"]
    assert read == []


@pytest.mark.parametrize("format_", [JSON, PROTOBUF], ids=lambda format_: format_.name)
def test_a_frame_with_a_changed_byte_is_read_or_refused(format_: Format) -> None:
    chance = random.Random(21)
    for sample in COMMANDS * 40:
        frame = bytearray(sample.json.encode() if format_ is JSON else delimited(sample.protobuf))
        for _ in range(chance.randint(1, 3)):
            frame[chance.randrange(len(frame))] = chance.randrange(256)
        assert outcome(format_, bytes(frame)) in ("read", "refused")


@pytest.mark.parametrize("format_", [JSON, PROTOBUF], ids=lambda format_: format_.name)
@given(frame=st.binary(max_size=60))
@settings(deadline=None)
def test_any_bytes_are_read_or_refused(format_: Format, frame: bytes) -> None:
    assert outcome(format_, frame) in ("read", "refused")
    try:
        format_.decode_emulation(frame)
    except InvalidFrame:
        pass


@given(text=st.text(alphabet='{}[]":,0123456789eE.-+truefalsnid\\ \n\ud7ff', max_size=80))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    assert outcome(JSON, text.encode()) in ("read", "refused")
