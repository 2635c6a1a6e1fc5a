"""The commands of docs/api.md as Python calls, with Python values and without HTTP (docs/flask.md)."""

from __future__ import annotations

import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, Self

import msgspec

from ...engines.base import ALL, HistoryFilter, PublishConditions
from ..model.errors import Error, Refused
from ..model.events import Publication, RawClientInfo, StreamPosition, user_id
from ..model.json_codec import decode_embedded, encode_argument
from ..model.payload import json_of
from ..model.subscription_options import SubscriptionOptions
from ..node.commands import PLAIN_PUBLISH, Commands, PresenceStats, PublishOptions, PublishRequest
from ..node.user_commands import AddSubscription, SendMessage

MAX_SHOWN_CHANNEL = 255
"""Maximum characters of a channel in the text of an error."""


class CommandError(Exception):
    """A command was not carried out. The text begins with that of the protocol, such as `namespace not found`."""

    def __init__(self, text: str, code: int = 0, detail: str = "") -> None:
        super().__init__(f"{text}: {detail}" if detail else text)
        self.text = text
        """The text of the protocol alone."""
        self.code = code
        """The code of the error for a test client of protocol v2; 0 otherwise."""


class ClientInfo(NamedTuple):
    """Identity of a connection (user, client ID and info), as in presence and history; JSON is decoded."""

    user: str
    client: str
    default_info: Any = None
    """The info of the connection, from its token or a hook; None for none."""
    channel_info: Any = None
    """The info of the subscription to the channel; None for none."""


class _Message(NamedTuple):
    """The fields of a HistoryMessage as a tuple, without tags and offset, which were added later."""

    uid: str
    channel: str
    data: Any
    client: str = ""
    info: ClientInfo | None = None


class HistoryMessage(_Message):
    """One message of a channel's history. Its data is decoded JSON. `info` is the client that published it, if any.

    As a tuple it has the five fields `uid`, `channel`, `data`, `client` and `info`.
    """

    tags: dict[str, str]
    """What the backend has published with it."""
    offset: int
    """Its number in the stream of the channel; 0 if it is not kept."""

    def __new__(
        cls,
        uid: str,
        channel: str,
        data: Any,
        client: str = "",
        info: ClientInfo | None = None,
        tags: Mapping[str, str] | None = None,
        offset: int = 0,
    ) -> Self:
        message = super().__new__(cls, uid, channel, data, client, info)
        message.tags = dict(tags or {})
        message.offset = offset
        return message


class HistoryList(list[HistoryMessage]):
    """The requested messages, and the position of the newest message of the channel."""

    def __init__(self, messages: Iterable[HistoryMessage], position: StreamPosition) -> None:
        super().__init__(messages)
        self.position = position
        """Offset and epoch; the offset is 0 before the first message."""


