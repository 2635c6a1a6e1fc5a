"""Detects publications that were lost at the end of a stream, in channels without new publications.

The offset of a publication shows whether others were lost before it. If the last publication of a channel is lost, no
later one shows that, so the positions of channels without new publications are compared with the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..model.errors import Refused
from ..model.events import StreamPosition
from ..runtime.background import PeriodicTask
from ..runtime.yielding import yield_if_due
from .positions import LivePositions

POSITION_CHECK_INTERVAL = 40.0
"""Seconds between two checks. Clients with positions are notified of a loss within twice this time."""


class PositionCheck(PeriodicTask):
    """Checks the followed channels. `top` looks up the top of a stream; `note` is called for a channel with a gap."""

    def __init__(
        self,
        positions: LivePositions,
        top: Callable[[str], StreamPosition],
        note: Callable[[str], None],
        interval: float = POSITION_CHECK_INTERVAL,
    ) -> None:
        super().__init__("position check", lambda: interval, self.check)
        self._positions = positions
        self._top = top
        self._note = note
        self._before: Mapping[str, StreamPosition | None] = {}

    def check(self) -> None:
        """Compare the channels without new publications since the last call with the engine."""
        now = {channel: self._positions.reached(channel) for channel in self._positions.channels}
        quiet = [channel for channel, position in now.items() if self._before.get(channel) == position]
        self._before = now
        for channel in quiet:
            self._check_channel(channel, now[channel])
            yield_if_due()

    def _check_channel(self, channel: str, before: StreamPosition | None) -> None:
        try:
            top = self._top(channel)
        except Refused:
            return  # logged where it failed; the next check retries
        # A publication that arrived during the call of the engine has advanced the position.
        if self._positions.reached(channel) == before != top:
            self._note(channel)
