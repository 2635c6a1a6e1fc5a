"""Delivers publications to subscribers that must receive all of them, and makes them recover after a gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..model.events import Publication, StreamPosition
from .hub import Connection, Hub, OpenConnection
from .missed import MissedChannels
from .position_check import PositionCheck
from .positions import LivePositions, Step, continuation, position_after


class LiveStreams:
    """The streams of the channels that are followed on this node. No method blocks, except `stop`.

    `top` looks up the top of a stream; `spread` calls a function for each connection, over some time. Both may block.
    """

    def __init__(
        self,
        hub: Hub,
        top: Callable[[str], StreamPosition],
        spread: Callable[[Sequence[OpenConnection], Callable[[OpenConnection], None]], None],
    ) -> None:
        self._hub = hub
        self._missed = MissedChannels(hub, spread)
        self._positions = LivePositions()
        self._check = PositionCheck(self._positions, top, self._mark_incomplete)

    def start(self) -> None:
        """Start checking channels without new publications."""
        self._check.start()

    def stop(self) -> None:
        """Stop checking, and make no further clients recover. A second call does nothing."""
        self._check.stop()
        self._missed.stop()

    def deliver(self, publication: Publication) -> None:
        """Broadcast a publication. Subscribers with positions receive it only if it is the next one of the stream."""
        if not publication.offset or publication.channel not in self._positions:
            self._hub.broadcast(publication)
            return
        step = self._positions.advance(publication)
        if step is Step.GAP:
            self._missed.note(publication.channel, only_positioned=True)
        self._hub.broadcast(publication, to_positioned=step is Step.NEXT)

    def release(self, channel: str, connection: Connection, start: StreamPosition) -> list[Publication] | None:
        """Stop holding publications for a subscriber with positions that has received the stream up to `start`.

        Returns the publications after `start`, oldest first. Returns None if one is missing, and does not end the hold.
        """
        following = continuation(start, self._hub.held(channel, connection))
        if following is None:
            return None
        position, reached = position_after(start, *following), self._positions.reached(channel)
        if reached is not None and reached != position:
            if reached.epoch == position.epoch and reached.offset > position.offset:
                return None
            self._missed.note(channel, only_positioned=True)  # this node did not receive it, so all others lack it too
        self._positions.follow(channel, position)
        self._hub.release(channel, connection)
        return following

    def reached(self, channel: str) -> StreamPosition | None:
        """Return the position up to which live subscribers of a channel have received it; None if it is not followed.

        Those that are muted, because a publication is missing, have not received all of it.
        """
        return self._positions.reached(channel)

    def mark_incomplete(self, channel: str, only_positioned: bool) -> None:
        """Make the subscribers of a channel, or only those with positions, recover publications that may be missing."""
        self._missed.note(channel, only_positioned)

    def forget(self, channel: str) -> None:
        """Stop following a channel that has no subscribers."""
        self._positions.forget(channel)

    def _mark_incomplete(self, channel: str) -> None:
        self._positions.forget(channel)
        self._missed.note(channel, only_positioned=True)
