"""The position of this node in the stream of each channel, for subscribers that must receive all publications.

A gap is detected once for each channel and node, so a broadcast to subscribers with positions takes no longer than
another one. Independent of connections, without I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

from ..model.events import Publication, StreamPosition


class Step(Enum):
    """The relation of a publication to the current position: the next one, an old one, or one after a gap."""

    NEXT = "the next publication of the stream"
    OLD = "received before"
    GAP = "after a gap, or in another epoch"


def step(before: StreamPosition, publication: Publication) -> Step:
    """Compare a publication with the current position."""
    if publication.epoch != before.epoch or publication.offset > before.offset + 1:
        return Step.GAP
    return Step.NEXT if publication.offset == before.offset + 1 else Step.OLD


def continuation(before: StreamPosition, publications: Iterable[Publication]) -> list[Publication] | None:
    """Return the `publications` after a position, oldest first; None if one between them is missing.

    Publications without an offset, which are not stored in a history, are included.
    """
    following: list[Publication] = []
    for publication in publications:
        outcome = step(before, publication) if publication.offset else Step.NEXT
        if outcome is Step.GAP:
            return None
        if outcome is Step.NEXT:
            following.append(publication)
            before = position_after(before, publication)
    return following


def position_after(before: StreamPosition, *publications: Publication) -> StreamPosition:
    """Return the position that is reached after `publications`."""
    kept = [publication for publication in publications if publication.offset]
    return StreamPosition(kept[-1].offset, kept[-1].epoch) if kept else before


class LivePositions:
    """The positions up to which this node has received the channels that have subscribers with positions."""

    def __init__(self) -> None:
        self._reached: dict[str, StreamPosition] = {}

    def __contains__(self, channel: str) -> bool:
        return channel in self._reached

    @property
    def channels(self) -> Collection[str]:
        """The channels that are followed."""
        return self._reached.keys()

    def reached(self, channel: str) -> StreamPosition | None:
        """Return the position of the newest publication that this node has received.

        Returns None for a channel that is not followed.
        """
        return self._reached.get(channel)

    def follow(self, channel: str, position: StreamPosition) -> None:
        """Start following a channel at a position, up to which a subscriber has received it."""
        self._reached[channel] = position

    def advance(self, publication: Publication) -> Step:
        """Update the position of a followed channel with a publication. Returns its relation to the old position."""
        reached = self._reached[publication.channel]
        outcome = step(reached, publication)
        if outcome is not Step.OLD:
            self._reached[publication.channel] = StreamPosition(publication.offset, publication.epoch)
        return outcome

    def forget(self, channel: str) -> None:
        """Stop following a channel. Does nothing if it is not followed."""
        self._reached.pop(channel, None)
