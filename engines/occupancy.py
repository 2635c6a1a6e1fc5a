"""Which channels have subscribers, told as it changes: for the engine of a single process."""

from __future__ import annotations

from collections.abc import Collection

from gevent.pool import Group

from .base import EngineHandler

STOP_LIMIT = 1.0
"""Seconds for what is still being told when the engine stops."""


class Occupancy:
    """Tells the handler when a channel enters `subscribed` or leaves it."""

    def __init__(self, subscribed: Collection[str]) -> None:
        self._subscribed = subscribed
        self._told: set[str] = set()
        """The channels that the handler takes for occupied."""
        self._telling: set[str] = set()
        self._greenlets = Group()
        self._handler: EngineHandler | None = None

    def start(self, handler: EngineHandler) -> None:
        """Begin to tell."""
        self._handler = handler

    def stop(self) -> None:
        """Tell what is left, within STOP_LIMIT."""
        self._greenlets.join(STOP_LIMIT)
        self._greenlets.kill()
        self._handler = None

    @property
    def is_telling(self) -> bool:
        """Whether something is being told, or waits for it."""
        return bool(self._telling)

    def note(self, channel: str) -> None:
        """A channel may have changed."""
        if channel not in self._telling:
            self._telling.add(channel)
            self._greenlets.spawn(self._tell, channel)

    def _tell(self, channel: str) -> None:
        while (is_occupied := channel in self._subscribed) != (channel in self._told):
            if is_occupied:
                self._told.add(channel)
            else:
                self._told.discard(channel)
            if self._handler is not None:
                self._handler.handle_occupancy(channel, is_occupied)
        self._telling.discard(channel)
