"""Determines what server-side subscriptions and subscription tokens grant to a client.

`connecting.py`, `channel_commands.py` and `server_commands.py` use the results; nobody is subscribed here. What a
client may do without them is in `permissions.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from msgspec import Raw
from msgspec.structs import replace

from ...model.errors import Refused
from ...model.payload import NO_PAYLOAD
from ...model.subscription_options import UNCHANGED, SubscriptionOptions
from ...node.proxy_events import AllowedConnection
from . import permissions
from .claims import ConnectionToken, SubscriptionToken
from .errors import (
    CLOSE_BAD_REQUEST,
    ERROR_INTERNAL,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
    ERROR_UNKNOWN_CHANNEL,
    INVALID_TOKEN,
    CodedClosing,
    CodedDisconnect,
    CodedRefusal,
)
from .event_positions import LastEvent
from .messages import ConnectRequest, SubscribeRequest
from .permissions import apply_override
from .served_client import Identity, ServedClient
from .signed_token import InvalidToken
from .subscriptions import GrantedSubscription
from .token_keys import KeysUnavailable
from .token_times import note_expiry
from .tokens import ExpiredToken, ForeignToken

log = logging.getLogger(__name__)

_UNKNOWN_EPOCH = "unknown"
"""The epoch of no stream, so that nothing is recovered from it."""


def granted_by_token(
    client: ServedClient, claims: ConnectionToken, request: ConnectRequest
) -> list[GrantedSubscription]:
    """Return the server-side subscriptions that the token of a connection grants. Raises CodedClosing."""
    return [
        server_side(client, channel, claims.user, given, request.subs.get(channel))
        for channel, given in claims.channels.items()
    ]


def granted_by_backend(
    client: ServedClient, allowed: AllowedConnection, request: ConnectRequest
) -> list[GrantedSubscription]:
    """Return the server-side subscriptions that a backend grants to a connecting client. Raises CodedClosing."""
    return [
        server_side(client, channel, allowed.user, given.options, request.subs.get(channel), given.expires_at)
        for channel, given in allowed.subscriptions.items()
    ]


def with_channels(
    client: ServedClient, identity: Identity, channels: Collection[str], request: ConnectRequest
) -> list[GrantedSubscription]:
    """Return the subscriptions of the identity, and new ones for the other `channels`."""
    wanted = {subscription.channel: subscription for subscription in identity.subscriptions}
    for channel in channels:
        if channel not in wanted:
            position = request.subs.get(channel)
            wanted[channel] = server_side(client, channel, identity.user, UNCHANGED, position)
    return list(wanted.values())


def continued_since(client: ServedClient, wanted: GrantedSubscription, last_event: LastEvent) -> GrantedSubscription:
    """Return a subscription that recovers from the position in the id of an event. May block. Raises Refused."""
    if not wanted.grant.is_recoverable:
        return wanted
    epoch = client.node.top(wanted.channel).epoch
    offset = last_event.offset(wanted.channel, epoch)
    if offset is None:
        offset, epoch = 0, _UNKNOWN_EPOCH
    return replace(wanted, request=SubscribeRequest(wanted.channel, recover=True, offset=offset, epoch=epoch))


def server_side(
    client: ServedClient,
    channel: str,
    user: str,
    given: SubscriptionOptions,
    request: SubscribeRequest | None = None,
    expires_at: float = 0,
) -> GrantedSubscription:
    """Return a server-side subscription. Raises CodedClosing for a channel whose namespace does not exist."""
    try:
        options = client.node.rules.options(channel)
    except Refused as refused:
        raise CodedClosing(
            CodedDisconnect(CLOSE_BAD_REQUEST.code, ERROR_UNKNOWN_CHANNEL.message),
            f"cannot subscribe to {channel!r}: {refused.detail}",
            is_noted=True,
        ) from None
    wanted = request or SubscribeRequest()
    granted = apply_override(permissions.grant(options, wanted, user), given, options)
    granted = replace(granted, may_have_deltas=False)  # client libraries support no deltas in server-side subscriptions
    data = Raw(given.data) if given.data else NO_PAYLOAD
    return GrantedSubscription(channel, wanted, granted, given.info, expires_at, data, is_server_side=True)


def subscription_token(client: ServedClient, channel: str, token: str) -> SubscriptionToken:
    """Return the claims of a subscription token.

    Raises CodedRefusal for an expired or invalid token, and CodedClosing for a token of another user, channel or
    client.
    """
    try:
        claims = client.tokens.subscription(token, channel, client.user, client.uid)
    except ExpiredToken as error:
        raise CodedRefusal(ERROR_TOKEN_EXPIRED, str(error)) from None
    except InvalidToken as error:
        raise CodedRefusal(ERROR_PERMISSION_DENIED, f"invalid subscription token: {error}") from None
    except ForeignToken as error:
        raise CodedClosing(INVALID_TOKEN, f"invalid token for {channel!r}: {error}", is_noted=True) from None
    except KeysUnavailable as error:
        log.debug("client %s (user %r): %s", client.uid, client.user, error)
        raise CodedRefusal(ERROR_INTERNAL) from None
    note_expiry("subscription", claims.expires_at, claims.user)
    return claims
