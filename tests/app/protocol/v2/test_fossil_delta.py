"""Patches in Fossil's format: they turn the old payload into the new one, and small changes give small patches."""

from __future__ import annotations

import json
import random
import re
import sys
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.protocol.v2.fossil_delta import MAX_DELTA_SIZE, checksum, create

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
COMMAND = re.compile(rb"([0-9A-Za-z_~]*)([@:;\n])")


def number(digits: bytes) -> int:
    value = 0
    for digit in digits.decode():
        value = value * 64 + DIGITS.index(digit)
    return value


def apply(source: bytes, patch: bytes) -> bytes:
    """Apply a patch like a client. Fails for an invalid patch."""
    result, position, size = b"", 0, -1
    while True:
        found = COMMAND.match(patch, position)
        assert found is not None, (patch, position)
        value, position = number(found[1]), found.end()
        if found[2] == b"\n":
            size = value
        elif found[2] == b":":
            result += patch[position : position + value]
            position += value
        elif found[2] == b"@":
            end = patch.index(b",", position)
            offset, position = number(patch[position:end]), end + 1
            assert offset + value <= len(source)
            result += source[offset : offset + value]
        else:
            assert (value, size, position) == (checksum(result), len(result), len(patch))
            return result


PIECES = st.lists(st.text('ab{}":é€😀', max_size=24), min_size=1, max_size=8)


@st.composite
def texts(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two texts with much in common."""
    pieces = st.lists(st.sampled_from(draw(PIECES)), max_size=40)
    return "".join(draw(pieces)).encode(), "".join(draw(pieces)).encode()


@given(texts())
def test_patch_of_texts_is_text_and_restores_the_target(pair: tuple[bytes, bytes]) -> None:
    source, target = pair
    patch = create(source, target)
    assert patch is not None
    patch.decode()
    assert apply(source, patch) == target


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_patch_of_bytes_restores_the_target(before: bytes, common: bytes, after: bytes) -> None:
    source, target = before + common, common + after
    patch = create(source, target)
    assert patch is not None
    assert apply(source, patch) == target


@pytest.mark.parametrize("source", [b"", b"short", b"x" * 17])
@pytest.mark.parametrize("target", [b"", b"short", b"x" * 16, b"x" * 200])
def test_patches_of_short_payloads_restore_the_target(source: bytes, target: bytes) -> None:
    patch = create(source, target)
    assert patch is not None
    assert apply(source, patch) == target


def test_a_small_change_of_a_large_payload_is_a_small_patch() -> None:
    players = [{"id": number, "name": f"player {number}", "score": 7 * number} for number in range(300)]
    before = json.dumps(players).encode()
    players[100]["score"] = 1
    patch = create(before, json.dumps(players).encode())
    assert patch is not None
    assert len(patch) < 40


def test_the_patch_is_the_one_that_other_servers_create() -> None:
    source = b'{"name":"alice","text":"the quick brown fox jumps over the lazy dog","count":1}'
    target = b'{"name":"alice","text":"the quick brown cat jumps over the lazy dog","count":22}'
    assert create(source, target) == b"1G\nd@0,3:catY@g,3:22}1qqTdL;"


def test_payloads_that_are_too_large_have_no_patch() -> None:
    assert create(b"x" * (MAX_DELTA_SIZE + 1), b"x") is None
    assert create(b"x", b"x" * (MAX_DELTA_SIZE + 1)) is None


def test_the_search_ends_when_payloads_have_too_little_in_common() -> None:
    noise = random.Random(1).randbytes
    assert create(noise(60_000), noise(60_000)) is None


@pytest.mark.parametrize("run", [16, 100, 1000, 5000])
def test_payloads_that_repeat_the_same_pieces_take_a_limited_time(run: int) -> None:
    source = (b"a" * run + b"b") * (MAX_DELTA_SIZE // (run + 1))
    target = (b"a" * (run + 1) + b"c") * (MAX_DELTA_SIZE // (run + 2))
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        create(source, target)
    finally:
        sys.setprofile(None)
    assert calls < 50_000


def test_payloads_that_repeat_pieces_have_patches_if_these_are_few() -> None:
    source = b"a" * 20_000 + b"b"
    patch = create(source, source + b"c")
    assert patch is not None
    assert len(patch) < 60
    assert apply(source, patch) == source + b"c"
