"""The engine that connects nodes through Redis: through one or more servers, each for a part of the channels.

Formats, names and guarantees: docs/redis.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby

import gevent
import hiredis

from ...app.model.events import Event, Publication, RawClientInfo, StreamPosition
from ...app.runtime.yielding import iterate_yielding
from ..base import (
    Engine,
    EngineError,
    EngineHandler,
    HistoryFilter,
    HistoryOptions,
    OccupancyHandler,
    PublishConditions,
    PublishEffect,
    PublishItem,
    PublishOutcome,
    Recovery,
    Stream,
    StreamRecovery,
)
from ..health import ServerFigures
from . import commands
from .api_queues import APIQueues
from .codec import SkipLog, decode_presence, encode_event, encode_presence_entry, presence_pairs
from .connection import RedisCommand
from .jump import bucket
from .keys import Keys
from .permissions import explain_error
from .scripts import ADD_PRESENCE, COUNT_PRESENCE, REMOVE_PRESENCE
from .settings import RedisSettings
from .shard import ECHO_LIMIT, Shard
from .streams import effect_of, recovery_of, stream_of


class RedisEngine(Engine):
    """Stores everything in Redis; only the subscriptions of this node are kept in the process."""

    name = "redis"

    def __init__(self, settings: RedisSettings) -> None:
        self._keys = keys = Keys(settings.prefix)
        self._timeouts = settings.timeouts
        self._shards = [
            Shard(shard, keys, settings.timeouts, carries_control=number == 0)
            for number, shard in enumerate(settings.shards)
        ]
        self.group = f"{settings.prefix} in {', '.join(shard.name for shard in self._shards)}"
        self.queue = APIQueues(self._shards, settings.api_queues) if settings.api else None
        self._skipped = SkipLog()

    # -- life

    def start(self, handler: EngineHandler) -> None:
        """Connect, waiting at most for the connect timeout. Retries in the background until connected."""
        deadline = time.monotonic() + self._timeouts.connect
        for shard in self._shards:
            shard.start(handler)
        for shard in self._shards:
            for link in (shard.pipeline, shard.subscriber):
                link.wait_ready(max(deadline - time.monotonic(), 0))

    def stop(self) -> None:
        """Release all resources. A second call does nothing."""
        for shard in self._shards:
            shard.stop()

    def servers(self) -> list[ServerFigures]:
        """Return what this node knows of its Redis servers. Does not block."""
        return [shard.figures() for shard in self._shards]

    def enable_occupancy_events(self, handler: OccupancyHandler, longest: float) -> None:
        """Report occupancy to `handler`. Must be called before `start`."""
        for shard in self._shards:
            shard.enable_occupancy_events(handler, longest)

    @property
    def has_pending_notifications(self) -> bool:
        """Whether a report of occupancy is running or will be made immediately."""
        return any(shard.has_pending_notifications for shard in self._shards)

    # -- publish

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> PublishEffect:
        """Store a publication according to `history`, and send it to all subscribed nodes. Returns its position.

        Returns None without a history, and `Suppressed` if `once` does not allow it. Raises EngineError.
        """
        shard = self._shard(publication.channel)
        return effect_of(shard.publishing.ask(*commands.publish(self._keys, publication, history, once)))

    def publish_all(self, batch: Sequence[PublishItem]) -> list[PublishOutcome]:
        """Publish several publications, in order for each channel. Returns the position or the error of each."""
        outcome: list[PublishOutcome] = []
        for shard, run in groupby(batch, lambda item: self._shard(item[0].channel)):
            items = list(run)
            outcome += self._publish_run(shard, items, is_last=len(outcome) + len(items) == len(batch))
        return outcome

    def publish_event(self, event: Event) -> None:
        """Send a join or leave to the subscribers of its channel. Raises EngineError."""
        self._shard(event.channel).publish_and_wait(self._keys.channel(event.channel), encode_event(event))

    def publish_control(self, message: bytes) -> None:
        """Send a control message to all nodes. Raises EngineError."""
        first, *others = self._shards
        first.publish_and_wait(self._keys.control, message)
        if others:
            # What was published before in channels on the other servers has to arrive first.
            gevent.joinall([gevent.spawn(shard.wait_until_current) for shard in others], timeout=ECHO_LIMIT)

    def _publish_run(self, shard: Shard, items: list[PublishItem], is_last: bool) -> list[PublishOutcome]:
        """Publish the part of a batch that belongs to one shard, and wait until this node has received it.

        So the publications of one request arrive on this node in order, also in channels of several shards. The last
        part does not wait.
        """
        outcome = self._publish_in(shard, [commands.publish(self._keys, *item) for item in items])
        is_awaited = not is_last and any(shard.is_subscribed(publication.channel) for publication, *_ in items)
        if is_awaited and not isinstance(outcome[-1], EngineError):
            shard.wait_until_current()
        return outcome

    @staticmethod
    def _publish_in(shard: Shard, publishing: Sequence[RedisCommand]) -> list[PublishOutcome]:
        """Publish in one shard. Returns the position or the error of each publication."""
        try:
            replies = shard.publishing.ask_all(publishing)
        except EngineError as error:
            return [error] * len(publishing)
        return [
            EngineError(f"{shard.name}: {explain_error(reply, command)}")
            if isinstance(reply, hiredis.ReplyError)
            else effect_of(reply)
            for reply, command in zip(replies, publishing, strict=True)
        ]

    # -- subscribe

    def subscribe(self, channel: str) -> None:
        """Start receiving the events of a channel. Raises EngineError."""
        self._shard(channel).subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """Stop receiving the events of a channel. Raises EngineError."""
        self._shard(channel).unsubscribe(channel)

    def channels(self) -> list[str]:
        """List the channels with a subscriber on any node. Raises EngineError."""
        return [channel for shard in self._shards for channel in shard.channels()]

    # -- presence

    def add_presence(self, channel: str, client: str, info: RawClientInfo, expire: float) -> None:
        """Store that a client is in a channel, for `expire` seconds. Raises EngineError."""
        self._shard(channel).pipeline.ask(
            "EVALSHA",
            ADD_PRESENCE.sha,
            2,
            *self._keys.presence(channel),
            client,
            encode_presence_entry(info),
            commands.milliseconds(expire),
        )

    def remove_presence(self, channel: str, client: str) -> None:
        """Remove a client from the presence of a channel. Raises EngineError."""
        self._shard(channel).pipeline.ask("EVALSHA", REMOVE_PRESENCE.sha, 2, *self._keys.presence(channel), client)

    def presence(self, channel: str) -> dict[str, RawClientInfo]:
        """Return the clients in a channel, by client ID. Raises EngineError."""
        reply = self._shard(channel).pipeline.ask(*commands.presence(self._keys, channel))
        return decode_presence(iterate_yielding(presence_pairs(reply)), self._skipped)

    def count_presence(self, channel: str) -> int:
        """Return how many clients are in a channel. Raises EngineError."""
        ends, _ = self._keys.presence(channel)
        count: int = self._shard(channel).pipeline.ask("EVALSHA", COUNT_PRESENCE.sha, 1, ends)
        return count

    # -- history

    def history(self, channel: str, limit: int = 0) -> list[Publication]:
        """Return the newest `limit` publications, newest first; 0 returns all of them. Raises EngineError."""
        return self._shard(channel).history(channel, limit).publications

    def recover(self, channel: str, last: str) -> Recovery:
        """Return the publications after the one with the uid `last`. Raises EngineError."""
        return self._shard(channel).passed_history(channel).after(last)

    def stream(self, channel: str, wanted: HistoryFilter, meta_lifetime: float) -> Stream:
        """Return the publications that `wanted` selects, and the top.

        Raises EngineError and UnrecoverablePosition.
        """
        return stream_of(self._shard(channel).stream(channel, wanted, meta_lifetime), wanted)

    def recover_since(self, channel: str, position: StreamPosition, limit: int, meta_lifetime: float) -> StreamRecovery:
        """Return the publications after `position`, if none is missing and there are at most `limit`.

        Raises EngineError.
        """
        found = self._shard(channel).recover_since(channel, position, limit, meta_lifetime)
        return recovery_of(found, position)

    def remove_history(self, channel: str) -> None:
        """Delete the history of a channel; its stream continues. Raises EngineError."""
        self._shard(channel).pipeline.ask(*commands.remove_history(self._keys, channel))

    def _shard(self, channel: str) -> Shard:
        shards = self._shards
        return shards[0] if len(shards) == 1 else shards[bucket(channel, len(shards))]
