"""Determines the identity of a connecting client: from its token, from a backend, from a hook, or anonymous.

Checks the tokens of clients; `client.py` and `channel_commands.py` use the result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from msgspec import Raw
from msgspec.structs import replace

from ...model.errors import RETRY, Disconnect, Refused
from ...model.json_codec import decode_if_json
from ...model.payload import NO_PAYLOAD
from ...model.subscription_options import UNCHANGED, SubscriptionOptions
from ...node import hooks
from ...node.proxy_events import CONNECT_PROXY, REFRESH_PROXY, ConnectContext, ask_connection
from . import permissions
from .claims import ConnectionToken, SubscriptionToken
from .errors import (
    CLOSE_BAD_REQUEST,
    CONNECTION_EXPIRED,
    ERROR_EXPIRED,
    ERROR_INTERNAL,
    ERROR_PERMISSION_DENIED,
    ERROR_TOKEN_EXPIRED,
    ERROR_UNKNOWN_CHANNEL,
    INVALID_TOKEN,
    CodedClosing,
    CodedDisconnect,
    CodedRefusal,
    disconnect_of,
)
from .event_positions import LastEvent
from .messages import ConnectRequest, RefreshRequest, SubscribeRequest
from .permissions import apply_override
from .served_client import Identity, ServedClient
from .subscriptions import GrantedSubscription
from .token_keys import KeysUnavailable
from .token_subject import note_missing_subject
from .token_times import note_expiry
from .tokens import ExpiredToken, ForeignToken, InvalidToken, split_token

log = logging.getLogger(__name__)

_UNKNOWN_EPOCH = "unknown"
"""The epoch of no stream, so that nothing is recovered from it."""


BACKEND_SET_NO_USER = (
    "the backend has set no user (option proxy_connect_endpoint); option allow_anonymous_connect_without_token is off"
)
NOTHING_SETS_USER = (
    "nothing else sets a user: no hook (in Flask @realtime.on_connect), no hook_url, no proxy_connect_endpoint; "
    "option allow_anonymous_connect_without_token is off"
)
"""Why a client without a token may not connect, if no hook and no backend could have named its user."""


def identify(client: ServedClient, request: ConnectRequest) -> Identity:
    """Return the identity of a connecting client. May block.

    Raises CodedRefusal for an expired token, and CodedClosing if the client may not connect.
    """
    config = client.node.config
    is_hooked = client.node.hooks.has(hooks.CONNECT)
    user: str | None = None
    if request.token:
        claims = _read_claims(client, request.token)
        subscriptions = _server_side(client, claims, request) if claims.channels else ()
        identity = Identity(claims.user, claims.info, claims.expires_at, subscriptions, claims.meta)
        user = identity.user
    elif allowed := _ask_backend(client, request):
        identity, user = allowed, allowed.user
    elif is_hooked or config.insecure or config.allow_anonymous_connect_without_token:
        identity = Identity("", b"", 0)
    else:
        why = BACKEND_SET_NO_USER if client.node.hooks.has(CONNECT_PROXY) else NOTHING_SETS_USER
        raise CodedClosing(CLOSE_BAD_REQUEST, f"missing token, and {why}", is_noted=True)
    channels: Collection[str] = ()
    if is_hooked:
        identity, channels = _ask(client, hooks.CONNECT, user, identity)
    if config.user_subscribe_to_personal and identity.user:
        channels = [*channels, client.node.rules.personal(identity.user)]
    if not channels and client.last_event is None:
        return identity
    subscriptions = _with_channels(client, identity, channels, request)
    if client.last_event is not None:
        subscriptions = [_continued_subscription(client, wanted, client.last_event) for wanted in subscriptions]
    return replace(identity, subscriptions=subscriptions)


def _continued_subscription(
    client: ServedClient, wanted: GrantedSubscription, last_event: LastEvent
) -> GrantedSubscription:
    """Return a subscription that recovers from the position in the id of an event. May block. Raises Refused."""
    if not wanted.grant.is_recoverable:
        return wanted
    epoch = client.node.top(wanted.channel).epoch
    offset = last_event.offset(wanted.channel, epoch)
    if offset is None:
        offset, epoch = 0, _UNKNOWN_EPOCH
    return replace(wanted, request=SubscribeRequest(wanted.channel, recover=True, offset=offset, epoch=epoch))


def _ask_backend(client: ServedClient, request: ConnectRequest) -> Identity | None:
    """Return the identity that a backend gives to a client without a token; None without a backend or an identity.

    May block. Raises Refused and Closing if the backend refuses or fails.
    """
    if not client.node.hooks.has(CONNECT_PROXY):
        return None
    asked = client.context(hooks.CONNECT)
    context = ConnectContext(
        hooks.CONNECT,
        client=client.uid,
        data=request.data,
        protocol=asked.protocol,
        transport=asked.transport,
        opening=client.opening,
        library=request.name,
        library_version=request.version,
        wanted=list(request.subs),
    )
    try:
        allowed = ask_connection(client.node.hooks, context)
    except Refused:
        client.refuse()
        raise
    if allowed is None:
        return None
    if 0 < allowed.expires_at <= time.time():
        client.refuse()
        raise CodedRefusal(ERROR_EXPIRED)
    subscriptions = [
        server_side(client, channel, allowed.user, given.options, request.subs.get(channel), given.expires_at)
        for channel, given in allowed.subscriptions.items()
    ]
    return Identity(allowed.user, allowed.info, allowed.expires_at, subscriptions, data=allowed.data)


def refresh_identity(client: ServedClient, request: RefreshRequest) -> Identity:
    """Return the identity in the new token of a client. May block.

    Raises CodedClosing for a token that cannot refresh this connection.
    """
    if client.node.hooks.has(REFRESH_PROXY):
        raise CodedClosing(
            CLOSE_BAD_REQUEST, "refresh refused: a backend refreshes connections (option proxy_refresh_endpoint)"
        )
    if not request.token:
        raise CodedClosing(CLOSE_BAD_REQUEST, "refresh refused: missing token")
    try:
        claims = _read_claims(client, request.token)
    except CodedRefusal as refused:
        if refused.error is not ERROR_TOKEN_EXPIRED:
            raise
        raise CodedClosing(CONNECTION_EXPIRED, f"refresh refused: {refused.detail}", is_noted=True) from None
    if claims.user != client.user:
        raise CodedClosing(INVALID_TOKEN, "refresh refused: token of another user", is_noted=True)
    identity = Identity(claims.user, claims.info or client.default_info, claims.expires_at, meta=claims.meta)
    if client.node.hooks.has(hooks.REFRESH):
        identity, _ = _ask(client, hooks.REFRESH, client.user, identity)
    return identity


def _read_claims(client: ServedClient, token: str) -> ConnectionToken:
    """Return the claims of a token. Raises CodedRefusal if the client may retry, and CodedClosing otherwise."""
    try:
        claims = client.tokens.connection(token)
    except ExpiredToken as error:
        raise CodedRefusal(ERROR_TOKEN_EXPIRED, str(error)) from None
    except InvalidToken as error:
        raise CodedClosing(INVALID_TOKEN, str(error), is_noted=True) from None
    except KeysUnavailable as error:
        log.debug("client %s: cannot fetch the keys for its token: %s", client.uid, error)
        raise CodedRefusal(ERROR_INTERNAL) from None
    note_expiry("connection", claims.expires_at, claims.user)
    if not claims.user:
        note_missing_subject(split_token(token).payload)
    return claims


def _ask(client: ServedClient, event: str, user: str | None, identity: Identity) -> tuple[Identity, Collection[str]]:
    """Return the identity after a hook has changed it, and the channels to which the hook subscribes the client.

    Raises CodedClosing if the hook refuses or sets no user, and Refused for an error with a code of the application.
    """
    context = client.context(event)
    context.user, context.info, context.meta = user, decode_if_json(identity.info), decode_if_json(identity.meta)
    try:
        outcome = client.node.hooks.ask(context, info=identity.info)
    except Refused as refused:
        if refused.error.backend_code:  # the reply contains the code, and the client decides whether to reconnect
            if event == hooks.CONNECT:
                client.refuse()
            raise
        is_temporary = refused.error.advice == RETRY
        raise CodedClosing(disconnect_of(Disconnect(refused.error.text, is_temporary))) from None
    if outcome.user is None:
        raise CodedClosing(CLOSE_BAD_REQUEST, "missing token, and no hook has set a user", is_noted=True)
    if event == hooks.REFRESH:
        return replace(identity, info=outcome.info), ()
    return replace(identity, user=outcome.user, info=outcome.info), context.channels


def _server_side(client: ServedClient, claims: ConnectionToken, request: ConnectRequest) -> list[GrantedSubscription]:
    return [
        server_side(client, channel, claims.user, given, request.subs.get(channel))
        for channel, given in claims.channels.items()
    ]


def _with_channels(
    client: ServedClient, identity: Identity, channels: Collection[str], request: ConnectRequest
) -> list[GrantedSubscription]:
    """Return the subscriptions of the identity, and new ones for the other `channels`."""
    wanted = {subscription.channel: subscription for subscription in identity.subscriptions}
    for channel in channels:
        if channel not in wanted:
            position = request.subs.get(channel)
            wanted[channel] = server_side(client, channel, identity.user, UNCHANGED, position)
    return list(wanted.values())


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
