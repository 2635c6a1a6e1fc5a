"""Time limits of tests: all of them are scaled by `seconds`, for slow machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SLOWNESS = float(os.environ.get("GENTRIFUGO_TEST_SLOWNESS", "1"))
"""How many times slower than a developer's machine this one is."""


def seconds(count: float) -> float:
    """Return a time limit of `count` seconds on a developer's machine."""
    return count * SLOWNESS


def eventually(check: Callable[[], T | None], within: float = 5, what: str | Callable[[], str] = "") -> T:
    """Return the first true value `check` gives; fails when none came within the time limit.

    `what` describes the expected event; a function is called at the end, to show the actual state.
    """
    deadline = time.monotonic() + seconds(within)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            expected = what() if callable(what) else what
            raise AssertionError(f"not within {seconds(within):g} s: {expected or check}; at last: {value!r}")
        time.sleep(0.01)
