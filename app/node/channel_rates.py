"""How many publications arrive in each channel, counted while operators ask for it, and not otherwise."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

INTERVAL = 5.0
"""Minimum length in seconds of an interval of counting. A rate is that of the current interval and the one before."""
SHORTEST = 0.1
"""Seconds of counting that a rate is calculated with at least."""
KEPT_AFTER_QUESTION = 20.0
"""Seconds that publications are counted after the last question."""


class ChannelRates:
    """The publication rates of one node. `counts` is None while no operator requests rates, to save time.

    `later` calls a function once after some seconds.
    """

    def __init__(
        self, later: Callable[[float, Callable[[], None]], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.counts: defaultdict[str, int] | None = None
        """Publications in the current interval by channel; the node adds them."""
        self._later = later
        self._clock = clock
        self._before: Mapping[str, int] = {}
        self._began = self._began_before = self._asked = 0.0

    def current(self) -> Callable[[str], float] | None:
        """Return a function for the publications per second of a channel, and continue counting.

        None if counting begins only now. The function does not look at all channels, of which there can be many.
        """
        now = self._asked = self._clock()
        if self.counts is None:
            self.counts, self._before = defaultdict(int), {}
            self._began = self._began_before = now
            self._later(KEPT_AFTER_QUESTION, self._end_unless_asked)
            return None
        counts, before, duration = self.counts, self._before, max(now - self._began_before, SHORTEST)
        if now - self._began >= INTERVAL:
            self._before, self.counts = self.counts, defaultdict(int)
            self._began_before, self._began = self._began, now
        return lambda channel: (counts.get(channel, 0) + before.get(channel, 0)) / duration

    def _end_unless_asked(self) -> None:
        remaining = self._asked + KEPT_AFTER_QUESTION - self._clock()
        if remaining > 0:
            self._later(remaining, self._end_unless_asked)
        else:
            self.counts, self._before = None, {}
