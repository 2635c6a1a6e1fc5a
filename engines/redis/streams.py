"""The stream of a channel in Redis: the commands that read a part of it, and their replies.

A position is valid only within its epoch. The epoch of a stream begins with the epoch of the server (lua/enter.lua), so
it changes with every restart and failover, and when the stream begins again after its top has expired.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...app.model.events import Publication, StreamPosition
from ..base import HistoryFilter, PublishEffect, Stream, StreamRecovery, Suppressed, UnrecoverablePosition
from .codec import SkipLog, Unreadable, decode_event
from .commands import milliseconds
from .connection import RedisCommand
from .keys import Keys
from .scripts import READ_STREAM

EPOCH_SIZE = 26
"""Bytes of an epoch in the text of a position; the offset follows."""
MAX_OFFSET = 2**53 - 1
"""The largest integer that Lua represents exactly. No stream becomes that long."""


class RedisStream(NamedTuple):
    """The decoded reply to `read_command` or `recover_command`."""

    top: StreamPosition
    newest_uid: str
    """The uid of the newest stored publication; empty if there is none, or if it was not requested."""
    is_valid: bool
    """Whether the requested position has the current epoch and, for recovery, no publication is missing after it."""
    publications: list[Publication]
    """The publications, newest first; empty if the position is invalid."""


def effect_of(reply: object) -> PublishEffect:
    """Decode the reply to a publish: a position, an array with that of a suppressed publish, or anything else."""
    return Suppressed(_position_of(reply[0])) if isinstance(reply, list) else _position_of(reply)


def _position_of(reply: object) -> StreamPosition | None:
    """Decode a position; None if the publication is not stored in a history."""
    if not isinstance(reply, bytes) or not reply:
        return None
    # This runs for each publication, and is faster than the constructor.
    return tuple.__new__(StreamPosition, (int(reply[EPOCH_SIZE:]), str(reply[:EPOCH_SIZE], "ascii")))


def read_command(
    keys: Keys, channel: str, wanted: HistoryFilter, meta_lifetime: float, with_newest: bool = False
) -> RedisCommand:
    """Build the command that reads the publications that `wanted` selects; with `with_newest`, the newest one too."""
    mode = "reverse" if wanted.reverse else "forward"
    return _command(keys, channel, wanted.since, wanted.limit, mode, meta_lifetime, with_newest)


def recover_command(
    keys: Keys, channel: str, position: StreamPosition, limit: int, meta_lifetime: float, with_newest: bool = False
) -> RedisCommand:
    """Build the command that reads all publications after a position, if there are at most `limit`."""
    return _command(keys, channel, position, limit, "recover", meta_lifetime, with_newest)


def _command(
    keys: Keys,
    channel: str,
    since: StreamPosition | None,
    limit: int,
    mode: str,
    meta_lifetime: float,
    with_newest: bool,
) -> RedisCommand:
    return (
        "EVALSHA",
        READ_STREAM.sha,
        3,
        *keys.stream(channel),
        keys.epoch,
        milliseconds(meta_lifetime),
        int(with_newest),
        "" if since is None else min(since.offset, MAX_OFFSET),
        "" if since is None else since.epoch,
        min(limit, MAX_OFFSET),
        mode,
    )


def decode_redis_stream(channel: str, reply: Sequence[Any], skipped: SkipLog) -> RedisStream:
    """Decode the reply to one of the commands. Unreadable publications are skipped."""
    epoch, offset, newest, is_valid, entries = reply
    top = StreamPosition(int(offset), epoch.decode())
    newest_publication = _decode(channel, newest, skipped) if newest else None
    publications = [publication for entry in entries if (publication := _decode(channel, entry, skipped)) is not None]
    uid = "" if newest_publication is None else newest_publication.uid
    return RedisStream(top, uid, bool(is_valid), publications)


def _decode(channel: str, entry: bytes, skipped: SkipLog) -> Publication | None:
    try:
        event = decode_event(channel, entry).event
    except Unreadable as error:
        skipped.warn("a history", error)
        return None
    return event if isinstance(event, Publication) else None


def stream_of(found: RedisStream, wanted: HistoryFilter) -> Stream:
    """Build the result of `HistoryReader.stream`. Raises UnrecoverablePosition."""
    if not found.is_valid:
        raise UnrecoverablePosition
    return Stream(found.publications if wanted.reverse else found.publications[::-1], found.top)


def recovery_of(found: RedisStream, position: StreamPosition) -> StreamRecovery:
    """Build the result of `HistoryStore.recover_since`.

    Redis has counted the entries. Each must also have the expected offset, and the epoch of the top. Entries of an
    earlier epoch, or that another program has changed, are not part of a recovery.
    """
    top, publications = found.top, found.publications[::-1]
    expected = range(position.offset + 1, top.offset + 1)
    recovered = (
        found.is_valid
        and [publication.offset for publication in publications] == list(expected)
        and all(publication.epoch == top.epoch for publication in publications)
    )
    return StreamRecovery(publications if recovered else (), top, recovered)
