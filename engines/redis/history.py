"""The history of a channel in Redis, for recovery by uid, and which part of it is certainly complete.

The epoch of each entry begins with the epoch of the server, which changes when the server is restarted or promoted
(lua/enter.lua). Such a server may have lost the last entries of the previous epoch, and nothing in the list shows the
gap. So only entries of the current epoch are known to have no gap between them, and a recovery is complete only within
these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...app.model.events import Publication
from ..base import Recovery
from .codec import SkipLog, Unreadable, decode_event
from .connection import RedisCommand
from .keys import Keys


class History(NamedTuple):
    """The entries that were read from the history of a channel."""

    publications: list[Publication]
    """Newest first."""
    complete: int
    """The number of publications, counted from the newest, that certainly have no gap between them."""

    @property
    def newest_uid(self) -> str:
        """Return the uid of the newest publication; empty if there is none."""
        return self.publications[0].uid if self.publications else ""

    def after(self, uid: str) -> Recovery:
        """Return the publications after `uid`; if it is not in the complete part, all of them, as incomplete."""
        for position, publication in enumerate(self.publications[: self.complete]):
            if publication.uid == uid:
                return Recovery(self.publications[:position], True)
        return Recovery(self.publications, False)

    def since(self, uid: str) -> Recovery:
        """Return the publications after `uid`, the newest one delivered on this node. `uid` is empty if there was none.

        If `uid` is no longer in the history, all publications of this epoch are newer, but some may be missing.
        """
        recovery = self.after(uid)
        if recovery.complete:
            return recovery
        newer = self.publications[: self.complete]
        return Recovery(newer, not uid and len(newer) == len(self.publications))


def read_commands(keys: Keys, channel: str, limit: int = 0) -> list[RedisCommand]:
    """Build the commands that read the newest `limit` entries; 0 reads all of them."""
    return [("HGET", keys.epoch, "id"), ("LRANGE", keys.stream(channel)[0], 0, limit - 1)]


def decode(channel: str, epoch: bytes | None, entries: Sequence[bytes], skipped: SkipLog) -> History:
    """Decode the replies to `read_commands`, newest first, up to the first unreadable entry, which is a gap."""
    publications: list[Publication] = []
    complete = 0
    current = epoch.decode() if epoch else None
    for entry in entries:
        try:
            event = decode_event(channel, entry).event
        except Unreadable as error:
            skipped.warn("a history", error)
            break
        if not isinstance(event, Publication):
            break
        if complete == len(publications) and current and event.epoch.startswith(current):
            complete += 1
        publications.append(event)
    return History(publications, complete)
