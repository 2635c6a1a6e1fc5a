"""Commands to Redis that nodes and programs that are not nodes have in common."""

from __future__ import annotations

from ...app.model.events import Publication
from ..base import HistoryOptions
from .codec import encode_publication
from .connection import RedisCommand
from .keys import Keys
from .scripts import PRESENCE, PUBLISH_AND_KEEP


def publish(keys: Keys, publication: Publication, history: HistoryOptions | None) -> RedisCommand:
    """Carries a publication to its subscribers, and keeps it as `history` says."""
    channel = publication.channel
    if history is None:
        return "PUBLISH", keys.channel(channel), encode_publication(publication, kept=False)
    return (
        "EVALSHA",
        PUBLISH_AND_KEEP.sha,
        2,
        keys.history(channel),
        keys.epoch,
        keys.channel(channel),
        encode_publication(publication, kept=True),
        history.size,
        milliseconds(history.lifetime),
        int(history.drop_inactive),
    )


def presence(keys: Keys, channel: str) -> RedisCommand:
    """Looks up the clients in a channel; the reply alternates client ids and encoded presence."""
    return "EVALSHA", PRESENCE.sha, 2, *keys.presence(channel)


def channels(keys: Keys) -> RedisCommand:
    """Lists the pub/sub channels of all channels with a subscriber."""
    return "PUBSUB", "CHANNELS", keys.channel_pattern


def milliseconds(seconds: float) -> int:
    """At least one, as Redis knows no shorter time."""
    return max(int(seconds * 1000), 1)
