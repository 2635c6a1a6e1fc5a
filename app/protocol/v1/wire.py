"""The wire format of protocol version 1: decodes commands of clients and backends, encodes replies and pushes.

Independent of connections and of rules for channels. JSON of peers (`data`, `info`) is passed on unchanged.
Specification: docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ...model.errors import Error
from ...model.events import Event, Join, Publication, RawClientInfo
from ...model.json_codec import (
    MAX_NESTING,
    InvalidJSON,
    UnknownField,
    check_nesting,
    check_utf8,
    decode,
    decode_in_any_case,
    is_json,
)
from ...model.payload import BINARY_MARK, json_of
from ...runtime.yielding import iterate_yielding

# A null counts as the field's default, so every field takes one; a wrong type is refused.
Text = str | None


class Object(msgspec.Struct, forbid_unknown_fields=True):
    """An object of the protocol: read with `decode_in_any_case`, since v1 accepts field names in any case."""


class Command(Object):
    """The envelope of one command, from a client or a backend."""

    uid: Text = None
    method: Text = None
    params: Raw | UnsetType = UNSET


class ConnectParams(Object):
    """Params of the commands `connect` and `refresh`."""

    user: Text = None
    timestamp: Text = None
    info: Text = None
    token: Text = None


class SubscribeParams(Object):
    """Params of the command `subscribe`."""

    channel: Text = None
    client: Text = None
    last: Text = None
    recover: bool | None = None
    info: Text = None
    sign: Text = None


class ChannelParams(Object):
    """Params of the commands `unsubscribe`, `presence` and `history`."""

    channel: Text = None


class PublishParams(Object):
    """Params of the command `publish`; only backends may set `client` and `uid`."""

    channel: Text = None
    data: Raw | UnsetType = UNSET
    client: Text = None
    uid: Text = None


class BroadcastParams(Object):
    """Params of the command `broadcast`."""

    channels: list[Text] | None = None
    data: Raw | UnsetType = UNSET
    client: Text = None


class UserParams(Object):
    """Params of the commands `unsubscribe` and `disconnect` of a backend."""

    user: Text = None
    channel: Text = None


class PingParams(Object):
    """Params of the command `ping`."""

    data: Text = None


_command = msgspec.json.Decoder(Command)
_commands = msgspec.json.Decoder(list[Command | None])
_raw_commands = msgspec.json.Decoder(list[Raw])


def decode_commands(data: bytes) -> list[Command]:
    """Decode the commands of one request: a JSON object, or an array of objects.

    Raises InvalidJSON for anything else, even for leading white space, and for data that is not UTF-8.
    """
    check_utf8(data)
    first = data[:1]
    if first == b"{":
        return [decode_in_any_case(_command, data)]
    if first == b"[":
        try:
            return [command or Command() for command in decode(_commands, data)]
        except UnknownField:
            return [_decode_command(bytes(command)) for command in decode(_raw_commands, data)]
    raise InvalidJSON("expected a command, which is a JSON object, or an array of commands")


def _decode_command(data: bytes) -> Command:
    return Command() if data == b"null" else decode_in_any_case(_command, data)


class _OldEntry(msgspec.Struct):
    """An entry of a queue in the form that was used before Centrifugo 1.6."""

    data: Raw


class _Replied(msgspec.Struct):
    error: Text = None


_old_entry = msgspec.json.Decoder(_OldEntry)
_replied = msgspec.json.Decoder(_Replied)


def decode_queued(entry: bytes) -> list[Command]:
    """Decode the commands of an entry of a queue, directly or in its field `data`. Raises InvalidJSON."""
    commands = decode_commands(entry)
    if len(commands) == 1 and commands[0].method is None and entry.startswith(b"{"):
        return decode_commands(bytes(decode(_old_entry, entry).data))
    return commands


def error_of(reply: bytes) -> str:
    """Return the error in a reply to a backend's command; empty if there is none."""
    return decode(_replied, reply).error or ""


P = TypeVar("P", bound=msgspec.Struct)
_decoders: dict[type[msgspec.Struct], msgspec.json.Decoder[Any]] = {
    type_: msgspec.json.Decoder(type_)
    for type_ in (
        ConnectParams,
        SubscribeParams,
        ChannelParams,
        PublishParams,
        BroadcastParams,
        UserParams,
        PingParams,
    )
}


def decode_params(command: Command, type_: type[P]) -> P:
    """Decode the params of a command; null counts as an empty object.

    Raises InvalidJSON if they are missing or have a wrong type.
    """
    params: P = decode_with(_decoders[type_], command)
    return params


def decode_with(decoder: msgspec.json.Decoder[P], command: Command) -> P:
    """Decode params with a given decoder, for commands of only one kind of peer."""
    params = command.params
    if isinstance(params, UnsetType):
        raise InvalidJSON(f"{command.method}: params are missing")
    data = bytes(params)
    check_nesting(data, MAX_NESTING + 1)  # the object that holds `data` is a level of its own
    return decode_in_any_case(decoder, b"{}" if data == b"null" else data)


_quote = msgspec.json.encode  # of a str, a bool or plain data: always valid JSON


_BOOLEANS = {True: b"true", False: b"false"}


def embedded_json(text: str) -> bytes:
    """Return a text (`info`) as JSON for use inside a message. Valid JSON stays unchanged.

    Other text would make the message invalid, so it becomes a JSON string.
    """
    data = text.encode()
    return data if not data or is_json(data) else _quote(text)


