"""Behaviour of received frames: messages, closes, and protocol errors."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.websocket.compression import inflate_extension
from gentrifugo.app.websocket.frame_reader import (
    INVALID_DATA,
    MESSAGE_TOO_BIG,
    TOO_BIG,
    FrameReader,
    WebSocketMessage,
)
from gentrifugo.app.websocket.frames import BINARY, TEXT

CONTINUATION, CLOSE, PING, PONG = 0x0, 0x8, 0x9, 0xA
PROTOCOL_ERROR = 1002
MAX = 200
"""The largest message of the readers of these tests."""


def sent(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, mask: bytes | None = b"\1\2\3\4") -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    head = bytes((fin << 7 | rsv << 4 | opcode,))
    masked = 0x80 if mask is not None else 0
    if size < 126:
        head += bytes((masked | size,))
    elif size < 65536:
        head += struct.pack("!BH", masked | 126, size)
    else:
        head += struct.pack("!BQ", masked | 127, size)
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def read(*frames: bytes, max_size: int = MAX) -> tuple[FrameReader, list[WebSocketMessage], list[bytes]]:
    """Feed a reader, and return it with its messages."""
    reader = FrameReader(max_size)
    messages, pongs = reader.feed(b"".join(frames))
    return reader, messages, pongs


@pytest.mark.parametrize(
    ("data", "inside"),
    [
        (b"", False),
        (b"\x81", True),
        (b"\x81\x81\0\0\0\0", True),
        (b"\x81\x81\0\0\0\0a", False),
        (b"\x01\x81\0\0\0\0a", True),
        (b"\x01\x81\0\0\0\0a\x89\x80\0\0\0\0", True),
        (b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b", False),
        (b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b\x89", True),
        (b"\x89\x80\0\0\0\0", False),
    ],
)
def test_reader_detects_incomplete_messages(data: bytes, inside: bool) -> None:
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        reader = FrameReader(MAX)
        for piece in pieces:
            reader.feed(piece)
        assert reader.is_inside_message is inside


def failure(*frames: bytes, max_size: int = MAX) -> tuple[int, str]:
    """Code and reason of the failure that the last of these frames causes, and none before."""
    reader = FrameReader(max_size)
    for frame in frames[:-1]:
        reader.feed(frame)
        assert reader.failed is None
    reader.feed(frames[-1])
    assert reader.closed is None
    assert reader.failed is not None
    return reader.failed


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_text_message_is_parsed(size: int) -> None:
    data = b"x" * size
    assert read(sent(TEXT, data), max_size=65536)[1] == [WebSocketMessage(TEXT, data)]


def test_binary_message_is_parsed() -> None:
    data = bytes(range(128, 256))
    assert read(sent(BINARY, data))[1] == [WebSocketMessage(BINARY, data)]


@pytest.mark.parametrize("mask", [bytes(4), b"\xff" * 4, b"\0\0\0\1"])
def test_any_mask_is_accepted(mask: bytes) -> None:
    assert read(sent(TEXT, b"hello", mask=mask))[1] == [WebSocketMessage(TEXT, b"hello")]


@pytest.mark.parametrize("head", [b"\x81\xfe\x00\x02", b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x02"])
def test_non_minimal_length_is_accepted(head: bytes) -> None:
    """RFC 6455 does not allow such a length, but Centrifugo accepts it, so this server does too."""
    assert read(head + bytes(4) + b"hi")[1] == [WebSocketMessage(TEXT, b"hi")]


def test_fragments_are_one_message() -> None:
    frames = [
        sent(TEXT, b"a", fin=False),
        sent(CONTINUATION, fin=False),
        sent(CONTINUATION, b"b", fin=False),
        sent(CONTINUATION, b"c"),
    ]
    reader = FrameReader(MAX)
    assert [reader.feed(frame) for frame in frames] == [
        ([], []),
        ([], []),
        ([], []),
        ([WebSocketMessage(TEXT, b"abc")], []),
    ]


def test_fragments_of_a_binary_are_one_message() -> None:
    frames = sent(BINARY, b"\xff", fin=False), sent(CONTINUATION, b"\xfe")
    assert read(*frames)[1] == [WebSocketMessage(BINARY, b"\xff\xfe")]


def test_messages_in_fragments_follow_each_other() -> None:
    frames = [sent(TEXT, b"a", fin=False), sent(CONTINUATION, b"b"), sent(BINARY, b"c", fin=False), sent(CONTINUATION)]
    assert read(*frames)[1] == [WebSocketMessage(TEXT, b"ab"), WebSocketMessage(BINARY, b"c")]


def test_a_character_may_be_split_over_fragments() -> None:
    euro = "\u20ac".encode()
    frames = [sent(TEXT, euro[:1], fin=False), sent(CONTINUATION, euro[1:2], fin=False), sent(CONTINUATION, euro[2:])]
    assert read(*frames)[1] == [WebSocketMessage(TEXT, euro)]


def test_pings_are_answered() -> None:
    _, messages, pongs = read(sent(PING), sent(TEXT, b"x"), sent(PING, b"y" * 125))
    assert messages == [WebSocketMessage(TEXT, b"x")]
    assert pongs == [b"\x8a\x00", b"\x8a\x7d" + b"y" * 125]


def test_pings_between_fragments_are_answered() -> None:
    frames = sent(TEXT, b"a", fin=False), sent(PING, b"p"), sent(CONTINUATION, b"b")
    assert read(*frames)[1:] == ([WebSocketMessage(TEXT, b"ab")], [b"\x8a\x01p"])


def test_pongs_are_counted() -> None:
    reader, messages, pongs = read(sent(PONG), sent(PONG, b"x"))
    assert (reader.pongs, messages, pongs) == (2, [], [])
    reader, messages, pongs = read(sent(PING, b"p"), sent(PONG))
    assert (reader.pongs, messages, pongs) == (1, [], [b"\x8a\x01p"])


def test_incomplete_frame_waits_for_more_data() -> None:
    frame = sent(TEXT, b"hello")
    reader = FrameReader(MAX)
    assert reader.feed(frame[:-1]) == ([], [])
    assert reader.feed(frame[-1:]) == ([WebSocketMessage(TEXT, b"hello")], [])


# -- closes


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 3000, 4999])
def test_close_frame_is_parsed(code: int) -> None:
    reader, messages, _ = read(sent(TEXT, b"x"), sent(CLOSE, struct.pack("!H", code) + b"bye"), sent(TEXT, b"y"))
    assert reader.failed is None
    assert reader.closed is not None
    assert (reader.closed.code, reader.closed.reason) == (code, "bye")
    assert messages == [WebSocketMessage(TEXT, b"x")], "what follows a close is nothing"


def test_close_frame_without_a_code_is_parsed() -> None:
    reader, _, pongs = read(sent(CLOSE))
    assert reader.closed is not None
    assert reader.closed.code == 1005
    assert pongs == [], "the answer to a close is not a pong"


def test_close_frame_between_fragments_is_parsed() -> None:
    reader, _, _ = read(sent(TEXT, b"x", fin=False), sent(CLOSE, b"\x03\xe8"))
    assert reader.failed is None
    assert reader.closed is not None
    assert reader.closed.code == 1000


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_invalid_close_code_is_refused(code: int) -> None:
    assert failure(sent(CLOSE, struct.pack("!H", code)))[0] == PROTOCOL_ERROR


def test_incomplete_close_code_is_refused() -> None:
    assert failure(sent(CLOSE, b"\x03"))[0] == PROTOCOL_ERROR


def test_close_reason_that_is_not_utf8_is_refused() -> None:
    assert failure(sent(CLOSE, b"\x03\xe8\xff"))[0] == INVALID_DATA


# -- what breaks the protocol


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_unmasked_frame_is_refused(opcode: int) -> None:
    assert failure(sent(opcode, mask=None))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcode_is_refused(opcode: int) -> None:
    assert failure(sent(opcode))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, PING])
def test_reserved_bits_are_refused(opcode: int, rsv: int) -> None:
    assert failure(sent(opcode, rsv=rsv))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_fragmented_control_frame_is_refused(opcode: int) -> None:
    assert failure(sent(opcode, b"\x03\xe8", fin=False))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_too_large_control_frame_is_refused(opcode: int) -> None:
    assert failure(sent(opcode, b"\x03\xe8" * 63))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("fin", [True, False])
def test_continuation_without_message_is_refused(fin: bool) -> None:
    assert failure(sent(TEXT, b"x"), sent(CONTINUATION, fin=fin))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_new_message_within_fragments_is_refused(opcode: int) -> None:
    assert failure(sent(TEXT, b"x", fin=False), sent(opcode, b"y"))[0] == PROTOCOL_ERROR


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"a\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80"],
)
def test_text_message_that_is_not_utf8_is_refused(data: bytes) -> None:
    assert failure(sent(TEXT, data)) == (INVALID_DATA, "invalid UTF-8")
    assert failure(sent(TEXT, fin=False), sent(CONTINUATION, data)) == (INVALID_DATA, "invalid UTF-8")


def test_text_fails_at_its_first_bad_fragment() -> None:
    assert failure(sent(TEXT, b"good", fin=False), sent(CONTINUATION, b"\xff", fin=False))[0] == INVALID_DATA


def test_messages_before_an_invalid_frame_are_returned() -> None:
    reader, messages, _ = read(sent(TEXT, b"x"), sent(TEXT, b"\xff"), sent(TEXT, b"y"))
    assert messages == [WebSocketMessage(TEXT, b"x")]
    assert reader.failed is not None


# -- sizes


def test_largest_message_is_accepted() -> None:
    assert read(sent(BINARY, b"x" * MAX))[1] == [WebSocketMessage(BINARY, b"x" * MAX)]
    frames = sent(BINARY, b"x" * (MAX - 1), fin=False), sent(CONTINUATION, b"x")
    assert read(*frames)[1] == [WebSocketMessage(BINARY, b"x" * MAX)]


@pytest.mark.parametrize(
    "frames",
    [
        [sent(TEXT, b"x" * (MAX + 1))],
        [sent(BINARY, b"x" * (MAX + 126))],
        [sent(TEXT, b"x" * MAX, fin=False), sent(CONTINUATION, b"x", fin=False)],
        [sent(TEXT, b"x", fin=False), sent(CONTINUATION, b"x" * MAX)],
        [b"\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00"],
        [b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff"],
        [b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"],
    ],
)
def test_too_large_message_is_refused(frames: list[bytes]) -> None:
    reader, messages, _ = read(*frames)
    assert (reader.too_big, reader.failed, messages) == (True, (MESSAGE_TOO_BIG, TOO_BIG), [])
    assert failure(*frames) == (MESSAGE_TOO_BIG, TOO_BIG)


def test_other_failures_are_not_about_size() -> None:
    assert not read(sent(3))[0].too_big


def test_a_ping_does_not_count_as_part_of_the_message_around_it() -> None:
    frames = sent(BINARY, b"x" * MAX, fin=False), sent(PING, b"y" * 125), sent(CONTINUATION)
    _, messages, pongs = read(*frames)
    assert (messages, len(pongs)) == ([WebSocketMessage(BINARY, b"x" * MAX)], 1)


# -- bytes of any kind


frames = st.builds(
    sent,
    st.sampled_from([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3]),
    st.one_of(st.binary(max_size=8), st.sampled_from([b"\x03\xe8", b"x" * 130, "\u20ac".encode()])),
    st.booleans(),
    st.sampled_from([0, 0, 0, 0, 4]),
    st.sampled_from([b"\1\2\3\4", b"\1\2\3\4", b"\1\2\3\4", bytes(4), None]),
)


@given(st.lists(frames, max_size=12), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_parsing_does_not_depend_on_packet_boundaries(sent_frames: list[bytes], sizes: list[int]) -> None:
    data = b"".join(sent_frames)
    whole, in_pieces = FrameReader(MAX), FrameReader(MAX)
    expected = whole.feed(data)
    messages: list[WebSocketMessage] = []
    pongs: list[bytes] = []
    for piece in cut(data, sizes):
        more_messages, more_pongs = in_pieces.feed(piece)
        messages += more_messages
        pongs += more_pongs
        if in_pieces.failed or in_pieces.closed:
            break
    assert messages == expected[0]
    assert (in_pieces.failed, in_pieces.too_big) == (whole.failed, whole.too_big)
    assert in_pieces.closed == whole.closed
    # A peer that breaks the protocol hears of that; it may or may not get the pongs it had asked for.
    assert pongs == expected[1] or whole.failed


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Pieces of these sizes, again and again."""
    pieces = []
    while data:
        for size in sizes:
            pieces.append(data[:size])
            data = data[size:]
    return [piece for piece in pieces if piece]


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_parsed_or_refused(data: bytes) -> None:
    reader, messages, _ = read(data)
    assert all(message.opcode in (TEXT, BINARY) for message in messages)
    for message in messages:
        if message.opcode == TEXT:
            message.data.decode()
    assert not (reader.failed and reader.closed)


