"""Behaviour of compression: the negotiation, and frames that can be decompressed independently."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.websocket.compression import Compression, Deflate, agree
from gentrifugo.app.websocket.frames import BINARY, COMPRESSED, TEXT, text_frame

NO_TAKEOVER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
TEXTS = [b'{"body":{"channel":"news","data":"%d"}}' % number * 20 for number in range(3)]


def agreed(offers: str, **options: int) -> Deflate:
    deflate = agree(Compression(**options), offers)
    assert deflate is not None
    return deflate


def inflated(frame: bytes, window_bits: int = 15) -> tuple[int, bytes]:
    """Opcode and message of one frame, decompressed without other frames."""
    first, size = frame[0], frame[1]
    start = {126: 4, 127: 10}.get(size, 2)
    assert first & 0x80
    assert first & COMPRESSED
    inflater = zlib.decompressobj(-window_bits)
    return first & 0x0F, inflater.decompress(frame[start:] + b"\x00\x00\xff\xff")


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", NO_TAKEOVER),
        ("permessage-deflate; client_max_window_bits", NO_TAKEOVER),
        ("permessage-deflate; client_max_window_bits=10", f"{NO_TAKEOVER}; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=9", f"{NO_TAKEOVER}; server_max_window_bits=9"),
        ("x-webkit-deflate-frame, permessage-deflate", NO_TAKEOVER),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", NO_TAKEOVER),
    ],
)
def test_the_first_offer_that_can_be_met_is_answered(offers: str, answer: str) -> None:
    assert agreed(offers).answer == answer


@pytest.mark.parametrize(
    "offers",
    ["", "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=8", "permessage-deflate; what=1"],
)
def test_compression_is_not_used_without_an_acceptable_offer(offers: str) -> None:
    assert agree(Compression(), offers) is None


def test_server_without_compression_accepts_no_offer() -> None:
    assert agree(None, "permessage-deflate") is None
    assert agree(None, ";;;=,,") is None


@pytest.mark.parametrize("offers", [";;;=,,", "permessage-deflate; =", 'permessage-deflate; a="b c"'])
def test_invalid_compressed_data_is_refused(offers: str) -> None:
    with pytest.raises(HTTPError, match="cannot parse Sec-WebSocket-Extensions") as caught:
        agree(Compression(), offers)
    assert caught.value.status == 400


def test_frames_can_be_read_in_any_order() -> None:
    deflate = agreed("permessage-deflate")
    frames = [deflate.frame(text) for text in TEXTS]
    assert all(len(frame) < 70 for frame in frames)
    assert [inflated(frame) for frame in reversed(frames)] == [(TEXT, text) for text in reversed(TEXTS)]


def test_equal_messages_have_equal_frames() -> None:
    deflate = agreed("permessage-deflate")
    first = deflate.frame(TEXTS[0])
    deflate.frame(TEXTS[1])
    assert deflate.frame(TEXTS[0]) == first


def test_binary_message_is_compressed_too() -> None:
    frame = agreed(NO_TAKEOVER).binary_frame(b"\xff" * 1000)
    assert len(frame) < 100
    assert inflated(frame) == (BINARY, b"\xff" * 1000)


def test_receivers_with_the_same_terms_share_frames() -> None:
    assert agreed("permessage-deflate; client_max_window_bits").frame == agreed("permessage-deflate").frame
    assert agreed("permessage-deflate; server_max_window_bits=9").frame != agreed("permessage-deflate").frame
    assert agreed("permessage-deflate", level=9).frame != agreed("permessage-deflate").frame


def test_receiver_with_a_small_window_can_inflate_messages() -> None:
    message = bytes(range(256)) * 40
    deflate = agreed("permessage-deflate; server_max_window_bits=9", level=9)
    assert inflated(deflate.data_frame(BINARY, message), window_bits=9) == (BINARY, message)


@pytest.mark.parametrize("size", [0, 1, 99])
def test_short_messages_are_not_compressed(size: int) -> None:
    assert agreed("permessage-deflate", min_size=100).frame(b"x" * size) == text_frame(b"x" * size)


def test_messages_from_the_least_size_on_are_compressed() -> None:
    assert inflated(agreed("permessage-deflate", min_size=100).frame(b"x" * 100)) == (TEXT, b"x" * 100)


def test_a_higher_level_makes_smaller_frames() -> None:
    message = b"".join(b'{"id":%d,"name":"user %d","score":%d},' % (n, n * 7919, n * n) for n in range(500))
    fast, small = (agreed("permessage-deflate", level=level).frame(message) for level in (1, 9))
    assert len(small) < len(fast)


@given(st.lists(st.binary(min_size=1, max_size=70_000), min_size=1, max_size=4))
def test_any_messages_can_be_read(messages: list[bytes]) -> None:
    deflate = agreed("permessage-deflate")
    assert [inflated(deflate.data_frame(BINARY, message)) for message in messages] == [(BINARY, m) for m in messages]
