"""Delivers the publications that a broken subscription has missed, from the history.

It remembers the newest publication that arrived in each channel with a history. When the subscription is back, new
publications are held until the history has been read and the connection has passed what was read, so that each
publication is delivered once and in its order. Publications that are not in the history, or no longer, are lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Protocol

import gevent
from gevent.event import Event as Signal

from ...app.model.events import Event, Publication
from ...app.runtime.backoff import Backoff
from ...app.runtime.running_clock import wait_for
from ...app.runtime.yielding import yield_if_due
from ..base import EngineError, Recovery
from .codec import Received
from .history import History

log = logging.getLogger(__name__)

BATCH = 100
"""Channels whose history is read together."""
ATTEMPTS = 25
"""How often to try to read a history before the gap is left open."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.25
"""Seconds between two of these attempts; see Backoff."""
KEPT_FROM_BEFORE = 1000
"""Events of one channel that are kept from connections that broke before their gap was closed. The history, which is
read later, has what was dropped, as far as it reaches."""

NOTHING = Recovery((), False)
"""The missed publications when the history cannot be read."""


class Source(Protocol):
    """Where a CatchUp reads histories, and what it delivers to."""

    def read_histories(self, channels: Sequence[str]) -> list[History]:
        """The histories of some channels. Raises EngineError."""

    def wait_until_passed(self) -> bool:
        """Wait until all that was published before this call has been given to `CatchUp.handle`.

        False when the connection broke first.
        """

    def deliver(self, event: Event) -> None:
        """Give an event to its subscribers. Neither blocks nor raises."""

    def leave_gap(self, channel: str, found: int | None, seconds: float) -> bool:
        """What `EngineHandler.handle_missed` is called with, and returns. Neither blocks nor raises."""


class _Gap:
    """The gap in one channel, from the moment in which the connection breaks until nothing is missing."""

    __slots__ = ("before", "began", "breaks", "channel", "closed", "held")

    def __init__(self, channel: str, began: float) -> None:
        self.channel = channel
        self.began = began
        """When all that had been published was known to have arrived, as time.monotonic() has it."""
        self.breaks = 0
        """How often the connection has broken; a history that was read before the last break is of no use."""
        self.held: list[Received] = []
        """What the present connection has brought."""
        self.before: list[Received] = []
        """What earlier connections had brought since the gap began; older than all of `held`."""
        self.closed = Signal()

    def break_off(self) -> None:
        """The connection broke: what comes from now on does not follow on what is held."""
        self.breaks += 1
        self.before.extend(self.held)
        del self.before[:-KEPT_FROM_BEFORE]
        self.held = []