class Backend(ABC):
    """Commands for the server of an application. Each returns when the engine has accepted it, and reaches all nodes.

    All raise CommandError if the server rejects the command or the engine fails, and RuntimeError if the application
    is ambiguous or no server can run in this process. A `channel` is a string, and a `user` a string or a number,
    otherwise TypeError is raised. An empty channel or user raises ValueError, but `unsubscribe` without a channel means
    all channels.
    """

    @abstractmethod
    def _open_commands(self) -> AbstractContextManager[Commands]:
        """Return the commands of a server, for use in a `with` block. Raises RuntimeError if there is no server."""

    @contextmanager
    def _commands(self, channel: str = "") -> Iterator[Commands]:
        """Open the commands for a command about `channel`. Raises CommandError, with the channel in its text."""
        with self._open_commands() as commands:
            try:
                yield commands
            except Refused as refused:
                raise _command_error(refused, channel) from None

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
        """Publish `data` to a channel.

        Returns offset and epoch of the message, or None if it is not stored in a history. If the same `idempotency_key`
        was used in this channel within 5 minutes, nothing is published, and the earlier position is returned. Raises
        TypeError for bytes, for data that cannot be encoded as JSON and for tags that are not strings, and ValueError
        for data nested deeper than 500 levels.
        """
        encoded = encode_argument("data", data)
        options = _publish_options(tags, idempotency_key, skip_history)
        if not (isinstance(client, str) and isinstance(uid, str)):
            _require_texts(client=client, uid=uid)
        with self._commands(_require_channel(channel)) as commands:
            return commands.publish(channel, encoded, client, uid=uid, options=options)

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
        """Publish the same data to several channels. An error in one does not stop the others; the first is raised.

        Returns the result of `publish` for each channel. Raises CommandError, and TypeError and ValueError like
        `publish`, before anything is published.
        """
        encoded = encode_argument("data", data)
        if isinstance(channels, str):
            raise TypeError("channels: expected a list of names, not a string; use publish for a single channel")
        if isinstance(channels, Mapping) or not isinstance(channels, Iterable):
            raise TypeError(f"channels is {reprlib.repr(channels)}; expected a list of names")
        _require_texts(client=client)
        options = _publish_options(tags, idempotency_key, skip_history)
        requests = [PublishRequest(_require_channel(channel), encoded, client, options=options) for channel in channels]
        positions: list[StreamPosition | None] = []
        with self._open_commands() as commands:
            outcomes = commands.publish_all(requests)
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Error):
                raise _command_error(commands.rules.refusal(outcome, request.channel), request.channel)
            positions.append(outcome)
        return positions

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return the subscribers of a channel, by client ID."""
        with self._commands(_require_channel(channel)) as commands:
            return {client: _client_info(info) for client, info in commands.presence(channel).items()}

    def presence_stats(self, channel: str) -> PresenceStats:
        """Return the number of subscribers of a channel, and of their users."""
        with self._commands(_require_channel(channel)) as commands:
            return commands.presence_stats(channel)

    def history(
        self,
        channel: str,
        limit: int | None = None,
        since: StreamPosition | tuple[int, str] | None = None,
        reverse: bool | None = None,
    ) -> HistoryList:
        """Return the history of a channel, newest first, and its `position`: offset and epoch of the newest message.

        `limit` is the maximum number of messages; None for all, 0 for only the position. With a position as `since`, it
        returns the messages after it, oldest first; with `since` and `reverse` those before it, newest first. Raises
        CommandError if messages after the position may have been lost, and ValueError for a negative limit or offset.
        """
        newest_first = since is None if reverse is None else reverse
        wanted = HistoryFilter(_limit(limit), None if since is None else _position(since), newest_first)
        with self._commands(_require_channel(channel)) as commands:
            stream = commands.stream(channel, wanted)
        return HistoryList(map(history_message, stream.publications), stream.top)

    def history_remove(self, channel: str) -> None:
        """Delete the messages of a channel's history. The next message has the next offset."""
        with self._commands(_require_channel(channel)) as commands:
            commands.remove_history(channel)

    def channels(self) -> list[str]:
        """Return the names of all channels that have a subscriber, on any node."""
        with self._commands() as commands:
            return commands.channels()

    def subscribe(self, user: str | int, channel: str, client: str = "", data: Any = None, info: Any = None) -> None:
        """Subscribe all connections of a user to a channel, or with `client` only the one with this ID.

        `data` is sent to the client with the subscription, and `info` to the other subscribers of the channel. Has no
        effect on clients of protocol v1. Raises TypeError for values that cannot be encoded as JSON.
        """
        _require_texts(client=client)
        command = AddSubscription(
            user=_user(user),
            client=client,
            channel=_require_channel(channel),
            options=SubscriptionOptions(
                data=b"" if data is None else encode_argument("data", data),
                info=b"" if info is None else encode_argument("info", info),
            ),
        )
        with self._commands(channel) as commands:
            commands.carry_out(command)

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """Unsubscribe a user from a channel, or from all channels."""
        _require_texts(channel=channel)
        with self._commands(channel) as commands:
            commands.unsubscribe_user(_user(user), channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user."""
        with self._commands() as commands:
            commands.disconnect_user(_user(user))

    def send(self, user: str | int | None, data: Any, client: str = "") -> None:
        """Send `data`, without a channel, to all connections of a user, or with `client` only to the one with this ID.

        If the user is None or empty, only `client` selects the connection. Clients of protocol v1 receive nothing.
        Raises TypeError for data that cannot be encoded as JSON, and ValueError if both user and client are missing.
        """
        _require_texts(client=client)
        if user in (None, "") and not client:
            raise ValueError("user and client are empty")
        selected = "" if user is None else user_id(user)
        message = SendMessage(selected, client, data=encode_argument("data", data))
        with self._commands() as commands:
            commands.carry_out(message)

    def stats(self) -> dict[str, Any]:
        """Return the statistics of all nodes (docs/stats.md)."""
        with self._commands() as commands:
            stats: dict[str, Any] = msgspec.to_builtins(commands.stats())
        return stats


def _command_error(refused: Refused, channel: str) -> CommandError:
    """Return the exception for a refused command, with the channel and the reason if there is one."""
    where = f"channel {channel[:MAX_SHOWN_CHANNEL]!r}: " if channel else ""
    reason = refused.detail or refused.error.cause
    return CommandError(refused.error.text, detail=f"{where}{reason}" if reason else "")


def _require_channel(channel: object) -> str:
    if not isinstance(channel, str):
        raise TypeError(f"channel is {reprlib.repr(channel)}; expected the name of a channel")
    if not channel:
        raise ValueError("channel is empty")
    return channel


def _user(user: object) -> str:
    if user == "":
        raise ValueError("user is empty")
    return user_id(user)


def _require_texts(**texts: object) -> None:
    """Raise TypeError, with its name, for an argument that is not a string."""
    for name, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"{name} is {reprlib.repr(text)}; expected a string, which is empty if there is none")


def _publish_options(tags: Mapping[str, str] | None, idempotency_key: str, skip_history: bool) -> PublishOptions:
    if not isinstance(idempotency_key, str):
        _require_texts(idempotency_key=idempotency_key)
    if tags is None and not idempotency_key and not skip_history:
        return PLAIN_PUBLISH
    texts = dict(tags or {}) if tags is None or isinstance(tags, Mapping) else None
    if texts is None or not all(isinstance(text, str) for pair in texts.items() for text in pair):
        raise TypeError(f"tags is {tags!r}; expected a dictionary of strings")
    return PublishOptions(texts or None, skip_history, PublishConditions(idempotency_key) if idempotency_key else None)


def _limit(limit: int | None) -> int:
    if limit is None:
        return ALL
    if not isinstance(limit, int):
        raise TypeError(f"limit is {limit!r}; expected a number of messages, or None for all")
    if limit < 0:
        raise ValueError(f"limit is {limit}; expected 0 or more, or None for all messages")
    return limit


def _position(position: StreamPosition | tuple[int, str]) -> StreamPosition:
    if not isinstance(position, (tuple, list)) or [type(part) for part in position] != [int, str]:
        raise TypeError(f"since is {position!r}; expected a position: a tuple of offset and epoch")
    offset, epoch = position
    if offset < 0:
        raise ValueError(f"offset of the position is {offset}; expected 0 or more")
    return StreamPosition(offset, epoch)


def history_message(publication: Publication) -> HistoryMessage:
    """Convert a publication to a HistoryMessage with Python values."""
    info = publication.info
    return HistoryMessage(
        publication.uid,
        publication.channel,
        decode_embedded(json_of(publication.data)),
        publication.client,
        None if info is None else _client_info(info),
        publication.tags,
        publication.offset,
    )


def _client_info(info: RawClientInfo) -> ClientInfo:
    return ClientInfo(info.user, info.client, decode_embedded(info.default_info), decode_embedded(info.channel_info))
