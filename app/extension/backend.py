"""The commands of docs/api.md as Python calls, with Python values and without HTTP (docs/flask.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from ..model.errors import Error, Refused
from ..model.events import Publication, RawClientInfo, user_id
from ..model.json_codec import encode_value
from ..node.commands import Commands, PublishRequest
from ..protocol.v1.wire import decoded


class CommandError(Exception):
    """A command was not carried out; its text is the protocol's, such as `namespace not found`."""


class ClientInfo(NamedTuple):
    """Identity of a connection (user, client ID and info), as in presence and history; JSON is decoded."""

    user: str
    client: str
    default_info: Any = None
    """What its token says about it; None if nothing."""
    channel_info: Any = None
    """What the signature of its subscription says about it; None if nothing."""


class HistoryMessage(NamedTuple):
    """One message of a channel's history; its data is decoded JSON."""

    uid: str
    channel: str
    data: Any
    client: str = ""
    info: ClientInfo | None = None
    """Who published it, when a client did."""


class Backend:
    """Carries out commands. Every method raises CommandError when they are refused or the engine fails.

    A user is given by its id: text, or a number, which becomes text; TypeError is raised for anything else.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def publish(self, channel: str, data: Any, client: str = "", uid: str = "") -> None:
        """Publish `data`, anything that can be encoded as JSON, into a channel.

        Raises TypeError for data that JSON cannot hold, and ValueError for data nested deeper than 500 levels and for
        an empty channel.
        """
        encoded = encode_value(data)
        with _errors_translated():
            self._commands.publish(_named(channel), encoded, client, uid=uid)

    def broadcast(self, channels: Sequence[str], data: Any, client: str = "") -> None:
        """Publish the same data in several channels.

        All are tried; CommandError has the first error. Raises TypeError and ValueError as `publish` does, before
        anything is published.
        """
        encoded = encode_value(data)
        if isinstance(channels, str):
            raise TypeError("channels: expected a list of names, not a string; use publish for a single channel")
        messages = [PublishRequest(_named(channel), encoded, client) for channel in channels]
        outcomes = self._commands.publish_all(messages)
        refused = next((outcome for outcome in outcomes if isinstance(outcome, Error)), None)
        if refused is not None:
            raise CommandError(refused.text)

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        with _errors_translated():
            return {client: _client_info(info) for client, info in self._commands.presence(_named(channel)).items()}

    def history(self, channel: str) -> list[HistoryMessage]:
        """The history of a channel, newest first."""
        with _errors_translated():
            return [history_message(publication) for publication in self._commands.history(_named(channel))]

    def channels(self) -> list[str]:
        """The channels with a subscriber, on any node."""
        with _errors_translated():
            return self._commands.channels()

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """End a user's subscription on a channel, or on all channels, on every node."""
        with _errors_translated():
            self._commands.unsubscribe_user(_user(user), channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user, on every node."""
        with _errors_translated():
            self._commands.disconnect_user(_user(user))

    def stats(self) -> dict[str, Any]:
        """The state and the counters of all nodes (docs/stats.md)."""
        with _errors_translated():
            stats: dict[str, Any] = msgspec.to_builtins(self._commands.stats())
        return stats


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise CommandError(refused.error.text) from None


def _named(channel: str) -> str:
    if not channel:
        raise ValueError("channel is empty")
    return channel


def _user(user: object) -> str:
    if user == "":
        raise ValueError("user is empty")
    return user_id(user)


def history_message(publication: Publication) -> HistoryMessage:
    """A publication with Python values."""
    uid, channel, data, client, info = publication[:5]
    return HistoryMessage(uid, channel, decoded(data), client, _client_info(info) if info is not None else None)


def _client_info(info: RawClientInfo) -> ClientInfo:
    return ClientInfo(info.user, info.client, decoded(info.default_info), decoded(info.channel_info))
