"""The history of a channel as Redis holds it, for recovery by uid, and what of it is complete.

The epoch of each entry begins with that of the server in which it was added: one life of one server (lua/enter.lua).
A server that was restarted or promoted may lack the last entries of the epoch before, and nothing in the list shows
the hole. So only entries of the current epoch are known to have none between them, and a recovery is complete only
within these.
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
    """What was read of a channel's history."""

    publications: list[Publication]
    """Newest first."""
    complete: int
    """How many of them, from the newest on, certainly follow each other without a gap."""

    @property
    def newest_uid(self) -> str:
        """The uid of the newest publication; empty if there is none."""
        return self.publications[0].uid if self.publications else ""

    def after(self, uid: str) -> Recovery:
        """The publications after `uid`; all of them, and not complete, when it is not among the complete ones."""
        for position, publication in enumerate(self.publications[: self.complete]):
            if publication.uid == uid:
                return Recovery(self.publications[:position], True)
        return Recovery(self.publications, False)

    def since(self, uid: str) -> Recovery:
        """What came after `uid`, the newest that was delivered here, or empty if nothing was there then.

        When it is no longer there, all that this epoch has is newer, but something may be missing before that.
        """
        recovery = self.after(uid)
        if recovery.complete:
            return recovery
        newer = self.publications[: self.complete]
        return Recovery(newer, not uid and len(newer) == len(self.publications))


def read_commands(keys: Keys, channel: str, limit: int = 0) -> list[RedisCommand]:
    """What to ask for the newest `limit` entries, all of them when it is 0."""
    return [("HGET", keys.epoch, "id"), ("LRANGE", keys.stream(channel)[0], 0, limit - 1)]


def decode(channel: str, epoch: bytes | None, entries: Sequence[bytes], skipped: SkipLog) -> History:
    """The replies to `read_commands`. It ends before an entry that cannot be read: what is older follows a hole."""
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
