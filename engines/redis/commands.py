"""The commands to Redis that both nodes and other programs use."""

from __future__ import annotations

from functools import lru_cache

from ...app.model.events import Publication
from ..base import IDEMPOTENCY_LIFETIME, MAX_VERSION, HistoryOptions, PublishConditions
from .codec import encode_publication, encode_unplaced
from .connection import RedisCommand
from .keys import Keys
from .scripts import PRESENCE, PUBLISH_AND_KEEP

VERSION_DIGITS = len(str(MAX_VERSION))
"""Digits of a version in Redis: with leading zeros, the order of the texts is that of the numbers."""


def publish(
    keys: Keys, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
) -> RedisCommand:
    """Build the command that publishes a publication, and stores it according to `history`, if `once` allows it."""
    channel = publication.channel
    if history is None and once is None:
        return "PUBLISH", keys.channel(channel), encode_publication(publication)
    stream, top = keys.stream(channel)
    encoded = encode_unplaced(publication, history is not None)
    arguments = _arguments_of(history)
    if once is None:
        return "EVALSHA", PUBLISH_AND_KEEP.sha, "3", stream, top, keys.epoch, keys.channel(channel), encoded, *arguments
    conditions = (
        milliseconds(IDEMPOTENCY_LIFETIME) if once.key else 0,
        f"{once.version:0{VERSION_DIGITS}}" if once.version > 0 else "",
        once.version_epoch,
    )
    names = (stream, top, keys.epoch, keys.result(channel, once.key))
    return "EVALSHA", PUBLISH_AND_KEEP.sha, 4, *names, keys.channel(channel), encoded, *arguments, *conditions


@lru_cache(maxsize=1000)
def _arguments_of(history: HistoryOptions | None) -> tuple[bytes, ...]:
    """Encode the options of a history for the script; cached, because most channels have the same options."""
    size, lifetime, drop_inactive, meta_lifetime = history or HistoryOptions(0, 0)
    numbers = size, milliseconds(lifetime), milliseconds(max(meta_lifetime, lifetime)), int(drop_inactive)
    return tuple(b"%d" % number for number in numbers)


def remove_history(keys: Keys, channel: str) -> RedisCommand:
    """Build the command that deletes the history of a channel, but not the top of its stream."""
    return "DEL", keys.stream(channel)[0]


def presence(keys: Keys, channel: str) -> RedisCommand:
    """Build the command that looks up the clients in a channel; the reply alternates client ids and presence."""
    return "EVALSHA", PRESENCE.sha, 2, *keys.presence(channel)


def channels(keys: Keys) -> RedisCommand:
    """Build the command that lists the pub/sub channels of all channels with a subscriber."""
    return "PUBSUB", "CHANNELS", keys.channel_pattern


def milliseconds(seconds: float) -> int:
    """Convert seconds to milliseconds, at least one, because Redis does not accept 0."""
    return max(int(seconds * 1000), 1)
