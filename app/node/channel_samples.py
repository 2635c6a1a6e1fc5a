"""The figures of a limited number of channels over the last day: subscribers, publications and presence.

Samples of every channel would have no limit. A node records the channels with the most subscribers, and those that
operators have looked at last; the one that was named the longest time ago makes room for a new one. A channel that is
not recorded costs nothing except one lookup for each publication.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from heapq import nlargest

from ..runtime.background import PeriodicTask
from ..runtime.yielding import iterate_yielding
from .hub import Hub
from .rings import Rings, SamplesWanted

MAX_RECORDED = 50
"""Channels that one node records: 26 KB each, so 1.3 MB."""
MAX_LISTED = 10
"""Channels at the top of a list that are recorded."""
LOOKUP_INTERVAL = 30.0
"""Seconds between two lookups of the channels with the most subscribers, and between two counts of presence."""
PRESENCE_TIME = 3600.0
"""Seconds that the presence of a channel is counted after an operator has had it open."""
PRESENCE_VALIDITY = 2 * LOOKUP_INTERVAL
"""Seconds after which a number of present clients counts as unknown, because the engine has not told a newer one."""


class _Recorded:
    """One channel that is recorded."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.opened = float("-inf")
        self.present: int | None = None
        self.counted = float("-inf")
        self.rings = Rings()


class ChannelSamples(PeriodicTask):
    """The recorded channels of one node.

    `count_presence` returns how many clients are present in a channel on all nodes, or None if that is not known. It
    may block. `clock` is in seconds since 1970.
    """

    def __init__(
        self, hub: Hub, count_presence: Callable[[str], int | None], clock: Callable[[], float] = time.time
    ) -> None:
        self.published: dict[str, int] = {}
        """Publications by channel, only of those that are recorded; the node adds them."""
        super().__init__("recorded channels", lambda: LOOKUP_INTERVAL, self._look_up, at_start=True)
        self._hub = hub
        self._count_presence = count_presence
        self._clock = clock
        self._recorded: OrderedDict[str, _Recorded] = OrderedDict()

    def _look_up(self) -> None:
        self.find()
        self.update_presence()

    # -- which channels

    def record(self, channels: Iterable[str]) -> None:
        """Start to record channels. They replace those that were passed the longest time ago."""
        for channel in channels:
            if channel not in self._recorded:
                self._recorded[channel] = _Recorded(self._clock())
                self.published[channel] = 0
            self._recorded.move_to_end(channel)
        while len(self._recorded) > MAX_RECORDED:
            forgotten, _ = self._recorded.popitem(last=False)
            del self.published[forgotten]

    def open(self, channel: str) -> None:
        """Record a channel that an operator has open, with its presence."""
        self.record([channel])
        self._recorded[channel].opened = self._clock()

    def find(self) -> None:
        """Record the channels with the most subscribers. Other greenlets may run meanwhile."""
        channels = iterate_yielding(self._hub.channels())
        self.record(nlargest(MAX_LISTED, channels, key=self._hub.num_subscribers))

    def update_presence(self) -> None:
        """Count the clients that are present in the channels that operators have opened. May block."""
        for channel, recorded in list(self._recorded.items()):
            if self._clock() - recorded.opened < PRESENCE_TIME:
                number = self._count_presence(channel)
                if number is not None:
                    recorded.present, recorded.counted = number, self._clock()

    # -- samples

    def take(self, now: float) -> None:
        """Store a sample of each recorded channel."""
        for channel, recorded in self._recorded.items():
            gauges = {"subscribers": float(self._hub.num_subscribers(channel))}
            if recorded.present is not None and now - recorded.counted < PRESENCE_VALIDITY:
                gauges["present"] = float(recorded.present)
            recorded.rings.take(now, gauges, {"rate": float(self.published[channel])})

    def read(self, wanted: SamplesWanted) -> tuple[dict[str, list[float | None]], float]:
        """Return the wanted samples of a channel, and since when it is recorded; nothing and 0 if it is not."""
        recorded = self._recorded.get(wanted.channel)
        return ({}, 0.0) if recorded is None else (recorded.rings.read(wanted), recorded.since)

    @property
    def memory(self) -> int:
        """Bytes that the samples of all channels take."""
        return sum(recorded.rings.memory for recorded in self._recorded.values())
