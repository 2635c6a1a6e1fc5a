"""Carries out commands of backends for a connected client: subscribe it, send it a message, change its expiry."""

from __future__ import annotations

import logging

from msgspec import Raw

from ...model.errors import Refused
from ...model.payload import bytes_of
from ...node.base_client import ClosedMeanwhile
from ...node.user_commands import AddSubscription, RenewConnections, SendMessage
from .errors import CONNECTION_EXPIRED, ERROR_ALREADY_SUBSCRIBED, CodedClosing, CodedRefusal
from .granting import server_side
from .messages import AsyncMessage, Push, Refresh, Subscribe, SubscribeRequest
from .served_client import ServedClient
from .subscriptions import ttl

log = logging.getLogger(__name__)


def subscribe(client: ServedClient, command: AddSubscription) -> None:
    """Subscribe a client to a channel and notify it. Has no effect if it is already subscribed. May block."""
    if client.closed or command.channel in client.channels:
        return
    try:
        _subscribe(client, command)
    except (CodedRefusal, Refused) as refused:
        if isinstance(refused, CodedRefusal) and refused.error is ERROR_ALREADY_SUBSCRIBED:
            return
        log.warning("cannot subscribe client %s (user %r) to %r: %s", client.uid, client.user, command.channel, refused)
    except CodedClosing as closing:
        client.disconnect(closing.disconnect)
    except ClosedMeanwhile:
        pass


def _subscribe(client: ServedClient, command: AddSubscription) -> None:
    request = SubscribeRequest(command.channel)
    if command.recover_epoch is not None:
        request.recover, request.offset, request.epoch = True, command.recover_offset, command.recover_epoch
    result = client.subscribe(
        server_side(client, command.channel, client.user, command.options, request, command.expires_at)
    )
    push = Subscribe(result.recoverable, result.epoch, result.offset, result.positioned, result.data)
    missed, result.publications = result.publications, []
    client.note_positions({command.channel: result})
    client.push(Push(command.channel, subscribe=push))
    client.send_missed(command.channel, result, missed)
    client.go_live(command.channel, result)


def send(client: ServedClient, command: SendMessage) -> None:
    """Send a client a message without a channel. Nothing is sent if its format cannot carry the payload."""
    try:
        client.push(Push(message=AsyncMessage(Raw(bytes_of(command.data)))))
    except CodedClosing as closing:
        log.warning("cannot send a message to client %s (user %r): %s", client.uid, client.user, closing)


def renew(client: ServedClient, command: RenewConnections) -> None:
    """Change when the connection of a client expires, or close it as expired, and notify the client. May block."""
    if client.closed:
        return
    if command.expired:
        client.disconnect(CONNECTION_EXPIRED)
        return
    if command.info:
        client.default_info = bytes_of(command.info)
    client.expire_at(command.expires_at)
    client.push(Push(refresh=Refresh(expires=command.expires_at > 0, ttl=ttl(command.expires_at))))
