"""Encodes events of channels for subscribers of protocol version 2.

Subscribers with the same format, kind of transport and options share one `Encoding`. The hub groups subscribers by it,
so that a broadcast is encoded once for each group.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ...model.events import Encoding, Event, Join, Publication
from ...model.payload import bytes_of
from .event_positions import id_of, with_id
from .format import Format, NotJSON
from .messages import Join as JoinMessage
from .messages import Leave as LeaveMessage
from .messages import Push, Reply, client_info
from .unsendable import log_unsendable


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
