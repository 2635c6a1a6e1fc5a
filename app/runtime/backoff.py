"""Growing delays between failing attempts, such as connecting to a server that is down. Only computes the delays."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """The delays before the next attempts: `first` seconds, then twice as long each time, `longest` seconds at most.

    With a `jitter` of 0.5, each delay is shortened at random by up to half, so that many clients of one server do not
    reconnect at the same moment; with 0, nothing is random. `uniform` gives a random number between its two arguments.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        *,
        jitter: float = 0.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._longest = longest
        self._jitter = jitter
        self._uniform = uniform
        self._delay = first

    def next_delay(self) -> float:
        """Return seconds until the next attempt. Call it once for each attempt that failed."""
        delay = self._delay
        self._delay = min(2 * delay, self._longest)
        return delay * self._uniform(1 - self._jitter, 1) if self._jitter else delay

    def reset(self) -> None:
        """Begin with the first delay again, after an attempt that succeeded."""
        self._delay = self._first
