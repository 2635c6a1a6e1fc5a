"""The histories of the memory engine: the publications and positions of each channel, and idempotency keys.

No method blocks. Expired data is never returned, even before `free_expired` deletes it.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice

from ..app.model.events import OFFSET, Publication, StreamPosition
from .base import (
    ALL,
    IDEMPOTENCY_LIFETIME,
    HistoryFilter,
    HistoryOptions,
    PublishConditions,
    Stream,
    StreamRecovery,
    Suppressed,
    UnrecoverablePosition,
)

EPOCH_BYTES = 6
"""Random bytes of an epoch, so that two epochs of a channel are never equal, even after a restart of the process."""


_new = tuple.__new__
"""Creates a named tuple from its fields, in half of the time that its own constructor takes."""


class ExpiryQueue:
    """A heap of expiry times with one valid entry for each channel, so that a sweep visits only expired channels."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, str]] = []
        self._noted: dict[str, float] = {}
        """The time of the valid entry of each channel. Other entries of the channel are later, and have no effect."""

    def note(self, channel: str, when: float) -> None:
        """Add an entry for `channel` at the time `when`, unless the channel has an entry that is not later.

        So when the sweep visits a channel that has not expired, it calls this again with the time of its expiry.
        """
        noted = self._noted.get(channel)
        if noted is None or when < noted:
            self._noted[channel] = when
            heappush(self._heap, (when, channel))

    def due(self, now: float) -> Iterator[str]:
        """Remove and yield the channels whose time has been reached."""
        while self._heap and self._heap[0][0] <= now:
            when, channel = heappop(self._heap)
            if self._noted.get(channel) == when:
                del self._noted[channel]
                yield channel


class ChannelStream:
    """The stream of one channel: the position of its newest publication, and the stored publications.

    The publications have consecutive offsets, and the newest one has the offset of the top.
    """

    __slots__ = ("epoch", "expires", "meta_expires", "offset", "stored", "version", "version_epoch")

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(EPOCH_BYTES)
        self.offset = 0
        self.stored: deque[Publication] | None = None
        """The stored publications, newest first; None if there are none, because an empty deque needs 0.7 KB.

        Its maximum length is the size of the history, so a new one displaces the oldest.
        """
        self.expires = 0.0
        """The time when the publications expire."""
        self.meta_expires = 0.0
        """The time when offset and epoch are deleted too; not before the publications expire."""
        self.version = 0
        self.version_epoch = ""

    @property
    def top(self) -> StreamPosition:
        """The position of the newest publication, even if it has expired."""
        return StreamPosition(self.offset, self.epoch)

    def append(self, publication: Publication) -> tuple[Publication, StreamPosition]:
        """Assign the next position to a publication, and add it to the stored ones if there are any.

        Returns it with its position, and the position.
        """
        self.offset = offset = self.offset + 1
        position = _new(StreamPosition, (offset, self.epoch))
        placed = _new(Publication, publication[:OFFSET] + position)
        if self.stored is not None:
            self.stored.appendleft(placed)
        return placed, position

    def skip(self, count: int) -> list[StreamPosition]:
        """Assign the next `count` positions to publications that are not stored. Returns the positions."""
        first, epoch = self.offset + 1, self.epoch
        self.offset += count
        return [_new(StreamPosition, (offset, epoch)) for offset in range(first, first + count)]

    def keep_meta(self, until: float) -> None:
        """Keep offset and epoch at least until `until`, and at least as long as the publications."""
        if until < self.expires:
            until = self.expires
        if until > self.meta_expires:
            self.meta_expires = until

    def newest(self, count: int | None) -> list[Publication]:
        """Return the newest `count` publications, newest first; None returns all of them."""
        return [] if self.stored is None else list(islice(self.stored, count))

    def select(self, wanted: HistoryFilter) -> list[Publication]:
        """Return the publications that a filter selects, in the order of the filter."""
        count = 0 if self.stored is None else len(self.stored)
        first, last = self.offset - count + 1, self.offset
        if wanted.since is not None and wanted.reverse:
            last = min(last, wanted.since.offset - 1)
        elif wanted.since is not None:
            first = max(first, wanted.since.offset + 1)
        if wanted.limit != ALL and wanted.reverse:
            first = max(first, last - wanted.limit + 1)
        elif wanted.limit != ALL:
            last = min(last, first + wanted.limit - 1)
        if first > last or self.stored is None:
            return []
        selected = list(islice(self.stored, self.offset - last, self.offset - first + 1))
        return selected if wanted.reverse else selected[::-1]

    def has_reached(self, once: PublishConditions) -> bool:
        """Return whether a publication with the version of `once`, or a newer one, was published before."""
        if once.version_epoch and once.version_epoch != self.version_epoch:
            return False
        return once.version <= self.version


