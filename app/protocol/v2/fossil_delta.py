"""Creates patches in the delta format of Fossil. A patch changes one payload into the next one.

If the new payload is text, the patch is text too. It begins with the length of the new payload. Then follow references
to pieces of the old payload (`length@offset,`) and new text (`length:text`), and at the end a checksum (`checksum;`).
Numbers are written in base 64. The algorithm that finds common pieces is the one of Fossil itself, so the patches equal
those of other servers. Format: https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

HASH_WINDOW = 16
"""Bytes of a block of the old payload; shorter common pieces are not found."""
MAX_CANDIDATES = 249
"""Blocks with the same hash that are compared with one position of the new payload."""
MAX_DELTA_SIZE = 1 << 17
"""Bytes of the largest payload for which a patch is created: a patch of 128 KB takes some milliseconds."""
MAX_STEPS = 30_000
"""Comparisons of two bytes after which the search is given up, because it would take more than about 20 ms.

This happens if the payloads have too little in common, or repeat the same pieces too often.
"""
STEPS_PER_MATCH = 8
"""Cost, in comparisons, of finding both ends of a common piece of the payloads."""
BYTES_PER_STEP = 2048
"""Bytes of a common piece that cost one more comparison."""

_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"


class _Copy(NamedTuple):
    """A piece that both payloads contain."""

    literal: int
    """Bytes of new text before the piece."""
    offset: int
    """The position of the piece in the old payload."""
    size: int


class _TooManySteps(Exception):
    """The search needs more comparisons than MAX_STEPS."""


def create(source: bytes, target: bytes) -> bytes | None:
    """Create the patch that changes `source` into `target`; None if they are too large or have too little in common.

    The patch for two texts in UTF-8 is valid UTF-8: no piece begins or ends within a character.
    """
    if max(len(source), len(target)) > MAX_DELTA_SIZE:
        return None
    try:
        return _Patch(source, target).create()
    except _TooManySteps:
        return None


class _Patch:
    """The search for the common pieces of two payloads."""

    def __init__(self, source: bytes, target: bytes) -> None:
        self._source = source
        self._target = target
        self._blocks = _blocks_by_hash(source)
        self._steps = 0

    def create(self) -> bytes:
        """Return the patch; raises _TooManySteps if finding the common pieces takes too long."""
        target, done = self._target, 0
        parts = [_encode_number(len(target)), b"\n"]
        while (copy := self._next_copy(done)) is not None:
            if copy.literal:
                parts += _encode_literal(target[done : done + copy.literal])
            parts += (_encode_number(copy.size), b"@", _encode_number(copy.offset), b",")
            done += copy.literal + copy.size
        if done < len(target):
            parts += _encode_literal(target[done:])
        parts += (_encode_number(checksum(target)), b";")
        return b"".join(parts)

    def _next_copy(self, done: int) -> _Copy | None:
        """Return the first common piece after the position `done` of the new payload; None if there is none."""
        target, blocks, position = self._target, self._blocks, done
        last = len(target) - HASH_WINDOW
        if not blocks or position >= last:
            return None
        total, weighted = _sums(target[position : position + HASH_WINDOW])
        count = len(blocks)
        while True:
            candidates = blocks[(total + (weighted << 16)) % count]
            if candidates and (copy := self._longest(candidates, done, position)) is not None:
                return copy
            if position >= last:
                return None
            first = target[position]
            total += target[position + HASH_WINDOW] - first
            weighted += total - HASH_WINDOW * first
            position += 1
            self._steps += 1

    def _longest(self, candidates: Sequence[int], done: int, position: int) -> _Copy | None:
        """Return the longest piece that contains one of these blocks and a position of the new payload.

        Returns None if a reference to it would be longer than the piece itself.
        """
        self._count(len(candidates))
        source, first, before = self._source, self._target[position], self._target[position - 1]
        best: _Copy | None = None
        for block in candidates:
            if source[block] != first and source[block - 1] != before:
                continue  # nothing in common; most blocks end here
            copy = self._common(block, done, position)
            self._count(STEPS_PER_MATCH + copy.size // BYTES_PER_STEP)
            cost = _count_digits(copy.literal) + _count_digits(copy.size) + _count_digits(copy.offset) + 3
            if copy.size >= cost and (best is None or copy.size > best.size):
                best = copy
        return best

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise _TooManySteps

    def _common(self, block: int, done: int, position: int) -> _Copy:
        """Return the common piece around a block of the old payload and a position of the new one."""
        source, target = self._source, self._target
        begin = position - _common_suffix(source, block, target, position, min(block - 1, position - done))
        end = position + _common_prefix(source, block, target, position)
        begin, end = _whole_characters(target, begin, end)
        return _Copy(begin - done, block + begin - position, end - begin)


def _blocks_by_hash(source: bytes) -> list[list[int]]:
    """Return the positions of the blocks of the old payload by their hash, the last block first."""
    if len(source) <= HASH_WINDOW:
        return []
    count = len(source) // HASH_WINDOW
    blocks: list[list[int]] = [[] for _ in range(count)]
    for start in reversed(range(0, len(source) - HASH_WINDOW, HASH_WINDOW)):
        total, weighted = _sums(source[start : start + HASH_WINDOW])
        starts = blocks[(total + (weighted << 16)) % count]
        if len(starts) < MAX_CANDIDATES:
            starts.append(start)
    return blocks


def _sums(window: bytes) -> tuple[int, int]:
    """Return the two parts of the hash of some bytes: their sum, and their sum weighted by distance from the end."""
    return sum(window), sum(accumulate(window))


def _common_prefix(source: bytes, start: int, target: bytes, position: int) -> int:
    """Return how many bytes are equal after two positions. Compares slices that grow with each step."""
    limit = min(len(source) - start, len(target) - position)
    done, step = 0, HASH_WINDOW
    while done < limit:
        step = min(step, limit - done)
        old = source[start + done : start + done + step]
        new = target[position + done : position + done + step]
        if old != new:
            return done + step - _bytes_from_first_difference(old, new, "big")
        done += step
        step *= 4
    return limit


def _common_suffix(source: bytes, start: int, target: bytes, position: int, limit: int) -> int:
    """Return how many bytes are equal before two positions, at most `limit`."""
    done, step = 0, HASH_WINDOW
    while done < limit:
        step = min(step, limit - done)
        old = source[start - done - step : start - done]
        new = target[position - done - step : position - done]
        if old != new:
            return done + step - _bytes_from_first_difference(old, new, "little")
        done += step
        step *= 4
    return max(limit, 0)


def _bytes_from_first_difference(old: bytes, new: bytes, order: Literal["big", "little"]) -> int:
    """Return the number of bytes from the first difference to the end; `little` compares from the end."""
    difference = int.from_bytes(old, order) ^ int.from_bytes(new, order)
    return (difference.bit_length() + 7) // 8


def _whole_characters(text: bytes, begin: int, end: int) -> tuple[int, int]:
    """Shorten a piece so that it begins and ends between characters of UTF-8: a patch in JSON must be text."""
    for _ in range(3):
        if begin < end and text[begin] & 0xC0 == 0x80:
            begin += 1
        if begin < end < len(text) and text[end] & 0xC0 == 0x80:
            end -= 1
    return begin, end


def checksum(data: bytes) -> int:
    """Return the checksum of Fossil: the sum of all groups of four bytes, modulo 2**32."""
    whole = data + bytes(-len(data) % 4)
    groups: tuple[int, ...] = struct.unpack(f">{len(whole) // 4}I", whole)
    return sum(groups) & 0xFFFFFFFF


def _encode_literal(text: bytes) -> tuple[bytes, ...]:
    return _encode_number(len(text)), b":", text


def _count_digits(number: int) -> int:
    return max(-(-number.bit_length() // 6), 1)


def _encode_number(number: int) -> bytes:
    """Encode a number in base 64, with the digits of Fossil's format."""
    digits = bytearray()
    while number or not digits:
        digits.append(_DIGITS[number & 63])
        number >>= 6
    digits.reverse()
    return bytes(digits)
