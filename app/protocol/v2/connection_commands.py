"""The commands of protocol version 2 that concern the connection as a whole: connect, refresh and rpc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .connecting import identify, refreshed
from .errors import (
    CHANNEL_LIMIT,
    CLOSE_BAD_REQUEST,
    CONNECTION_LIMIT,
    METHOD_NOT_FOUND,
    TOKEN_EXPIRED,
    Closing,
    Refused,
)
from .messages import (
    ConnectRequest,
    ConnectResult,
    RefreshRequest,
    RefreshResult,
    Reply,
    RPCRequest,
    SubscribeResult,
)
from .served_client import Identity, ServedClient
from .subscriptions import ClosedMeanwhile, ttl


def _connect(client: ServedClient, id_: int, request: ConnectRequest) -> None:
    client.node.metrics.counters.client_num_connect += 1
    if client.authenticated:
        raise Closing(CLOSE_BAD_REQUEST, "a second connect")
    try:
        identity = identify(client, request)
    except Refused as refused:
        if refused.error is TOKEN_EXPIRED:
            client.refuse()
        raise
    if client.closed:
        raise ClosedMeanwhile
    _check_limits(client, identity)
    client.authenticate(identity, f"{request.name} {request.version}".strip())
    subs = {wanted.channel: client.subscribe(wanted) for wanted in identity.subscriptions}
    client.reply(Reply(id_, connect=_connect_result(client, identity, subs)))
    for channel in subs:
        client.go_live(channel)
    client.start_pings()


def _check_limits(client: ServedClient, identity: Identity) -> None:
    config = client.node.config
    limit = config.user_connection_limit
    if limit > 0 and identity.user and len(client.node.hub.user_connections(identity.user)) >= limit:
        raise Closing(CONNECTION_LIMIT)
    if len(identity.subscriptions) > config.client_channel_limit:
        raise Closing(CHANNEL_LIMIT)


def _connect_result(client: ServedClient, identity: Identity, subs: dict[str, SubscribeResult]) -> ConnectResult:
    return ConnectResult(
        client=client.uid,
        version=client.node.version,
        expires=identity.expires_at > 0,
        ttl=ttl(identity.expires_at),
        subs=subs,
        ping=max(round(client.node.config.ping_interval), 1) if client.has_pings else 0,
        pong=client.has_pings,
    )


def _refresh(client: ServedClient, id_: int, request: RefreshRequest) -> None:
    identity = refreshed(client, request)
    client.default_info = identity.info
    client.expire_at(identity.expires_at)
    result = RefreshResult(expires=identity.expires_at > 0, ttl=ttl(identity.expires_at))
    client.reply(Reply(id_, refresh=result))


def _rpc(client: ServedClient, id_: int, request: RPCRequest) -> None:
    raise Refused(METHOD_NOT_FOUND)


HANDLERS: Mapping[str, Callable[[ServedClient, int, Any], None]] = {
    "connect": _connect,
    "refresh": _refresh,
    "rpc": _rpc,
}
"""What carries out each method: it gets the client, the id of the command, and the request."""
