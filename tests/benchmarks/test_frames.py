"""Parsing frames of a server that arrive in pieces."""

from __future__ import annotations

import pytest

from benchmarks.frames import CLOSE, PING, TEXT, Frame, FrameReader, close_reason, masked_frame

SHORT = b"\x81\x05hello"
LONG = b"\x81\x7e\x01\x00" + b"x" * 256
HUGE = b"\x81\x7f" + (70_000).to_bytes(8, "big") + b"y" * 70_000
PING_FRAME = b"\x89\x00"


def test_every_length_is_read() -> None:
    frames = FrameReader().feed(SHORT + LONG + HUGE + PING_FRAME)
    assert frames == [
        Frame(TEXT, b"hello", 7),
        Frame(TEXT, b"x" * 256, 260),
        Frame(TEXT, b"y" * 70_000, 70_010),
        Frame(PING, b"", 2),
    ]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_frames_may_come_in_pieces(step: int) -> None:
    data = SHORT + LONG + PING_FRAME + SHORT
    reader = FrameReader()
    frames = [frame for start in range(0, len(data), step) for frame in reader.feed(data[start : start + step])]
    assert [frame.size for frame in frames] == [7, 260, 2, 7]
    assert reader.rest == b""


def test_half_a_frame_is_kept() -> None:
    reader = FrameReader()
    assert reader.feed(SHORT + SHORT[:3]) == [Frame(TEXT, b"hello", 7)]
    assert reader.rest == SHORT[:3]


@pytest.mark.parametrize("size", [0, 125, 126, 5000])
def test_frames_of_a_client_are_masked_with_zeros(size: int) -> None:
    frame = masked_frame(TEXT, b"z" * size)
    assert frame[0] == 0x81
    assert frame[1] & 0x80
    assert frame.endswith(bytes(4) + b"z" * size)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "without a code"),
        (b"\x03\xe8", "1000"),
        (b'\x0b\xb8{"reason":"slow"}', '3000 {"reason":"slow"}'),
    ],
)
def test_a_close_frame_says_why(payload: bytes, text: str) -> None:
    assert close_reason(payload) == text
    assert FrameReader().feed(bytes((0x80 | CLOSE, len(payload))) + payload)[0].opcode == CLOSE
