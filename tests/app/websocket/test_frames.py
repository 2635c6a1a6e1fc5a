"""Behaviour of sent frames."""

from __future__ import annotations

import pytest

from gentrifugo.app.websocket.frames import BINARY, PING_FRAME, close_frame, data_frame, text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_text_is_encoded_in_one_frame(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size


def test_binary_message_is_encoded_in_one_frame() -> None:
    assert data_frame(BINARY, b"\xff") == b"\x82\x01\xff"


def test_ping_frame_is_encoded() -> None:
    assert PING_FRAME == b"\x89\x00"


def test_close_frame_is_encoded() -> None:
    assert close_frame(3000, "bye") == b"\x88\x05\x0b\xb8bye"


@pytest.mark.parametrize(
    ("reason", "cut"),
    [
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("\u20ac" * 42, "\u20ac".encode() * 41),
        ("\ud7ff", b"\xed\x9f\xbf"),
    ],
)
def test_close_reason_is_truncated(reason: str, cut: bytes) -> None:
    assert close_frame(1000, reason)[4:] == cut
