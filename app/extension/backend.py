"""The commands of docs/api.md as Python calls, with Python values and without HTTP (docs/flask.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import msgspec

from ...engines.base import ALL, HistoryFilter, Once
from ..model.errors import Error, Refused
from ..model.events import Publication, RawClientInfo, StreamPosition, user_id
from ..model.json_codec import decode_embedded, encode_value
from ..model.payload import json_of
from ..node.commands import Commands, PresenceStats, PublishOptions, PublishRequest
from ..node.user_commands import AddSubscription, SendMessage


class CommandError(Exception):
    """A command was not carried out; its text is the protocol's, such as `namespace not found`."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code
        """The code of the error for a test client of protocol v2; 0 otherwise."""


class ClientInfo(NamedTuple):
    """Identity of a connection (user, client ID and info), as in presence and history; JSON is decoded."""

    user: str
    client: str
    default_info: Any = None
    """What its token says about it; None if nothing."""
    channel_info: Any = None
    """What the signature of its subscription says about it; None if nothing."""


class _Message(NamedTuple):
    """The fields of a HistoryMessage as a tuple, which stays as it was before messages had positions."""

    uid: str
    channel: str
    data: Any
    client: str = ""
    info: ClientInfo | None = None


class HistoryMessage(_Message):
    """One message of a channel's history. Its data is decoded JSON; `info` is who published it, when a client did.

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
    """The messages that were asked for, and the position of the newest message of the channel."""

    def __init__(self, messages: Iterable[HistoryMessage], position: StreamPosition) -> None:
        super().__init__(messages)
        self.position = position
        """Offset and epoch; the offset is 0 before the first message."""


class Backend:
    """Carries out commands. Every method raises CommandError when they are refused or the engine fails.

    A user is given by its id: text, or a number, which becomes text; TypeError is raised for anything else.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

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
        """Publish `data`, anything that can be encoded as JSON, into a channel.

        Returns the position, or None if the message is not kept in a history. With an `idempotency_key` that was used
        in this channel within 5 minutes, nothing is published and the position is that of the first message. Raises
        TypeError for data that JSON cannot hold and for tags that are not texts, and ValueError for data nested deeper
        than 500 levels and for an empty channel.
        """
        encoded = encode_value(data)
        options = _publish_options(tags, idempotency_key, skip_history)
        with _errors_translated():
            return self._commands.publish(_named(channel), encoded, client, uid=uid, options=options)

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
        """Publish the same data in several channels. Returns what `publish` returns, for each channel.

        All are tried; CommandError has the first error. Raises TypeError and ValueError as `publish` does, before
        anything is published.
        """
        encoded = encode_value(data)
        if isinstance(channels, str):
            raise TypeError("channels: expected a list of names, not a string; use publish for a single channel")
        options = _publish_options(tags, idempotency_key, skip_history)
        requests = [PublishRequest(_named(channel), encoded, client, options=options) for channel in channels]
        positions: list[StreamPosition | None] = []
        refused: Error | None = None
        for outcome in self._commands.publish_all(requests):
            if isinstance(outcome, Error):
                refused = refused or outcome
            else:
                positions.append(outcome)
        if refused is not None:
            raise CommandError(refused.text)
        return positions

    def presence(self, channel: str) -> dict[str, ClientInfo]:
        """The clients in a channel, by client id."""
        with _errors_translated():
            return {client: _client_info(info) for client, info in self._commands.presence(_named(channel)).items()}

    def presence_stats(self, channel: str) -> PresenceStats:
        """How many clients are in a channel, and how many users they belong to."""
        with _errors_translated():
            return self._commands.presence_stats(_named(channel))

    def history(
        self,
        channel: str,
        limit: int | None = None,
        since: StreamPosition | tuple[int, str] | None = None,
        reverse: bool | None = None,
    ) -> HistoryList:
        """The history of a channel: all messages, or at most `limit`; 0 returns none of them, only the position.

        With `since`, a position, only later messages; with `since` and `reverse` only earlier ones. The newest message
        is the first one, unless `since` is given or `reverse` is false. Raises ValueError for a negative limit or
        offset.
        """
        newest_first = since is None if reverse is None else reverse
        wanted = HistoryFilter(_limit(limit), None if since is None else _position(since), newest_first)
        with _errors_translated():
            stream = self._commands.stream(_named(channel), wanted)
        return HistoryList(map(history_message, stream.publications), stream.top)

    def history_remove(self, channel: str) -> None:
        """Delete the messages of a channel's history. The next message has the next offset."""
        with _errors_translated():
            self._commands.remove_history(_named(channel))

    def channels(self) -> list[str]:
        """The channels with a subscriber, on any node."""
        with _errors_translated():
            return self._commands.channels()

    def subscribe(self, user: str | int, channel: str, client: str = "", data: Any = None, info: Any = None) -> None:
        """Subscribe the connections of a user to a channel, on every node; with `client` only the one with this id.

        None as `data`, which the client receives, or as `info`, which others see of it, is nothing. Raises TypeError
        for values that JSON cannot hold, and ValueError for an empty user or channel.
        """
        command = AddSubscription(
            user=_user(user),
            client=client,
            channel=_named(channel),
            data=b"" if data is None else encode_value(data),
            info=b"" if info is None else encode_value(info),
        )
        with _errors_translated():
            self._commands.carry_out(command)

    def unsubscribe(self, user: str | int, channel: str = "") -> None:
        """End a user's subscription on a channel, or on all channels, on every node."""
        with _errors_translated():
            self._commands.unsubscribe_user(_user(user), channel)

    def disconnect(self, user: str | int) -> None:
        """Close all connections of a user, on every node."""
        with _errors_translated():
            self._commands.disconnect_user(_user(user))

    def send(self, user: str | int | None, data: Any, client: str = "") -> None:
        """Send `data` to the connections of a user, on every node, or only to the one with the id `client`.

        With None or an empty user, `client` alone selects. Raises TypeError for data that JSON cannot hold, and
        ValueError when neither is given.
        """
        if user in (None, "") and not client:
            raise ValueError("user and client are empty")
        selected = "" if user is None else user_id(user)
        message = SendMessage(selected, client, data=encode_value(data))
        with _errors_translated():
            self._commands.carry_out(message)

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


def _publish_options(tags: Mapping[str, str] | None, idempotency_key: str, skip_history: bool) -> PublishOptions:
    texts = dict(tags or {})
    if not all(isinstance(text, str) for pair in texts.items() for text in pair):
        raise TypeError(f"tags is {tags!r}; expected a dictionary of texts")
    return PublishOptions(texts or None, skip_history, Once(idempotency_key) if idempotency_key else None)


def _limit(limit: int | None) -> int:
    if limit is None:
        return ALL
    if limit < 0:
        raise ValueError(f"limit is {limit}; leave it out for all messages")
    return limit


def _position(position: StreamPosition | tuple[int, str]) -> StreamPosition:
    offset, epoch = position
    if offset < 0:
        raise ValueError(f"the offset is {offset}")
    return StreamPosition(offset, epoch)


def history_message(publication: Publication) -> HistoryMessage:
    """A publication with Python values."""
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