class MemoryHistory:
    """The streams of all channels; `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._streams: dict[str, ChannelStream] = {}
        self._expiry_queue = ExpiryQueue()
        """The times when the publications of channels expire."""
        self._meta_expiry_queue = ExpiryQueue()
        """The times when the streams of channels expire."""
        # The result for each idempotency key, oldest first: all are stored for the same time.
        self._results: OrderedDict[tuple[str, str], tuple[StreamPosition | None, float]] = OrderedDict()

    # -- publish

    def add(
        self, publication: Publication, options: HistoryOptions, is_active: bool
    ) -> tuple[Publication, StreamPosition | None]:
        """Store a publication. Returns it with its position, and the position.

        With the option `drop_inactive` it is not stored in an empty history while `is_active` is False. If there is a
        stream, it gets a position nevertheless, so that returning subscribers detect that they have missed it.
        """
        stream = self._prepare(publication.channel, options, is_active)
        return (publication, None) if stream is None else stream.append(publication)

    def add_unheard(self, publications: Sequence[Publication], options: HistoryOptions) -> list[StreamPosition | None]:
        """Store consecutive publications of one channel, which has no subscribers. Returns their positions.

        Has the effect of a call of `add` for each, but stores none that later ones would displace.
        """
        stream = self._prepare(publications[0].channel, options, is_active=False)
        if stream is None:
            return [None] * len(publications)
        kept = [] if stream.stored is None else publications[-options.size :]
        displaced = stream.skip(len(publications) - len(kept))
        return [*displaced, *[stream.append(publication)[1] for publication in kept]]

    def _prepare(self, channel: str, options: HistoryOptions, is_active: bool) -> ChannelStream | None:
        """Return the stream to which the next publications of a channel are appended, with new expiry times.

        If its `stored` is None they get positions and are not stored. Returns None if they do not even get positions.
        """
        now = self._clock()
        stream = self._find(channel, now)
        stored = None if stream is None else stream.stored
        if stored is None and options.drop_inactive and not is_active:
            if stream is None:
                return None
        else:
            stream = stream or self._create(channel, now)
            expires = now + options.lifetime
            if stored is None or expires < stream.expires:  # a reload can make the lifetime shorter
                self._expiry_queue.note(channel, expires)
            stream.expires = expires
            if stored is None or stored.maxlen != options.size:  # a reload can change the size
                stream.stored = deque(islice(stored or (), options.size), options.size)
        stream.keep_meta(now + options.meta_lifetime)
        return stream

    def earlier_result(self, channel: str, once: PublishConditions, is_stored: bool) -> Suppressed | None:
        """Return the result of an earlier publish if `once` forbids another one after it; None if it is allowed.

        Versions matter only for channels with a history.
        """
        now = self._clock()
        if once.key:
            result = self._results.get((channel, once.key))
            if result is not None and result[1] > now:
                return Suppressed(result[0])
        stream = self._find(channel, now)
        if is_stored and once.version > 0 and stream is not None and stream.has_reached(once):
            return Suppressed(stream.top)
        return None

    def note_result(self, channel: str, once: PublishConditions, position: StreamPosition | None) -> None:
        """Store the result of a publish for later calls of `earlier_result`."""
        now = self._clock()
        if once.key:
            self._results[channel, once.key] = (position, now + IDEMPOTENCY_LIFETIME)
            self._results.move_to_end((channel, once.key))
        stream = self._find(channel, now)
        if once.version > 0 and position is not None and stream is not None:
            stream.version, stream.version_epoch = once.version, once.version_epoch

    # -- look up

    def newest(self, channel: str, limit: int) -> list[Publication]:
        """Return the newest `limit` publications, newest first; 0 returns all of them."""
        stream = self._find(channel, self._clock())
        return [] if stream is None else stream.newest(limit or None)

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """Implement `HistoryReader.stream` without blocking."""
        stream = self._find_or_create(channel, meta_lifetime)
        if wanted.since is not None and wanted.since.epoch not in ("", stream.epoch):
            raise UnrecoverablePosition
        return Stream(stream.select(wanted), stream.top)

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        """Implement `HistoryStore.recover_since` without blocking."""
        stream = self._find_or_create(channel, meta_lifetime)
        missed = stream.offset - position.offset
        available = 0 if stream.stored is None else len(stream.stored)
        if limit != ALL:
            available = min(available, limit)
        if position.epoch not in ("", stream.epoch) or not 0 <= missed <= available:
            return StreamRecovery((), stream.top, False)
        return StreamRecovery(stream.newest(missed)[::-1], stream.top, True)

    def remove(self, channel: str) -> None:
        """Delete the history of a channel."""
        stream = self._find(channel, self._clock())
        if stream is not None:
            stream.stored = None

    # -- expiry

    def free_expired(self) -> Iterator[str]:
        """Delete expired data, channel by channel; yields the name of each channel."""
        now = self._clock()
        for channel in self._expiry_queue.due(now):
            stream = self._find(channel, now)
            if stream is not None and stream.stored is not None:
                self._expiry_queue.note(channel, stream.expires)
            yield channel
        for channel in self._meta_expiry_queue.due(now):
            stream = self._find(channel, now)
            if stream is not None:
                self._meta_expiry_queue.note(channel, stream.meta_expires)
            yield channel
        while self._results and next(iter(self._results.values()))[1] <= now:
            self._results.popitem(last=False)

    def _find_or_create(self, channel: str, meta_lifetime: float) -> ChannelStream:
        now = self._clock()
        stream = self._find(channel, now) or self._create(channel, now)
        stream.keep_meta(now + meta_lifetime)
        return stream

    def _create(self, channel: str, now: float) -> ChannelStream:
        """Create a stream, and add it to the expiry queue of streams."""
        stream = self._streams[channel] = ChannelStream()
        self._meta_expiry_queue.note(channel, now)
        return stream

    def _find(self, channel: str, now: float) -> ChannelStream | None:
        stream = self._streams.get(channel)
        if stream is None:
            return None
        if stream.stored is not None and stream.expires <= now:
            stream.stored = None
        if stream.meta_expires <= now and stream.stored is None:
            del self._streams[channel]
            return None
        return stream
