"""Events and presence as they are sent through Redis: MessagePack arrays that begin with their version (docs/redis.md).

Fields that a later release adds at the end of an array are ignored, and need no new version. Messages of another
version are skipped, with one warning for each version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from ...app.model.events import Event, Join, Leave, Publication, RawClientInfo
from ...app.runtime.log_throttle import ONCE, ThrottledLog

log = logging.getLogger(__name__)

CODEC_VERSION = 1
LOGGED_REASONS = 100
"""Maximum number of different reasons for skipping a message that are logged."""
LIVE, STORED, JOIN, LEAVE = range(4)
"""The kinds of events: a publication that is not in the history, one that is, a join, a leave."""

CHANNEL_LIST = "the list of channels"
"""The source of channel names in warnings of `decode_names`."""


class Info(msgspec.Struct, array_like=True, frozen=True):
    """A RawClientInfo in MessagePack."""

    user: str
    client: str
    default_info: bytes
    channel_info: bytes


class EventEnvelope(msgspec.Struct, array_like=True, frozen=True):
    """An event without its channel, which the name of the Redis channel contains."""

    version: int
    kind: int
    uid: str
    data: bytes
    client: str
    info: Info | None
    tags: dict[str, str] | None = None
    offset: int = 0
    epoch: str = ""


class PresenceEntry(msgspec.Struct, array_like=True, frozen=True):
    """The presence of one client in a channel."""

    version: int
    info: Info


class Received(NamedTuple):
    """An event, and whether it is in the history of its channel."""

    event: Event
    is_stored: bool


class Unreadable(ValueError):
    """The bytes have another version of the format, or another format; the text says which."""


_encode = msgspec.msgpack.Encoder().encode
_envelopes = msgspec.msgpack.Decoder(EventEnvelope)
_presents = msgspec.msgpack.Decoder(PresenceEntry)
_any_message = msgspec.msgpack.Decoder()


NO_POSITION = _encode(0) + _encode("")
"""The fields offset and epoch of a publication without a position."""


def encode_publication(publication: Publication) -> bytes:
    """Encode a publication that is not stored in a history."""
    uid, _, data, client, info, tags, _, _ = publication
    if tags is None:
        return _encode((CODEC_VERSION, LIVE, uid, data, client, info))
    return _encode((CODEC_VERSION, LIVE, uid, data, client, info, tags))


def encode_unplaced(publication: Publication, is_stored: bool) -> bytes:
    """Encode a publication without its last two fields, which a script adds. With `is_stored` it is for the history."""
    uid, _, data, client, info, tags, _, _ = publication
    kind = STORED if is_stored else LIVE
    encoded = _encode((CODEC_VERSION, kind, uid, data, client, info, tags, 0, ""))
    return encoded[: -len(NO_POSITION)]


def encode_event(event: Event) -> bytes:
    """Encode a join, a leave, or a publication that is not stored in a history."""
    if isinstance(event, Publication):
        return encode_publication(event)
    return _encode((CODEC_VERSION, JOIN if isinstance(event, Join) else LEAVE, "", b"", "", event.info))


def decode_event(channel: str, data: bytes) -> Received:
    """Decode an event that was received, or read from a history. Raises Unreadable."""
    try:
        envelope = _envelopes.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(data, error) from None
    version, kind = envelope.version, envelope.kind
    if version != CODEC_VERSION:
        raise _unreadable(data)
    info = None if envelope.info is None else _client_info(envelope.info)
    if kind == STORED or kind == LIVE:
        publication = Publication(
            envelope.uid,
            channel,
            envelope.data,
            envelope.client,
            info,
            envelope.tags,
            envelope.offset,
            envelope.epoch,
        )
        return Received(publication, kind == STORED)
    if info is None or kind not in (JOIN, LEAVE):
        raise Unreadable(f"unknown kind of event: {kind}")
    return Received((Join if kind == JOIN else Leave)(channel, info), False)


def encode_presence_entry(info: RawClientInfo) -> bytes:
    """Encode a RawClientInfo for presence."""
    return _encode((CODEC_VERSION, info))


def decode_presence_entry(data: bytes) -> RawClientInfo:
    """Decode the RawClientInfo that `encode_presence_entry` has encoded. Raises Unreadable."""
    try:
        present = _presents.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unreadable(data, error) from None
    if present.version != CODEC_VERSION:
        raise _unreadable(data)
    return _client_info(present.info)


def _client_info(info: Info) -> RawClientInfo:
    return RawClientInfo(info.user, info.client, info.default_info, info.channel_info)


def _unreadable(data: bytes, error: Exception | None = None) -> Unreadable:
    version = _version_of(data)
    if version not in (None, CODEC_VERSION):
        return Unreadable(f"format version {version} is not supported, this release supports version {CODEC_VERSION}")
    return Unreadable(f"invalid message: {error}")


def _version_of(data: bytes) -> Any:
    try:
        message = _any_message.decode(data)
    except (ValueError, RecursionError):
        return None
    return message[0] if isinstance(message, list) and message and isinstance(message[0], int) else None


class SkipLog:
    """Warns about skipped messages once for each reason, because a node of another release may send many."""

    def __init__(self) -> None:
        self._throttled = ThrottledLog(log, logging.WARNING, interval=ONCE, max_keys=LOGGED_REASONS)

    def warn(self, where: str, error: Unreadable) -> None:
        """Warn that a message in `where` is skipped because of `error`."""
        text = "skipping unreadable data in %s (further occurrences suppressed): %s"
        self._throttled.log(str(error), text, where, error)


def presence_pairs(reply: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pair the client ids with the encoded presence, which alternate in the reply of Redis."""
    return zip(reply[::2], reply[1::2], strict=True)


def decode_presence(pairs: Iterable[tuple[bytes, bytes]], skipped: SkipLog) -> dict[str, RawClientInfo]:
    """Decode the clients in a channel, from client ids and encoded presence. Skips unreadable ones."""
    present = {}
    for client, info in pairs:
        try:
            present[_name(client)] = decode_presence_entry(info)
        except Unreadable as error:
            skipped.warn("presence", error)
    return present


def decode_names(names: Iterable[bytes], where: str, skipped: SkipLog) -> Iterator[str]:
    """Decode names of channels. Those that are not UTF-8 are skipped: no node has written them."""
    for name in names:
        try:
            yield _name(name)
        except Unreadable as error:
            skipped.warn(where, error)


def _name(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Unreadable("the name of a channel is not UTF-8") from None
