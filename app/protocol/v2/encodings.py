"""Encodes events of channels for subscribers of protocol version 2.

Subscribers with the same format, kind of transport and options share one `Encoding`. The hub groups subscribers by it,
so that a broadcast is encoded once for each group.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Protocol

from ...model.events import Encoding, Event, Join, Publication, Unsendable
from ...model.json_codec import is_json
from ...model.payload import NO_PAYLOAD, bytes_of
from ...runtime.log_throttle import ThrottledLog
from .errors import INAPPROPRIATE_PROTOCOL, CodedClosing
from .event_positions import id_of, with_id
from .format import Format, NotJSON
from .messages import Join as JoinMessage
from .messages import Leave as LeaveMessage
from .messages import Push, Reply, client_info

log = logging.getLogger(__name__)

_unsendable_log = ThrottledLog(log, logging.WARNING)


def log_unsendable(event: Event) -> Unsendable:
    """Log, at a limited rate, that an event contains bytes that are not JSON, and return the exception to raise."""
    _unsendable_log.log(
        "not JSON",  # not the channel, because clients can invent channels
        "message in channel %r is not JSON: disconnecting its subscribers that use protocol v2 with JSON",
        event.channel,
    )
    return Unsendable()


class UnreadingClient(Protocol):
    """The data of a client that is logged if its format cannot carry a payload."""

    uid: str
    user: str


def close_unsendable(client: UnreadingClient, channel: str, error: NotJSON) -> CodedClosing:
    """Log, at a limited rate, that one client cannot receive a payload, and return the exception to raise.

    `channel` is empty if the payload does not belong to a channel.
    """
    if channel:
        _unsendable_log.log(
            "not JSON, for one client",
            "payload or info in channel %r is not JSON: disconnecting client %s (user %r), which uses protocol v2 with "
            "JSON",
            channel,
            client.uid,
            client.user,
        )
    return CodedClosing(INAPPROPRIATE_PROTOCOL, str(error), is_noted=not channel)


def channel_of_unsendable(reply: Reply) -> str:
    """Return the channel of a payload in a reply that is not JSON; empty if the reply does not say it."""
    if reply.push is not None:
        return reply.push.channel
    for channel, result in {} if reply.connect is None else reply.connect.subs.items():
        payloads = [result.data, *(publication.data for publication in result.publications)]
        if not all(data is NO_PAYLOAD or is_json(bytes(data)) for data in payloads):
            return channel
    return ""


def encode_event(format_: Format, event: Event) -> bytes:
    """Encode an event as a push. Raises NotJSON for a publication of bytes that the format cannot carry."""
    if isinstance(event, Publication):
        epoch = event.epoch if event.offset == 1 else ""
        data = bytes_of(event.data) if format_.is_binary else event.data
        return format_.encode_publication(event.channel, data, event.info, event.offset, epoch, event.tags)
    if isinstance(event, Join):
        push = Push(event.channel, join=JoinMessage(client_info(event.info)))
    else:
        push = Push(event.channel, leave=LeaveMessage(client_info(event.info)))
    return format_.encode_reply(Reply(push=push))


def encode_with_id(format_: Format, event: Event) -> bytes:
    """Return the push of an event, with an id if it has a position. Raises NotJSON."""
    message = encode_event(format_, event)
    return with_id(id_of(event), message) if isinstance(event, Publication) and event.offset else message


@cache
def event_encoder(format_: Format, has_joins: bool, has_ids: bool = False) -> Callable[[Event], bytes]:
    """Return the function that encodes the events of a channel; it skips joins and leaves unless `has_joins`."""
    encode = encode_with_id if has_ids else encode_event

    def push(event: Event) -> bytes:
        if not has_joins and not isinstance(event, Publication):
            return b""
        try:
            return encode(format_, event)
        except NotJSON:
            raise log_unsendable(event) from None

    return push


@cache
def encoding(
    format_: Format, frame: Callable[[bytes], bytes], has_joins: bool, is_positioned: bool, has_ids: bool = False
) -> Encoding:
    """Return the encoding for subscriptions with these properties; the same object for equal arguments.

    All results are kept, so `frame` is the function of a transport, and not that of one client.
    """
    return Encoding(event_encoder(format_, has_joins, has_ids), frame, is_positioned)
