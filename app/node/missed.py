"""Makes clients recover in channels whose publications may be missing on this node.

A client of version 1 is disconnected, because its protocol has no message for this. A client of version 2 is
unsubscribed with a code that makes it resubscribe.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from ..runtime.background import BackgroundLoop
from .hub import Hub, OpenConnection

log = logging.getLogger(__name__)


class MissedChannels(BackgroundLoop):
    """Makes the subscribers of channels recover. `spread` calls a function for each connection, over some time."""

    def __init__(
        self, hub: Hub, spread: Callable[[Sequence[OpenConnection], Callable[[OpenConnection], None]], None]
    ) -> None:
        super().__init__("missed messages")
        self._hub = hub
        self._spread = spread
        self._channels: set[str] = set()

    def note(self, channel: str, only_positioned: bool = False) -> None:
        """Record that publications of a channel may be missing. Does not block.

        Subscribers of the channel, or only those with positions, receive nothing more from it, because after a newer
        message they would recover only the messages after that one.
        """
        if not self._hub.mute(channel, only_positioned):
            return
        self._channels.add(channel)
        self.start()

    def _has_work(self) -> bool:
        return bool(self._channels)

    def _step(self) -> None:
        channels, self._channels = self._channels, set()
        try:
            self._end_subscriptions(channels)
        except Exception:
            self._channels |= channels  # their subscribers receive nothing until they recover
            raise

    def _end_subscriptions(self, channels: set[str]) -> None:
        connections = [open_ for open_ in self._hub.open if self._affected_channels(open_, channels)]
        if connections:
            log.warning(
                "messages may be missing in %d channels: ending subscriptions of %d clients, which then recover",
                len(channels),
                len(connections),
            )
            self._spread(connections, partial(self._recover, channels))

    def _recover(self, channels: set[str], connection: OpenConnection) -> None:
        for channel in self._affected_channels(connection, channels):
            connection.recover_again(channel)

    def _affected_channels(self, connection: OpenConnection, channels: set[str]) -> list[str]:
        return [name for name in connection.channels if name in channels and self._hub.is_muted(name, connection)]
