"""Which channels have subscribers, told as it changes: for the engine of a single process."""

from __future__ import annotations

from collections.abc import Collection

from gevent.event import Event
from gevent.pool import Group

from .base import EngineHandler

PAUSE = 5.0
"""Seconds until what could not be told is told again."""
STOP_LIMIT = 1.0
"""Seconds for what is still being told when the engine stops."""


class Occupancy:
    """Tells the handler when a channel enters `subscribed` or leaves it."""

    def __init__(self, subscribed: Collection[str]) -> None:
        self._subscribed = subscribed
        self._told: set[str] = set()
        """The channels that the handler takes for occupied."""
        self._telling: set[str] = set()
        self._paused = 0
        """How many of them wait to be told again."""
        self._greenlets = Group()
        self._stopping = Event()
        self._handler: EngineHandler | None = None

    def start(self, handler: EngineHandler) -> None:
        """Begin to tell."""
        self._handler = handler

    def stop(self) -> None:
        """Tell what is left within STOP_LIMIT, also what could not be told so far; the rest is never told."""
        self._stopping.set()
        self._greenlets.join(STOP_LIMIT)
        self._greenlets.kill()
        self._handler = None

    @property
    def is_telling(self) -> bool:
        """Whether something is being told, or is about to be; not what waits to be told again."""
        return len(self._telling) > self._paused

    def note(self, channel: str) -> None:
        """A channel may have changed."""
        if channel not in self._telling:
            self._telling.add(channel)
            self._greenlets.spawn(self._tell, channel)

    def _tell(self, channel: str) -> None:
        """Tell what has changed of a channel, until nothing has."""
        try:
            while (is_occupied := channel in self._subscribed) != (channel in self._told):
                if is_occupied:
                    self._told.add(channel)
                else:
                    self._told.discard(channel)
                self._deliver(channel, is_occupied)
        finally:  # whatever ends the handler, the next change is told
            self._telling.discard(channel)

    def _deliver(self, channel: str, is_occupied: bool) -> None:
        """Tell something until it could be told, as long as that takes."""
        while self._handler is not None and not self._handler.handle_occupancy(channel, is_occupied):
            if self._stopping.is_set():
                return
            self._paused += 1
            try:
                self._stopping.wait(PAUSE)
            finally:
                self._paused -= 1
