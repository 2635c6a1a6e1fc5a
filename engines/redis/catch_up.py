"""Delivers the publications that a broken subscription has missed, from the history.

It remembers the newest publication that arrived in each channel with a history. When the subscription is back, new
publications are held until the history has been read, so that the order is kept. Publications that are not in the
history, or no longer, are lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event as Signal

from ...app.model.events import Event, Publication
from ...app.runtime.yielding import yield_if_due
from ..base import EngineError, Recovery
from .codec import Received
from .history import History

log = logging.getLogger(__name__)

HISTORIES_PER_READ = 100
"""Channels whose history is read together."""
ATTEMPTS, PAUSE = 20, 0.25
"""How often, and how many seconds apart, to try to read the history before the gap is left open."""

NOTHING = Recovery((), False)
"""The missed publications when the history cannot be read."""

Read = Callable[[Sequence[str]], list[History]]


class CatchUp:
    """The channels of one shard. `read` reads histories and raises EngineError; `deliver` neither blocks nor raises."""

    def __init__(self, name: str, read: Read, deliver: Callable[[Event], None]) -> None:
        self._name = name
        self._read = read
        self._deliver = deliver
        self._newest: dict[str, str] = {}
        self._held: dict[str, list[Received]] = {}
        self._returned: list[str] = []
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
        if self._held and channel in self._held:
            self._held[channel].append(received)
            return
        if received.kept:
            assert isinstance(received.event, Publication)
            self._newest[channel] = received.event.uid
        self._deliver(received.event)

    def note_newest(self, channel: str, uid: str) -> None:
        """The history of a channel that is subscribed to was read; `uid` is empty when there was none."""
        self._newest.setdefault(channel, uid)

    def forget(self, channel: str) -> None:
        """The channel is no longer subscribed to."""
        self._newest.pop(channel, None)
        self._held.pop(channel, None)

    def lose(self, channels: Sequence[str]) -> None:
        """What is published in these channels does not arrive."""
        for channel in channels:
            if channel in self._newest:
                self._held.setdefault(channel, [])

    def regain(self, channel: str) -> None:
        """What is published in the channel arrives again."""
        if channel in self._held:
            self._returned.append(channel)
            self._arrived.set()

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            self._arrived.clear()
            channels, self._returned = self._returned, []
            open_gaps = 0
            for start in range(0, len(channels), HISTORIES_PER_READ):
                open_gaps += self._close(channels[start : start + HISTORIES_PER_READ])
            if channels:
                log.info("%s: %d gaps in channels with a history closed", self._name, len(channels) - open_gaps)
            if open_gaps:
                log.warning("%s: messages may be missing in %d channels", self._name, open_gaps)

    def _close(self, channels: Sequence[str]) -> int:
        """Close the gaps in some channels; how many stay open."""
        histories = self._try_to_read(channels)
        return sum(not self._release(channel, history) for channel, history in zip(channels, histories, strict=True))

    def _try_to_read(self, channels: Sequence[str]) -> Sequence[History | None]:
        for _ in range(ATTEMPTS):
            try:
                return self._read(channels)
            except EngineError as error:
                log.debug("%s: catching up: %s", self._name, error)
                gevent.sleep(PAUSE)
            except Exception:  # a bug must not hold back new publications
                log.exception("%s: the histories cannot be read", self._name)
                break
        return [None] * len(channels)

    def _release(self, channel: str, history: History | None) -> bool:
        """Deliver what was missed and what was held; whether nothing is missing."""
        held = self._held.pop(channel, None)
        if held is None:  # nobody is subscribed any more
            return True
        missed = history.since(self._newest.get(channel, "")) if history is not None else NOTHING
        delivered = set()
        for publication in reversed(missed.publications):
            delivered.add(publication.uid)
            self.handle(channel, Received(publication, True))
        for received in held:
            event = received.event
            if not (isinstance(event, Publication) and event.uid in delivered):
                self.handle(channel, received)
        yield_if_due()
        return missed.complete