# -- compressed messages


RSV1 = 4
TEXT_OF_MAX = b"compress me " * (MAX // 12)


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def reader_of_compressed(max_size: int = MAX) -> FrameReader:
    return FrameReader(max_size, (inflate_extension(),))


def test_compressed_message_is_parsed() -> None:
    frame = sent(TEXT, deflated(TEXT_OF_MAX), rsv=RSV1)
    assert reader_of_compressed().feed(frame * 3) == ([WebSocketMessage(TEXT, TEXT_OF_MAX)] * 3, [])


def test_compressed_and_other_messages_may_take_turns() -> None:
    frames = sent(TEXT, b"plain"), sent(BINARY, deflated(b"small"), rsv=RSV1), sent(TEXT, b"plain"), sent(PING, b"p")
    messages, pongs = reader_of_compressed().feed(b"".join(frames))
    assert messages == [
        WebSocketMessage(TEXT, b"plain"),
        WebSocketMessage(BINARY, b"small"),
        WebSocketMessage(TEXT, b"plain"),
    ]
    assert len(pongs) == 1


def test_fragmented_compressed_message_is_parsed() -> None:
    data = deflated(TEXT_OF_MAX)
    frames = [sent(TEXT, data[:5], fin=False, rsv=RSV1), sent(PING), sent(CONTINUATION, data[5:9], fin=False)]
    messages, _ = reader_of_compressed().feed(b"".join([*frames, sent(CONTINUATION, data[9:])]))
    assert messages == [WebSocketMessage(TEXT, TEXT_OF_MAX)]


@pytest.mark.parametrize(
    ("frames", "failed"),
    [
        ([sent(TEXT, b"\xff\xff\xff\xff", rsv=RSV1)], PROTOCOL_ERROR),
        ([sent(PING, b"", rsv=RSV1)], PROTOCOL_ERROR),
        ([sent(TEXT, b"", rsv=2)], PROTOCOL_ERROR),
        ([sent(TEXT, deflated(b"a"), fin=False, rsv=RSV1), sent(CONTINUATION, b"", rsv=RSV1)], PROTOCOL_ERROR),
        ([sent(TEXT, deflated(b"\xff"), rsv=RSV1)], INVALID_DATA),
        ([sent(TEXT, deflated(b"x" * (MAX + 1)), rsv=RSV1)], MESSAGE_TOO_BIG),
    ],
    ids=["not deflated", "a ping", "another bit", "a continuation", "not UTF-8", "too large when inflated"],
)
def test_invalid_compressed_messages_are_refused(frames: list[bytes], failed: int) -> None:
    reader = reader_of_compressed()
    assert reader.feed(b"".join(frames))[0] == []
    assert reader.failed is not None
    assert reader.failed[0] == failed


def test_compression_bomb_uses_little_memory() -> None:
    bomb = sent(TEXT, deflated(b"0" * (64 << 20)), rsv=RSV1)
    assert len(bomb) < 66_000
    tracemalloc.start()
    try:
        reader = reader_of_compressed(131072)
        reader.feed(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reader.too_big
    assert peak < 2 << 20
