"""The engine of a single process: everything is in its memory, and lost when the process ends.

No call blocks, so other greenlets cannot run in between. The sweep is the exception: it lets others run between two
channels, because 100,000 channels that expire together take half a second.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import islice

import gevent

from ..app.model.events import Event, Publication, RawClientInfo
from ..app.runtime.yielding import yield_if_due
from .base import Engine, EngineHandler, HistoryOptions, OccupancyHandler
from .occupancy import LocalOccupancy

EXPIRY_INTERVAL = 1.0
"""Seconds between two sweeps that delete expired data. Expired data is never returned, also between two sweeps."""


class _ChannelHistory:
    """The publications of one channel, newest first."""

    __slots__ = ("expires", "publications")

    def __init__(self) -> None:
        self.publications: deque[Publication] = deque()
        self.expires = 0.0

    def add(self, publication: Publication, size: int) -> None:
        self.publications.appendleft(publication)
        while len(self.publications) > size:
            self.publications.pop()


class _Agenda:
    """When each channel expires: a heap with one entry for a channel, so that a sweep looks only at expired ones."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._noted: set[str] = set()

    def note(self, channel: str, when: float) -> None:
        """Look at `channel` at `when`, unless it has an entry, which is for an earlier time."""
        if channel not in self._noted:
            self._noted.add(channel)
            heappush(self._heap, (when, channel))

    def due(self, now: float) -> Iterator[str]:
        """The channels whose time has come; each is removed as it is returned."""
        while self._heap and self._heap[0][0] <= now:
            channel = heappop(self._heap)[1]
            self._noted.remove(channel)
            yield channel


class MemoryEngine(Engine):
    """Keeps everything in this process; `clock` is a monotonic clock in seconds.

    With `sweeps` off, no greenlet deletes expired data: it is never returned, but it takes memory.
    """

    name = "memory"
    joins_nodes = False

    def __init__(self, clock: Callable[[], float] = time.monotonic, sweeps: bool = True) -> None:
        self._clock = clock
        self._sweeps = sweeps
        self._handler: EngineHandler | None = None
        self._sweeper: gevent.Greenlet[[], None] | None = None
        self._subscribed: set[str] = set()
        self._occupancy: LocalOccupancy | None = None
        # Presence: channel -> client -> (info, expiry). A client that is added again moves to the end. So the ones that
        # expire first stand first, because the node uses one lifetime for all.
        self._presence: dict[str, OrderedDict[str, tuple[RawClientInfo, float]]] = {}
        self._history: dict[str, _ChannelHistory] = {}
        self._presence_agenda = _Agenda()
        self._history_agenda = _Agenda()

    def start(self, handler: EngineHandler) -> None:
        self._handler = handler
        if self._sweeps:
            self._sweeper = gevent.spawn(self._sweep)

    def stop(self) -> None:
        if self._occupancy is not None:
            self._occupancy.stop()
        self._handler = None
        if self._sweeper is not None:
            self._sweeper.kill()
            self._sweeper = None

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        self._occupancy = LocalOccupancy(self._subscribed, handler)

    @property
    def has_pending_notifications(self) -> bool:
        return self._occupancy is not None and self._occupancy.has_pending_notifications

    def publish(self, publication: Publication, history: HistoryOptions | None) -> None:
        if history is not None:
            self._remember(publication, history)
        self.publish_event(publication)

    def publish_event(self, event: Event) -> None:
        if self._handler is not None and event.channel in self._subscribed:
            self._handler.handle_event(event)

    def publish_control(self, message: bytes) -> None:
        if self._handler is not None:
            self._handler.handle_control(message)

    def subscribe(self, channel: str) -> None:
        self._subscribed.add(channel)
        if self._occupancy is not None:
            self._occupancy.note(channel)

    def unsubscribe(self, channel: str) -> None:
        self._subscribed.discard(channel)
        if self._occupancy is not None:
            self._occupancy.note(channel)

    def channels(self) -> list[str]:
        return list(self._subscribed)

    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        clients = self._presence.setdefault(channel, OrderedDict())
        expires = self._clock() + expire
        clients[client] = (info, expires)
        clients.move_to_end(client)
        self._presence_agenda.note(channel, expires)

    def remove_presence(self, channel: str, client: str) -> None:
        clients = self._presence.get(channel)
        if clients is not None:
            clients.pop(client, None)
            if not clients:
                del self._presence[channel]

    def presence(self, channel: str) -> dict[str, RawClientInfo]:
        now = self._clock()
        clients = self._presence.get(channel)
        return {client: info for client, (info, expires) in clients.items() if expires > now} if clients else {}

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        kept = self._unexpired_history(channel)
        if kept is None:
            return []
        return list(islice(kept.publications, limit or None))

    def _remember(self, publication: Publication, options: HistoryOptions) -> None:
        channel = publication.channel
        kept = self._unexpired_history(channel)
        if kept is None:
            if options.drop_inactive and channel not in self._subscribed:
                return
            kept = self._history[channel] = _ChannelHistory()
        kept.add(publication, options.size)
        kept.expires = self._clock() + options.lifetime
        self._history_agenda.note(channel, kept.expires)

    def _unexpired_history(self, channel: str) -> _ChannelHistory | None:
        kept = self._history.get(channel)
        if kept is not None and kept.expires <= self._clock():
            del self._history[channel]
            return None
        return kept

    def _sweep(self) -> None:
        while True:
            gevent.sleep(EXPIRY_INTERVAL)
            self.free_expired()

    def free_expired(self) -> None:
        """Delete all expired history and presence; the sweep calls this once a second."""
        now = self._clock()
        for channel in self._history_agenda.due(now):
            kept = self._unexpired_history(channel)
            if kept is not None:
                self._history_agenda.note(channel, kept.expires)
            yield_if_due()
        for channel in self._presence_agenda.due(now):
            self._free_expired_presence(channel, now)
            yield_if_due()

    def _free_expired_presence(self, channel: str, now: float) -> None:
        while clients := self._presence.get(channel):
            client, (_, expires) = next(iter(clients.items()))
            if expires > now:
                self._presence_agenda.note(channel, expires)
                return
            self.remove_presence(channel, client)
