"""Payloads that are not JSON, and so cannot be sent to clients that use JSON: what the log says, and who is closed."""

from __future__ import annotations

import logging
from typing import Protocol

from ...model.events import Event, Unsendable
from ...model.json_codec import is_json
from ...model.payload import NO_PAYLOAD
from ...runtime.log_throttle import ThrottledLog
from .errors import INAPPROPRIATE_PROTOCOL, CodedClosing
from .format import NotJSON
from .messages import Reply

log = logging.getLogger(__name__)

_throttled = ThrottledLog(log, logging.WARNING)


def log_unsendable(event: Event) -> Unsendable:
    """Log, at a limited rate, that an event contains bytes that are not JSON, and return the exception to raise."""
    _throttled.log(
        "not JSON",  # not the channel, because clients can invent channels
        "message in channel %r is not JSON: disconnecting its subscribers that use protocol v2 with JSON",
        event.channel,
    )
    return Unsendable()


class LoggedClient(Protocol):
    """The data of a client that is logged if its format cannot carry a payload."""

    uid: str
    user: str


def close_unsendable(client: LoggedClient, channel: str, error: NotJSON) -> CodedClosing:
    """Log, at a limited rate, that one client cannot receive a payload, and return the exception to raise.

    `channel` is empty if the payload does not belong to a channel.
    """
    if channel:
        _throttled.log(
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
