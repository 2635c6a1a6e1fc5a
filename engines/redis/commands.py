"""Commands to Redis that nodes and those who only publish have in common."""

from __future__ import annotations

from ...app.model.events import Publication
from ..base import HistoryOptions
from .codec import encode_publication
from .connection import RedisCommand
from .keys import Keys
from .scripts import PRESENCE, PUBLISH


def publish(keys: Keys, publication: Publication, history: HistoryOptions | None) -> RedisCommand:
    """Carries a publication to its subscribers, and keeps it as `history` says."""
    channel = publication.channel
    if history is None:
        return "PUBLISH", keys.channel(channel), encode_publication(publication, kept=False)
    return (
        "EVALSHA",
        PUBLISH.sha,
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
    """Asks who is in a channel; the reply has clients and who they are in turn."""
    return "EVALSHA", PRESENCE.sha, 2, *keys.presence(channel)


def channels(keys: Keys) -> RedisCommand:
    """Asks for the pub/sub channels of all channels that somebody is subscribed to."""
    return "PUBSUB", "CHANNELS", keys.channel_pattern


def milliseconds(seconds: float) -> int:
    """At least one, as Redis knows no shorter time."""
    return max(int(seconds * 1000), 1)
