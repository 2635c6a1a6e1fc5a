"""The methods with which an application sends commands to its server (the commands of docs/api.md)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ..model.events import StreamPosition
from ..node.commands import PresenceStats
from .backend import Backend, ClientInfo, HistoryList


class Calls(ABC):
    """Commands for the server of an application. Each returns when the engine has accepted it, and reaches all nodes.

    All raise CommandError if the server rejects the command or the engine fails, and RuntimeError if the application
    is ambiguous or no server can run in this process. A `user` is a string or a number, otherwise TypeError is raised.
    An empty channel or user raises ValueError, but `unsubscribe` without a channel means all channels.
    """

    def publish(
        self,
        channel: str,
        data: Any,
        client: str = "",
        uid: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        skip_history: bool = False,
    ) -> StreamPosition | None:
        """Publish `data` to a channel. Raises TypeError for data that cannot be encoded as JSON.

        Returns offset and epoch of the message, or None if it is not kept in a history. With an `idempotency_key` that
        was used in this channel within 5 minutes, nothing is published, and the first position is returned.
        """
        return self._backend.publish(
            channel, data, client, uid, tags=tags, idempotency_key=idempotency_key, skip_history=skip_history
        )

    def broadcast(
        self,
        channels: Sequence[str],
        data: Any,
        client: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        skip_history: bool = False,
    ) -> list[StreamPosition | None]:
        """Publish the same data to several channels. All are tried; CommandError has the first error.

        Returns what `publish` returns, for each channel.
        """
        return self._backend.broadcast(
            channels, data, client, tags=tags, idempotency_key=idempotency_key, skip_history=skip_history
        )

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The subscribers of a channel, by client id."""
        return self._backend.presence(channel)

    def presence_stats(self, channel: str) -> PresenceStats:
        """The number of subscribers of a channel, and of their users."""
        return self._backend.presence_stats(channel)

    def history(
        self,
        channel: str,
        limit: int | None = None,
        since: StreamPosition | tuple[int, str] | None = None,
        reverse: bool | None = None,
    ) -> HistoryList:
        """The history of a channel, newest first, and its `position`: offset and epoch of the newest message.

        At most `limit` messages. With `since`, a position, those after it, oldest first; with `since` and `reverse`
        those before it, newest first. Raises CommandError if the messages after a position cannot be known any more.
        """
        return self._backend.history(channel, limit, since, reverse)

    def history_remove(self, channel: str) -> None:
        """Delete the messages of a channel's history. The next message has the next offset."""
        self._backend.history_remove(channel)

    def channels(self) -> list[str]:
        """The names of all channels that have a subscriber, on any node."""
        return self._backend.channels()

    def subscribe(self, user: str | int, channel: str, *, client: str = "", data: Any = None, info: Any = None) -> None:
        """Subscribe all connections of a user to a channel, or with `client` the one with this id.

        The client receives `data` with the subscription. Subscribers of the channel see `info` of it. Clients of
        protocol v1 are not subscribed. Raises TypeError for values that cannot be encoded as JSON.
        """
        self._backend.subscribe(user, channel, client, data, info)

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """Unsubscribe a user from a channel, or from all channels."""
        self._backend.unsubscribe(user, channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user."""
        self._backend.disconnect(user)

    def send(self, user: str | int | None, data: Any, *, client: str = "") -> None:
        """Send `data` to all connections of a user, or with `client` to the one with this id. It belongs to no channel.

        With None as the user, only `client` selects. Clients of protocol v1 receive nothing. Raises TypeError for data
        that cannot be encoded as JSON, and ValueError when neither is given.
        """
        self._backend.send(user, data, client)

    def stats(self) -> dict[str, Any]:
        """The statistics of all nodes (docs/stats.md)."""
        return self._backend.stats()

    @property
    @abstractmethod
    def _backend(self) -> Backend:
        """The backend that executes the commands. Raises RuntimeError if there is none."""
