"""The methods with which an application sends commands to its server (the commands of docs/api.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from .backend import Backend, ClientInfo, HistoryMessage


class Calls(ABC):
    """Commands for the server of an application. Each returns when the engine has accepted it, and reaches all nodes.

    All raise CommandError if the server rejects the command or the engine fails, and RuntimeError if the application
    is ambiguous or no server can run in this process. A `user` is a string or a number, otherwise TypeError is raised.
    An empty channel or user raises ValueError, but `unsubscribe` without a channel means all channels.
    """

    def publish(self, channel: str, data: Any, client: str = "", uid: str = "") -> None:
        """Publish `data` to a channel. Raises TypeError for data that cannot be encoded as JSON."""
        self._backend.publish(channel, data, client, uid)

    def broadcast(self, channels: Sequence[str], data: Any, client: str = "") -> None:
        """Publish the same data to several channels. All are tried; CommandError has the first error."""
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
        """The backend that executes the commands. Raises RuntimeError if there is none."""
