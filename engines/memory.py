"""The engine of a single process: all data is in its memory, and is lost when the process ends.

No call blocks, so other greenlets cannot run during a call, with two exceptions that yield between two pieces of work:
`publish_all`, and the sweep, because 100,000 channels that expire together take half a second.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from ..app.model.events import Event, Publication, RawClientInfo, StreamPosition
from ..app.runtime.background import PeriodicTask
from ..app.runtime.yielding import iterate_yielding, yield_if_due
from .base import (
    Engine,
    EngineHandler,
    HistoryFilter,
    HistoryOptions,
    OccupancyHandler,
    PublishConditions,
    PublishEffect,
    PublishItem,
    PublishOutcome,
    Stream,
    StreamRecovery,
)
from .memory_history import ExpiryQueue, MemoryHistory
from .occupancy import LocalOccupancy

EXPIRY_INTERVAL = 1.0
"""Seconds between two sweeps that delete expired data. Expired data is never returned, also between two sweeps."""


class MemoryEngine(Engine):
    """Keeps all data in this process; `clock` is a monotonic clock in seconds.

    If `sweeps` is false, no greenlet deletes expired data: the data is never returned, but stays in memory.
    """

    name = "memory"
    joins_nodes = False

    def __init__(self, clock: Callable[[], float] = time.monotonic, sweeps: bool = True) -> None:
        self._clock = clock
        self._sweeps = sweeps
        self._handler: EngineHandler | None = None
        self._sweeper = PeriodicTask("memory engine", lambda: EXPIRY_INTERVAL, self.free_expired)
        self._subscribed: set[str] = set()
        self._occupancy: LocalOccupancy | None = None
        # Presence: channel -> client -> (info, expiry). A client that is added again moves to the end. So the clients
        # are in the order of their expiry, because the node uses the same lifetime for all.
        self._presence: dict[str, OrderedDict[str, tuple[RawClientInfo, float]]] = {}
        self._history = MemoryHistory(clock)
        self._presence_expiry_queue = ExpiryQueue()

    def start(self, handler: EngineHandler) -> None:
        """Start calling `handler` with events and control messages."""
        self._handler = handler
        if self._sweeps:
            self._sweeper.start()

    def stop(self) -> None:
        """Release all resources. A second call does nothing."""
        if self._occupancy is not None:
            self._occupancy.stop()
        self._handler = None
        self._sweeper.stop()

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        """Report occupancy to `handler`. Must be called before `start`."""
        self._occupancy = LocalOccupancy(self._subscribed, handler)

    @property
    def has_pending_notifications(self) -> bool:
        """Whether a report of occupancy is running or will be made immediately."""
        return self._occupancy is not None and self._occupancy.has_pending_notifications

    def may_have_subscribers(self, channel: str) -> bool:
        """Return whether this node is subscribed to a channel."""
        return channel in self._subscribed

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        """Store a publication according to `history`, and deliver it, if `once` allows it. Returns its position."""
        channel = publication.channel
        if once is not None:
            earlier = self._history.earlier_result(channel, once, is_stored=history is not None)
            if earlier is not None:
                return earlier
        is_subscribed = channel in self._subscribed
        position = None
        if history is not None:
            publication, position = self._history.add(publication, history, is_subscribed)
        if once is not None:
            self._history.note_result(channel, once, position)
        if is_subscribed and self._handler is not None:
            self._handler.handle_event(publication)
        return position

    def publish_all(self, batch: Sequence[PublishItem]) -> list[PublishOutcome]:
        """Publish a batch in order. Returns the result for each publication. Other greenlets may run between two."""
        outcomes: list[PublishOutcome] = []
        for run in iterate_yielding(self._runs(batch)):
            publication, history, once = run[0]
            if len(run) > 1 and history is not None:
                outcomes += self._history.add_unheard([item[0] for item in run], history)
            else:
                outcomes.append(self._try_to_publish(publication, history, once))
        return outcomes

    def _runs(self, batch: Sequence[PublishItem]) -> Iterator[Sequence[PublishItem]]:
        """Split a batch into single publications, and runs that are stored in one history and have no subscribers."""
        start = 0
        while start < len(batch):
            publication, history, once = batch[start]
            channel = publication.channel
            end = start + 1
            if history is not None and once is None and not self.may_have_subscribers(channel):
                while end < len(batch):
                    following, its_history, its_once = batch[end]
                    if its_history is not history or its_once is not None or following.channel != channel:
                        break
                    end += 1
            yield batch[start:end]
            start = end

    def publish_event(self, event: Event) -> None:
        """Send a join or leave to the subscribers of its channel."""
        if self._handler is not None and event.channel in self._subscribed:
            self._handler.handle_event(event)

    def publish_control(self, message: bytes) -> None:
        """Send a control message to all nodes."""
        if self._handler is not None:
            self._handler.handle_control(message)

    def subscribe(self, channel: str) -> None:
        """Start receiving the events of a channel."""
        self._subscribed.add(channel)
        if self._occupancy is not None:
            self._occupancy.note(channel)

    def unsubscribe(self, channel: str) -> None:
        """Stop receiving the events of a channel."""
        self._subscribed.discard(channel)
        if self._occupancy is not None:
            self._occupancy.note(channel)

    def channels(self) -> list[str]:
        """List the channels with a subscriber on any node."""
        return list(self._subscribed)

    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        """Store that a client is in a channel, for `expire` seconds."""
        clients = self._presence.setdefault(channel, OrderedDict())
        expires = self._clock() + expire
        clients[client] = (info, expires)
        clients.move_to_end(client)
        self._presence_expiry_queue.note(channel, expires)

    def remove_presence(self, channel: str, client: str) -> None:
        """Remove a client from the presence of a channel."""
        clients = self._presence.get(channel)
        if clients is not None:
            clients.pop(client, None)
            if not clients:
                del self._presence[channel]

    def presence(self, channel: str) -> dict[str, RawClientInfo]:
        """Return the clients in a channel, by client ID."""
        now = self._clock()
        clients = self._presence.get(channel)
        return {client: info for client, (info, expires) in clients.items() if expires > now} if clients else {}

    def count_presence(self, channel: str) -> int:
        """Return how many clients are in a channel."""
        now = self._clock()
        return sum(expires > now for _, expires in self._presence.get(channel, {}).values())

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        """Return the newest `limit` publications, newest first; 0 returns all of them."""
        return self._history.newest(channel, limit)

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """Return the publications that `wanted` selects, and the top of the stream. Raises UnrecoverablePosition."""
        return self._history.stream(channel, wanted, meta_lifetime)

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        """Return the publications after `position`, if none is missing and there are at most `limit`."""
        return self._history.recover_since(channel, position, limit, meta_lifetime)

    def remove_history(self, channel: str) -> None:
        """Delete the history of a channel; its stream continues."""
        self._history.remove(channel)

    def free_expired(self) -> None:
        """Delete all expired histories and presence; the sweep calls this once a second."""
        now = self._clock()
        for _ in self._history.free_expired():
            yield_if_due()
        for channel in self._presence_expiry_queue.due(now):
            self._free_expired_presence(channel, now)
            yield_if_due()

    def _free_expired_presence(self, channel: str, now: float) -> None:
        while clients := self._presence.get(channel):
            client, (_, expires) = next(iter(clients.items()))
            if expires > now:
                self._presence_expiry_queue.note(channel, expires)
                return
            self.remove_presence(channel, client)
