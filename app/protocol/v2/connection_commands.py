"""Carries out the commands of protocol version 2 without a channel: connect, refresh, rpc and send."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Raw

from ...model.errors import Refused
from ...model.payload import NO_PAYLOAD
from ...node import hooks
from ...node.base_client import ClosedMeanwhile
from ...node.hooks import rpc_event
from ...node.proxy_events import REFRESH_PROXY
from .connecting import identify, refresh_identity
from .errors import (
    CHANNEL_LIMIT,
    CLOSE_BAD_REQUEST,
    CLOSE_NOT_AVAILABLE,
    CONNECTION_LIMIT,
    ERROR_METHOD_NOT_FOUND,
    ERROR_TOKEN_EXPIRED,
    INTERNAL_SERVER_ERROR,
    CodedClosing,
    CodedRefusal,
)
from .messages import (
    ConnectRequest,
    ConnectResult,
    Publication,
    RefreshRequest,
    RefreshResult,
    Reply,
    RPCRequest,
    RPCResult,
    SendRequest,
    SubscribeResult,
)
from .served_client import Identity, ServedClient
from .subscriptions import ttl

log = logging.getLogger(__name__)

_NO_RPC = "neither a function with @realtime.rpc nor option proxy_rpc_endpoint answers calls of"
_NO_MESSAGES = "no function with @realtime.on_message receives messages of clients"


def _connect(client: ServedClient, id_: int, request: ConnectRequest) -> None:
    client.node.metrics.counters.client_num_connect += 1
    if client.authenticated:
        raise CodedClosing(CLOSE_BAD_REQUEST, "connect sent twice")
    try:
        identity = identify(client, request)
    except CodedRefusal as refused:
        if refused.error is ERROR_TOKEN_EXPIRED:
            client.refuse()
        raise
    if client.closed:
        raise ClosedMeanwhile
    _check_limits(client, identity)
    _close_others(client, identity.user)
    client.authenticate(identity, f"{request.name} {request.version}".strip())
    if identity.subscriptions:
        _reply_with_subscriptions(client, id_, identity)
    else:
        client.last_event = None
        client.reply(Reply(id_, connect=_connect_result(client, identity, {})))
    client.start_pings()


def _reply_with_subscriptions(client: ServedClient, id_: int, identity: Identity) -> None:
    """Subscribe the client to the channels of its identity, and send the reply to connect. May block."""
    try:
        subs = client.subscribe_all(identity.subscriptions)
    except Refused:  # the client is registered, so that it must not stay without a reply
        raise CodedClosing(INTERNAL_SERVER_ERROR, "a server-side subscription failed") from None
    missed = _take_missed(client, subs)
    client.note_positions(subs)
    client.reply(Reply(id_, connect=_connect_result(client, identity, subs)))
    for channel, result in subs.items():
        client.send_missed(channel, result, missed.get(channel, ()))
        client.go_live(channel, result)


def _take_missed(client: ServedClient, subs: Mapping[str, SubscribeResult]) -> dict[str, list[Publication]]:
    """Return the publications that a client with the id of an event has missed, which are sent as pushes.

    Other clients expect these publications in the reply.
    """
    missed = {}
    if client.last_event is not None:
        for channel, result in subs.items():
            missed[channel], result.publications = result.publications, []
        client.last_event = None
    return missed


def _check_limits(client: ServedClient, identity: Identity) -> None:
    config = client.node.config
    limit = config.user_connection_limit
    if limit > 0 and identity.user and len(client.node.hub.user_connections(identity.user)) >= limit:
        raise CodedClosing(CONNECTION_LIMIT)
    if len(identity.subscriptions) > config.client_channel_limit:
        raise CodedClosing(CHANNEL_LIMIT)


def _close_others(client: ServedClient, user: str) -> None:
    """Close the other connections of the user if each user may have only one. May block, and raises Refused.

    Must be followed by `authenticate` before other greenlets run. Raises CodedClosing if another client of the user has
    connected meanwhile.
    """
    config = client.node.config
    if user and config.user_subscribe_to_personal and config.user_personal_single_connection:
        stays = client.node.cluster.replacements.replace(user, CONNECTION_LIMIT.code, CONNECTION_LIMIT.reason)
        if client.closed:
            raise ClosedMeanwhile
        if not stays:
            raise CodedClosing(CONNECTION_LIMIT, "another client of the user has connected meanwhile")


def _connect_result(client: ServedClient, identity: Identity, subs: dict[str, SubscribeResult]) -> ConnectResult:
    expires_at = 0.0 if client.node.hooks.has(REFRESH_PROXY) else identity.expires_at  # the client refreshes nothing
    has_pings = client.has_pings
    return ConnectResult(
        client=client.uid,
        version=client.node.version,
        data=Raw(identity.data) if identity.data else NO_PAYLOAD,
        expires=expires_at > 0,
        ttl=ttl(expires_at),
        subs=subs,
        ping=max(round(client.node.config.ping_interval), 1) if has_pings else 0,
        pong=has_pings,
        session=client.session,
        node=client.node.cluster.uid if client.session else "",
    )


def _refresh(client: ServedClient, id_: int, request: RefreshRequest) -> None:
    identity = refresh_identity(client, request)
    if client.closed:
        raise ClosedMeanwhile
    client.default_info, client.meta = identity.info, identity.meta
    client.expire_at(identity.expires_at)
    result = RefreshResult(expires=identity.expires_at > 0, ttl=ttl(identity.expires_at))
    client.reply(Reply(id_, refresh=result))


def _rpc(client: ServedClient, id_: int, request: RPCRequest) -> None:
    known = client.node.hooks
    event = rpc_event(request.method)
    if not known.has(event):
        event = hooks.RPC
    if not known.has(event):
        raise CodedRefusal(ERROR_METHOD_NOT_FOUND, f"{_NO_RPC} {request.method!r}")
    context = client.context(hooks.RPC)
    context.method, context.data = request.method, request.data
    result = known.answer(context, event)
    client.reply(Reply(id_, rpc=RPCResult(result if isinstance(result, Raw) else NO_PAYLOAD)))


def message(client: ServedClient, request: SendRequest) -> None:
    """Pass a message without a reply to the application. Raises CodedClosing if there is no handler. May block."""
    known = client.node.hooks
    if not known.has(hooks.MESSAGE):
        raise CodedClosing(CLOSE_NOT_AVAILABLE, _NO_MESSAGES, is_noted=True)
    context = client.context(hooks.MESSAGE)
    context.data = request.data
    try:
        known.answer(context, hooks.MESSAGE)
    except Refused as refused:
        log.debug("client %s (user %r): message refused: %s", client.uid, client.user, refused)


CONNECTION_COMMANDS: Mapping[str, Callable[[ServedClient, int, Any], None]] = {
    "connect": _connect,
    "refresh": _refresh,
    "rpc": _rpc,
}
"""The function that carries out each method, called with the client, the ID of the command, and the request."""
