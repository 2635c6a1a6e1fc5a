"""Delivers publications from the history that were missed while a connection was broken.

It stores the newest publication that arrived in each channel with a history. After reconnecting, new publications
are held until the history has been read and the connection has received everything that was read. So each publication
is delivered once and in order. Publications that the history does not have are lost.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import gevent
from gevent.event import Event as Signal

from ...app.model.events import Event, Publication
from ...app.runtime.background import BackgroundLoop
from ...app.runtime.backoff import Backoff
from ...app.runtime.log_throttle import place_of
from ...app.runtime.running_clock import wait_for
from ...app.runtime.yielding import yield_if_due
from ..base import EngineError, Recovery
from .codec import Received
from .history import History

log = logging.getLogger(__name__)

CLOSED_TOGETHER = 100
"""Number of channels whose histories are read together."""
ATTEMPTS = 25
"""Maximum number of attempts to read a history, after which publications may be missing."""
INITIAL_DELAY, MAX_DELAY = 0.01, 0.25
"""Seconds between two of these attempts; see Backoff."""
MAX_KEPT_EVENTS = 1000
"""Maximum number of events of one channel that are kept from connections that broke before the gap was closed. Dropped
publications are read from the history later, if it still has them."""

NOTHING_MISSED = Recovery((), False)
"""The missed publications when the history cannot be read."""


class Source(Protocol):
    """The object from which a CatchUp reads histories, and to which it delivers."""

    def read_histories(self, channels: Sequence[str]) -> list[History]:
        """Read the histories of some channels. Raises EngineError."""

    def wait_until_passed(self) -> bool:
        """Wait until everything that was published before this call has been passed to `CatchUp.handle`.

        Returns False if the connection broke first.
        """

    def deliver(self, event: Event) -> None:
        """Pass an event to its subscribers. Neither blocks nor raises."""

    def report_open_gap(self, channel: str, found: int | None, seconds: float) -> bool:
        """Report a gap that stays open; see `EngineHandler.handle_missed`. Neither blocks nor raises."""


class _Gap:
    """The gap in one channel, from the moment when the connection breaks until nothing is missing."""

    __slots__ = ("before", "began", "breaks", "channel", "closed", "held")

    def __init__(self, channel: str, began: float) -> None:
        self.channel = channel
        self.began = began
        """The last time when everything published was known to have arrived, a value of time.monotonic()."""
        self.breaks = 0
        """How often the connection has broken; a history that was read before the last break cannot be used."""
        self.held: list[Received] = []
        """Events received on the current connection."""
        self.before: list[Received] = []
        """Events received on earlier connections since the gap began; older than all of `held`."""
        self.closed = Signal()

    def note_disconnected(self) -> None:
        """Record that the connection was lost, so that later events do not directly follow the held ones."""
        self.breaks += 1
        self.before.extend(self.held)
        del self.before[:-MAX_KEPT_EVENTS]
        self.held = []


class CatchUp(BackgroundLoop):
    """Detects and closes the gaps in the channels of one shard."""

    def __init__(self, name: str, source: Source) -> None:
        super().__init__(name)
        self._source = source
        # The newest publication that was delivered, or that the history had if nothing was delivered yet.
        self._newest: dict[str, str] = {}
        self._noted: dict[str, str] = {}
        self._gaps: dict[str, _Gap] = {}
        self._returned: list[tuple[_Gap, int]] = []
        self._arrived = Signal()

    def handle(self, channel: str, received: Received) -> None:
        """Deliver a received event, now or when the gap before it is closed."""
        if self._gaps and channel in self._gaps:
            self._gaps[channel].held.append(received)
        else:
            self._deliver(channel, received)

    def _deliver(self, channel: str, received: Received) -> None:
        if received.is_stored:
            assert isinstance(received.event, Publication)
            self._newest[channel] = received.event.uid
            if self._noted:
                self._noted.pop(channel, None)
        self._source.deliver(received.event)

    def note_newest(self, channel: str, uid: str) -> None:
        """Record the newest publication in the history of a subscribed channel; `uid` is empty if there is none."""
        if channel not in self._newest:
            self._noted.setdefault(channel, uid)

    def has_passed(self, channel: str, uid: str) -> bool:
        """Return whether a publication was delivered, or is older than the subscription, as far as is known.

        `uid` is empty if the history has no publication.
        """
        return self._newest.get(channel) == uid

    def note_passed(self, channel: str, uid: str) -> None:
        """Record that everything up to this publication, since the subscription, was delivered. `uid` may be empty."""
        self._newest.setdefault(channel, uid)
        self._noted.pop(channel, None)

    def forget(self, channel: str) -> None:
        """Remove a channel that is no longer subscribed to."""
        self._newest.pop(channel, None)
        self._noted.pop(channel, None)
        gap = self._gaps.pop(channel, None)
        if gap is not None:
            gap.closed.set()

    def open_gaps(self, channels: Sequence[str], passed_at: float) -> None:
        """Record that the subscriptions to these channels broke. Everything published before `passed_at` has arrived.

        `passed_at` is a value of time.monotonic().
        """
        for channel in channels:
            if channel in self._newest or channel in self._noted:
                gap = self._gaps.get(channel)
                if gap is None:
                    gap = self._gaps[channel] = _Gap(channel, passed_at)
                gap.note_disconnected()

    def note_resubscribed(self, channel: str) -> None:
        """Record that the subscription to a channel has been restored."""
        gap = self._gaps.get(channel)
        if gap is not None:
            self._returned.append((gap, gap.breaks))
            self._arrived.set()

    def has_gap(self, channel: str) -> bool:
        """Return whether publications of the channel are missing, or are held until the missing ones have been read."""
        return channel in self._gaps

    def wait_closed(self, channel: str, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the channel has no gap. Returns whether it has none."""
        gap = self._gaps.get(channel)
        return gap is None or wait_for(gap.closed, timeout)

    def _step(self) -> None:
        self._arrived.wait()
        outcome: Counter[bool] = Counter()
        while self._returned:
            returned = self._returned[:CLOSED_TOGETHER]
            outcome.update(self._close(returned))
            del self._returned[: len(returned)]
        self._arrived.clear()
        if outcome[True]:
            log.info("%s: recovered missed messages from the history of %d channels", self._name, outcome[True])
        if outcome[False]:
            log.warning("%s: messages may be missing in %d channels", self._name, outcome[False])

    def _close(self, returned: Sequence[tuple[_Gap, int]]) -> list[bool]:
        """Close some gaps. Returns for each closed gap whether nothing is missing."""
        lasting = [(gap, breaks) for gap, breaks in returned if self._is_current(gap, breaks)]
        histories = self._try_to_read(lasting)
        # What was published between the subscription and the reading is in the history, and arrives on the connection
        # too. Only after it has arrived can it be distinguished from newer publications.
        self._source.wait_until_passed()
        outcome = []
        for (gap, breaks), history in zip(lasting, histories, strict=True):
            if self._is_current(gap, breaks):
                outcome.append(self._release(gap, history))
                yield_if_due()
        return outcome

    def _is_current(self, gap: _Gap, breaks: int) -> bool:
        """Return whether the channel is still subscribed to, on the same connection as when the closing began."""
        return self._gaps.get(gap.channel) is gap and gap.breaks == breaks

    def _try_to_read(self, lasting: Sequence[tuple[_Gap, int]]) -> Sequence[History | None]:
        """Read the histories of the channels of some gaps. Returns None for each that could not be read."""
        channels = [gap.channel for gap, _ in lasting]
        backoff = Backoff(INITIAL_DELAY, MAX_DELAY)
        for _ in range(ATTEMPTS):
            if not any(self._is_current(gap, breaks) for gap, breaks in lasting):
                break
            try:
                return self._source.read_histories(channels)
            except EngineError as error:
                log.debug("%s: cannot read histories, retrying: %s", self._name, error)
                gevent.sleep(backoff.next_delay())
            except Exception:  # a bug must not hold back new publications
                log.exception("%s: cannot read histories: internal error", self._name)
                break
        return [None] * len(channels)

    def _release(self, gap: _Gap, history: History | None) -> bool:
        """Deliver missed and held events without switching greenlets. Returns whether nothing is missing."""
        channel = gap.channel
        newest = self._newest.get(channel, self._noted.get(channel, ""))
        missed = NOTHING_MISSED
        try:
            if history is not None:
                missed = history.since(newest)
            return missed.complete or not self._source.report_open_gap(
                channel, None if history is None else len(missed.publications), time.monotonic() - gap.began
            )
        finally:
            del self._gaps[channel]
            self._deliver_held(gap, missed)
            gap.closed.set()

    def _deliver_held(self, gap: _Gap, missed: Recovery) -> None:
        late = [Received(publication, True) for publication in reversed(missed.publications)]
        uids = {publication.uid for publication in missed.publications}
        # Events that the history still has are delivered in their place there; those that it does not have are older.
        for received in (*_without(gap.before, uids), *late, *_without(gap.held, uids)):
            try:
                self._deliver(gap.channel, received)
            except Exception as error:  # a bug must lose only this message
                self._exceptions.log(place_of(error), "%s: cannot handle a message", self._name, error=error)


def _without(held: Sequence[Received], uids: set[str]) -> list[Received]:
    """Return the held events, except the publications with these uids."""
    return [
        received for received in held if not (isinstance(received.event, Publication) and received.event.uid in uids)
    ]
