"""IDs that no other process creates: random UUIDs for connections, and cheaper ones for publications."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from itertools import chain, count

_COUNT = 64
"""The number of UUIDs that are created at once."""
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class _RandomIDs:
    """Creates random UUIDs (RFC 9562, version 4), many at a time, because a system call for random bytes takes 1 µs.

    Several threads may call it: removing an ID from the list is atomic.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []
        # Otherwise a process and its child would use the same IDs.
        os.register_at_fork(after_in_child=self._ids.clear)

    def __call__(self) -> str:
        """Return a random UUID as text. Nobody can predict it."""
        while True:
            try:
                return self._ids.pop()
            except IndexError:
                digits = os.urandom(16 * _COUNT).hex()
                self._ids += [_uuid_of(digits[start : start + 32]) for start in range(0, len(digits), 32)]


def _uuid_of(digits: str) -> str:
    variant = _VARIANTS[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


random_uuid = _RandomIDs()
"""Returns a random UUID as text."""


_LAST_DIGITS = [f"{number:02x}" for number in range(256)]


def counted_ids() -> Callable[[], str]:
    """Return a function that creates IDs like UUIDs: their beginning is random, and the last group is a counter.

    They are created 256 at a time; one takes 0.1 µs. They can be predicted from one another.
    """
    prefix = random_uuid()[:24]
    return chain.from_iterable(map(partial(_counted, prefix), count())).__next__


def _counted(prefix: str, number: int) -> list[str]:
    start = f"{prefix}{number:010x}"
    return [start + digits for digits in _LAST_DIGITS]
