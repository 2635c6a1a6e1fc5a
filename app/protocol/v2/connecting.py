"""Determines the identity of a client: from its token, from a backend, from a hook, or anonymous.

`connection_commands.py` uses the result. Which server-side subscriptions belong to it is in `granting.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from msgspec.structs import replace

from ...model.errors import RETRY, Disconnect, Refused
from ...model.json_codec import decode_if_json
from ...node import hooks
from ...node.hooks import Context
from ...node.proxy_events import CONNECT_PROXY, REFRESH_PROXY, ConnectContext, ask_connection
from .claims import ConnectionToken
from .errors import (
    CLOSE_BAD_REQUEST,
    CONNECTION_EXPIRED,
    ERROR_EXPIRED,
    ERROR_INTERNAL,
    ERROR_TOKEN_EXPIRED,
    INVALID_TOKEN,
    CodedClosing,
    CodedRefusal,
    disconnect_of,
)
from .granting import continued_since, granted_by_backend, granted_by_token, with_channels
from .messages import ConnectRequest, RefreshRequest
from .served_client import Identity, ServedClient
from .signed_token import InvalidToken, split_token
from .token_keys import KeysUnavailable
from .token_subject import note_missing_subject
from .token_times import note_expiry
from .tokens import ExpiredToken

log = logging.getLogger(__name__)

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
        subscriptions = granted_by_token(client, claims, request) if claims.channels else ()
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
        identity, channels = _ask_connect_hook(client, user, identity)
    if config.user_subscribe_to_personal and identity.user:
        channels = [*channels, client.node.rules.personal(identity.user)]
    if not channels and client.last_event is None:
        return identity
    subscriptions = with_channels(client, identity, channels, request)
    if client.last_event is not None:
        subscriptions = [continued_since(client, wanted, client.last_event) for wanted in subscriptions]
    return replace(identity, subscriptions=subscriptions)


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
    subscriptions = granted_by_backend(client, allowed, request)
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
        return _ask_refresh_hook(client, identity)
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


def _ask_connect_hook(client: ServedClient, user: str | None, identity: Identity) -> tuple[Identity, Collection[str]]:
    """Return the identity after a hook has changed it, and the channels to which the hook subscribes the client.

    `user` is None if nothing else has set a user. May block, and raises the exceptions of `_ask`.
    """
    context = client.context(hooks.CONNECT)
    context.user = user
    try:
        user, info = _ask(client, context, identity)
    except Refused:  # the reply contains the code, and the client decides whether to reconnect
        client.refuse()
        raise
    return replace(identity, user=user, info=info), context.channels


def _ask_refresh_hook(client: ServedClient, identity: Identity) -> Identity:
    """Return the identity after a hook has changed its info. May block, and raises the exceptions of `_ask`."""
    _, info = _ask(client, client.context(hooks.REFRESH), identity)
    return replace(identity, info=info)


def _ask(client: ServedClient, context: Context, identity: Identity) -> tuple[str, bytes]:
    """Return the user and the info that a hook decides on.

    Raises CodedClosing if the hook refuses or sets no user, and Refused for an error with a code of the application.
    """
    context.info, context.meta = decode_if_json(identity.info), decode_if_json(identity.meta)
    try:
        outcome = client.node.hooks.ask(context, info=identity.info)
    except Refused as refused:
        if refused.error.backend_code:
            raise
        is_temporary = refused.error.advice == RETRY
        raise CodedClosing(disconnect_of(Disconnect(refused.error.text, is_temporary))) from None
    if outcome.user is None:
        raise CodedClosing(CLOSE_BAD_REQUEST, "missing token, and no hook has set a user", is_noted=True)
    return outcome.user, outcome.info