def encode_info(info: RawClientInfo) -> bytes:
    """Encode the info of a client for presence, join and leave."""
    default = b'"default_info":%b,' % info.default_info if info.default_info else b""
    channel = b'"channel_info":%b,' % info.channel_info if info.channel_info else b""
    return b'{%b%b"user":%b,"client":%b}' % (default, channel, _quote(info.user), _quote(info.client))


def encode_publication(publication: Publication) -> bytes:
    """Encode a message for pushes, history and recovery."""
    uid, channel, data, client, info, _, _, _ = publication
    if data.startswith(BINARY_MARK):  # the call of `json_of` alone takes a tenth of the time of this function
        data = json_of(data)
    client_field = b'"client":%b,' % _quote(client) if client else b""
    info_field = b'"info":%b,' % encode_info(info) if info is not None else b""
    return b'{"uid":%b,%b%b"channel":%b,"data":%b}' % (_quote(uid), client_field, info_field, _quote(channel), data)


def encode_push(event: Event) -> bytes:
    """Encode the message that subscribers receive for an event."""
    if isinstance(event, Publication):
        return b'{"method":"message","body":%b}' % encode_publication(event)
    method = b"join" if isinstance(event, Join) else b"leave"
    return b'{"method":"%b","body":{"channel":%b,"data":%b}}' % (method, _quote(event.channel), encode_info(event.info))


def encode_unsubscribe_push(channel: str) -> bytes:
    """Encode the message that a client receives when a backend has ended its subscription."""
    return encode_reply(None, "unsubscribe", status_body(channel, True))


def encode_reply(uid: str | None, method: str, body: bytes = b"", error: Error | None = None) -> bytes:
    """Encode the reply to one command of a client; empty fields are omitted."""
    uid_field = b'"uid":%b,' % _quote(uid) if uid else b""
    error_field = b',"error":%b' % _quote(error.text) if error else b""
    advice_field = b',"advice":%b' % _quote(error.advice) if error and error.advice else b""
    body_field = b',"body":%b' % body if body else b""
    return b'{%b"method":%b%b%b%b}' % (uid_field, _quote(method), error_field, advice_field, body_field)


def encode_api_reply(uid: str | None, method: str, body: bytes = b"null", error: Error | None = None) -> bytes:
    """Encode the reply to one command of a backend; `error` and `body` are always present."""
    uid_field = b'"uid":%b,' % _quote(uid) if uid else b""
    error_field = _quote(error.text) if error else b"null"
    advice_field = b',"advice":%b' % _quote(error.advice) if error and error.advice else b""
    return b'{%b"method":%b,"error":%b%b,"body":%b}' % (uid_field, _quote(method), error_field, advice_field, body)


def encode_array(items: Iterable[bytes]) -> bytes:
    """Join items that are JSON already to a JSON array."""
    return b"[" + b",".join(items) + b"]"


def connect_body(version: str, client: str, expires: bool, expired: bool, lifetime: float) -> bytes:
    """Encode the body of `connect` and `refresh`, without `client` if the credentials have expired."""
    start, end = _connect_body(version, expires, expired, lifetime)
    return b'%b"client":%b,%b' % (start, _quote(client), end) if client else start + end


@lru_cache(maxsize=8)
def _connect_body(version: str, expires: bool, expired: bool, lifetime: float) -> tuple[bytes, bytes]:
    """Return the body before and after the ID of the client. It is the same for nearly all clients."""
    whole = int(lifetime) if lifetime == int(lifetime) else lifetime
    start = b'{"version":%b,' % _quote(version)
    return start, b'"expires":%b,"expired":%b,"ttl":%b}' % (_quote(expires), _quote(expired), _quote(whole))


def subscribe_body(
    channel: str,
    status: bool,
    last: str = "",
    messages: Sequence[Publication] | None = None,
    recovered: bool = False,
) -> bytes:
    """Encode the body of `subscribe`, with `messages`, newest first, only if the client has requested recovery."""
    recovery = b"null" if messages is None else encode_array(map(encode_publication, messages))
    return b'{"channel":%b,"status":%b,"last":%b,"messages":%b,"recovered":%b}' % (
        _quote(channel),
        _BOOLEANS[status],
        _quote(last) if last else b'""',
        recovery,
        _BOOLEANS[recovered],
    )


def status_body(channel: str, status: bool) -> bytes:
    """Encode the body of replies to `unsubscribe` and `publish`."""
    return b'{"channel":%b,"status":%b}' % (_quote(channel), _quote(status))


def presence_body(channel: str, presence: Mapping[str, RawClientInfo] | None) -> bytes:
    """Encode the body of `presence`; `data` is null after an error. Other greenlets may run meanwhile."""
    data = b"null"
    if presence is not None:
        clients = (b"%b:%b" % (_quote(uid), encode_info(info)) for uid, info in presence.items())
        data = b"{" + b",".join(iterate_yielding(clients)) + b"}"
    return b'{"channel":%b,"data":%b}' % (_quote(channel), data)


def history_body(channel: str, messages: Sequence[Publication] | None) -> bytes:
    """Encode the body of `history`, newest first; `data` is null after an error.

    Other greenlets may run meanwhile.
    """
    data = b"null" if messages is None else encode_array(iterate_yielding(map(encode_publication, messages)))
    return b'{"channel":%b,"data":%b}' % (_quote(channel), data)


def data_body(data: object) -> bytes:
    """Encode the body of `channels`, `stats`, `node` and of a `ping` with data."""
    return b'{"data":%b}' % _quote(data)
