"""Channels of which publications may be missing here: whoever recovers is disconnected, and so comes back to recover.

A connection that stays open cannot be told of a gap: the protocol has no message for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import gevent

from ..model.errors import CLOSE_INSUFFICIENT_STATE, Disconnect
from .hub import Connection, Hub

log = logging.getLogger(__name__)


class MissedChannels:
    """Disconnects the subscribers of channels with the advice to reconnect. `close` may block."""

    def __init__(self, hub: Hub, close: Callable[[Sequence[Connection], Disconnect], None]) -> None:
        self._hub = hub
        self._close = close
        self._channels: set[str] = set()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def note(self, channel: str) -> None:
        """Publications of a channel with the option recover may be missing. Does not block.

        From now on its subscribers get nothing of it: with a newer message they would recover from there.
        """
        self._hub.mute(channel)
        self._channels.add(channel)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._disconnect)

    def stop(self) -> None:
        """Disconnect nobody any more."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def _disconnect(self) -> None:
        while self._channels:
            channels, self._channels = self._channels, set()
            connections = [open_ for open_ in self._hub.open if self._lacks(open_, channels)]
            if connections:
                log.warning(
                    "messages may be missing in %d channels that recover: disconnecting %d clients, which recover"
                    " when they reconnect",
                    len(channels),
                    len(connections),
                )
                self._close(connections, CLOSE_INSUFFICIENT_STATE)
        self._greenlet = None

    def _lacks(self, connection: Connection, channels: set[str]) -> bool:
        return any(self._hub.is_muted(channel, connection) for channel in connection.channels if channel in channels)