class CatchUp:
    """The channels of one shard."""

    def __init__(self, name: str, source: Source) -> None:
        self._name = name
        self._source = source
        # The newest publication that was delivered, and the newest that a history had when nothing was delivered yet.
        self._newest: dict[str, str] = {}
        self._noted: dict[str, str] = {}
        self._gaps: dict[str, _Gap] = {}
        self._returned: list[tuple[_Gap, int]] = []
        self._arrived = Signal()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to close gaps."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Deliver nothing any more. A second call does nothing."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def handle(self, channel: str, received: Received) -> None:
        """Deliver what came in, now or once the gap before it is closed."""
        if self._gaps and channel in self._gaps:
            self._gaps[channel].held.append(received)
        else:
            self._deliver(channel, received)

    def _deliver(self, channel: str, received: Received) -> None:
        if received.kept:
            assert isinstance(received.event, Publication)
            self._newest[channel] = received.event.uid
            if self._noted:
                self._noted.pop(channel, None)
        self._source.deliver(received.event)

    def note_newest(self, channel: str, uid: str) -> None:
        """The history of a channel that is subscribed to was read; `uid` is empty when there was none."""
        if channel not in self._newest:
            self._noted.setdefault(channel, uid)

    def has_passed(self, channel: str, uid: str) -> bool:
        """Whether the publication is known to be the newest that was delivered, or to be older than the subscription.

        `uid` is empty when the history has none.
        """
        return self._newest.get(channel) == uid

    def note_passed(self, channel: str, uid: str) -> None:
        """All up to this publication was delivered, if it came after the subscription. `uid` may be empty."""
        self._newest.setdefault(channel, uid)
        self._noted.pop(channel, None)

    def forget(self, channel: str) -> None:
        """The channel is no longer subscribed to."""
        self._newest.pop(channel, None)
        self._noted.pop(channel, None)
        gap = self._gaps.pop(channel, None)
        if gap is not None:
            gap.closed.set()

    def lose(self, channels: Sequence[str], passed_at: float) -> None:
        """What is published in these channels does not arrive. All that was published before `passed_at` has arrived.

        `passed_at` is a time as time.monotonic() has it.
        """
        for channel in channels:
            if channel in self._newest or channel in self._noted:
                gap = self._gaps.get(channel)
                if gap is None:
                    gap = self._gaps[channel] = _Gap(channel, passed_at)
                gap.break_off()

    def regain(self, channel: str) -> None:
        """What is published in the channel arrives again."""
        gap = self._gaps.get(channel)
        if gap is not None:
            self._returned.append((gap, gap.breaks))
            self._arrived.set()

    def has_gap(self, channel: str) -> bool:
        """Whether publications of the channel are missing, or held until those are there."""
        return channel in self._gaps

    def wait_closed(self, channel: str, timeout: float) -> bool:
        """Wait until there is no gap in the channel, at most `timeout` seconds; whether there is none."""
        gap = self._gaps.get(channel)
        return gap is None or wait_for(gap.closed, timeout)

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            returned, self._returned = self._returned, []
            closed = left_open = 0
            for start in range(0, len(returned), BATCH):
                for is_complete in self._close(returned[start : start + BATCH]):
                    closed += is_complete
                    left_open += not is_complete
            if closed:
                log.info("%s: %d gaps in channels with a history closed", self._name, closed)
            if left_open:
                log.warning("%s: messages may be missing in %d channels", self._name, left_open)

    def _close(self, returned: Sequence[tuple[_Gap, int]]) -> list[bool]:
        """Close some gaps; for each that is closed now, whether nothing is missing."""
        lasting = [(gap, breaks) for gap, breaks in returned if self._lasts(gap, breaks)]
        histories = self._try_to_read(lasting)
        # What was published between the subscription and the reading is in the history, and comes by the connection
        # too. Only when that has come can it be told apart from what is newer.
        self._source.wait_until_passed()
        outcome = []
        for (gap, breaks), history in zip(lasting, histories, strict=True):
            if self._lasts(gap, breaks):
                outcome.append(self._release(gap, history))
                yield_if_due()
        return outcome

    def _lasts(self, gap: _Gap, breaks: int) -> bool:
        """Whether the channel is still subscribed to, by the connection on which it was regained."""
        return self._gaps.get(gap.channel) is gap and gap.breaks == breaks

    def _try_to_read(self, lasting: Sequence[tuple[_Gap, int]]) -> Sequence[History | None]:
        """The histories of the channels of some gaps, as far as they could be read while one of the gaps lasts."""
        channels = [gap.channel for gap, _ in lasting]
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        for _ in range(ATTEMPTS):
            if not any(self._lasts(gap, breaks) for gap, breaks in lasting):
                break
            try:
                return self._source.read_histories(channels)
            except EngineError as error:
                log.debug("%s: catching up: %s", self._name, error)
                gevent.sleep(backoff.next_delay())
            except Exception:  # a bug must not hold back new publications
                log.exception("%s: the histories cannot be read", self._name)
                break
        return [None] * len(channels)

    def _release(self, gap: _Gap, history: History | None) -> bool:
        """Deliver what was missed and what was held, without a switch of greenlets; whether nothing is missing."""
        channel = gap.channel
        newest = self._newest.get(channel, self._noted.get(channel, ""))
        missed = history.since(newest) if history is not None else NOTHING
        late = [Received(publication, True) for publication in reversed(missed.publications)]
        uids = {publication.uid for publication in missed.publications}
        is_missing = not missed.complete and self._source.leave_gap(
            channel, None if history is None else len(late), time.monotonic() - gap.began
        )
        # What the history still has is delivered in its place there; what it has no longer, is older.
        for received in (*_without(gap.before, uids), *late, *_without(gap.held, uids)):
            self._deliver(channel, received)
        del self._gaps[channel]
        gap.closed.set()
        return not is_missing


def _without(held: Sequence[Received], uids: set[str]) -> list[Received]:
    """What is held, except the publications with these uids."""
    return [
        received for received in held if not (isinstance(received.event, Publication) and received.event.uid in uids)
    ]
