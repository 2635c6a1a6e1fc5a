"""The calls with which an application reaches the clients of its server: the commands of docs/api.md as methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .backend import Backend, ClientInfo, HistoryMessage


class Calls(ABC):
    """Every call returns when the engine has accepted it, and reaches all nodes.

    Each raises CommandError when the server rejects it or the engine fails, and RuntimeError when it is not clear
    which application is meant, and where no server can run. A `user` is a text or a number; anything else is a
    TypeError. An empty channel or user is a ValueError, except that `unsubscribe` without a channel means all.
    """

    def publish(self, channel: str, data: Any, client: str = "", uid: str = "") -> None:
        """Publish `data`, anything that JSON can express, to a channel. Raises TypeError for other data."""
        self._backend.publish(channel, data, client, uid)

    def broadcast(self, channels: Sequence[str], data: Any, client: str = "") -> None:
        """Publish the same data to several channels. All are tried; CommandError tells the first rejection."""
        self._backend.broadcast(channels, data, client)

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The subscribers of a channel, by client id."""
        return self._backend.presence(channel)

    def history(self, channel: str) -> list[HistoryMessage]:
        """The history of a channel, newest first."""
        return self._backend.history(channel)

    def channels(self) -> list[str]:
        """The names of all channels that have a subscriber, on any node."""
        return self._backend.channels()

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """Unsubscribe a user from a channel, or from all channels."""
        self._backend.unsubscribe(user, channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user."""
        self._backend.disconnect(user)

    def stats(self) -> dict[str, Any]:
        """The statistics of all nodes (docs/stats.md)."""
        return self._backend.stats()

    @property
    @abstractmethod
    def _backend(self) -> Backend:
        """Carries out the commands. Raises RuntimeError where there is none."""
