"""Parts of a gzip stream can follow each other in any order, and each can be decompressed when it arrives."""

from __future__ import annotations

import zlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.streams import gzip_parts
from gentrifugo.app.streams.gzip_parts import MIN_COMPRESSED_SIZE

LONG = b"a message that is long enough to be compressed " * 10
messages = st.binary(min_size=1, max_size=2 * MIN_COMPRESSED_SIZE) | st.builds(
    lambda text: text * 50, st.binary(max_size=100)
)


@given(st.lists(messages, max_size=10), st.randoms())
def test_each_part_can_be_read_after_any_others(data: list[bytes], random: Random) -> None:
    parts = [(message, gzip_parts.part(message)) for message in data if message]
    random.shuffle(parts)
    receiver = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert receiver.decompress(gzip_parts.GZIP_START) == b""
    for message, part in parts:
        assert receiver.decompress(part) == message


@pytest.mark.parametrize("size", [1, MIN_COMPRESSED_SIZE - 1, MIN_COMPRESSED_SIZE, 100_000])
def test_incompressible_data_grows_by_a_few_bytes(size: int) -> None:
    data = bytes(index * index * 7919 >> 5 & 255 for index in range(size))
    assert len(gzip_parts.part(data)) <= size * 1.01 + 20


def test_long_messages_become_shorter() -> None:
    assert len(gzip_parts.part(LONG)) < len(LONG) / 4
