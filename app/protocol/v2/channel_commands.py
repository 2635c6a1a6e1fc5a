"""Carries out the commands of protocol version 2 that name a channel: checks each request, and sends the reply."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

from msgspec import Raw

from ....engines.base import HistoryFilter
from ...config.channel_options import ChannelOptions
from ...model.events import StreamPosition
from ...model.json_codec import InvalidJSON
from ...model.payload import NO_PAYLOAD, payload
from ...model.subscription_options import UNCHANGED
from ...node import hooks
from ...node.channels import ChannelRules, history_options
from ...node.proxy_events import AllowedSubscription, approved_data, ask_subscription
from ...runtime.log_throttle import ONCE, ThrottledLog
from . import permissions
from .deltas import FOSSIL
from .errors import (
    CLOSE_BAD_REQUEST,
    ERROR_ALREADY_SUBSCRIBED,
    ERROR_BAD_REQUEST,
    ERROR_EXPIRED,
    ERROR_LIMIT_EXCEEDED,
    ERROR_PERMISSION_DENIED,
    CodedClosing,
    CodedRefusal,
)
from .granting import subscription_token
from .messages import (
    HistoryRequest,
    HistoryResult,
    PresenceRequest,
    PresenceResult,
    PresenceStatsRequest,
    PresenceStatsResult,
    PublishRequest,
    PublishResult,
    Reply,
    SubRefreshRequest,
    SubRefreshResult,
    SubscribeRequest,
    UnsubscribeRequest,
    UnsubscribeResult,
    client_info,
)
from .permissions import Requester
from .served_client import ServedClient
from .stream_messages import message_of
from .subscriptions import GrantedSubscription, ttl
from .tags_filter import InvalidFilter, TagsFilter, tags_filter

log = logging.getLogger(__name__)

_closed_channels = ThrottledLog(log, logging.INFO, interval=ONCE)
_ACTIONS = {
    "subscribe": "subscribe to",
    "publish": "publish in",
    "presence": "read the presence of",
    "history": "read the history of",
}
"""The commands that options can allow, as they are called in the log."""


def _subscribe(client: ServedClient, id_: int, request: SubscribeRequest) -> None:
    _check_subscribe(client, request)
    token = subscription_token(client, request.channel, request.token) if request.token else None
    rules = client.node.rules
    options = rules.options(request.channel)
    if token is None and not (
        rules.allows_user(request.channel, client.user) and rules.allows_client(request.channel, client.uid)
    ):
        raise CodedRefusal(ERROR_PERMISSION_DENIED, rules.reason_in_name(request.channel, client.user))
    if client.node.hooks.has(hooks.SUBSCRIBE):
        client.node.hooks.ask(client.context(hooks.SUBSCRIBE, request.channel))
        _check_subscribe(client, request)  # the state may have changed while the hook ran
    given, expires_at = UNCHANGED, 0.0
    if token is not None:
        given, expires_at = token.options, token.expires_at
    elif options.proxy_subscribe and rules.asks_backend(request.channel):
        allowed = _ask_backend(client, request)
        given, expires_at = allowed.options, allowed.expires_at
    else:
        _check_open(client, request.channel)
    granted = permissions.grant(options, request, client.user, client.node.config.insecure)
    if given is not UNCHANGED:
        granted = permissions.apply_override(granted, given, options)
    passes, shown = _filter(rules, options, request), Raw(given.data) if given.data else NO_PAYLOAD
    result = client.subscribe(
        GrantedSubscription(request.channel, request, granted, given.info, expires_at, shown, passes=passes)
    )
    client.reply(Reply(id_, subscribe=result), request.channel)
    client.go_live(request.channel, result)


def _ask_backend(client: ServedClient, request: SubscribeRequest) -> AllowedSubscription:
    """Return the subscription that a backend allows.

    May block. Raises Refused or Closing if the backend refuses, and the exceptions of `_check_subscribe`.
    """
    context = client.context(hooks.SUBSCRIBE, request.channel)
    context.data = request.data
    allowed = ask_subscription(client.node.hooks, context)
    if 0 < allowed.expires_at <= time.time():
        raise CodedRefusal(ERROR_EXPIRED)
    _check_subscribe(client, request)  # the state may have changed while the backend was asked
    return allowed


def _check_open(client: ServedClient, channel: str) -> None:
    """Raise CodedRefusal unless a client may subscribe to a channel without a token."""
    if not (client.node.config.insecure or permissions.may_subscribe(client.node.rules, channel, client.user)):
        _refuse(client, channel, "subscribe")


def _refuse(client: ServedClient, channel: str, command: str) -> NoReturn:
    """Raise CodedRefusal for a command that the options do not allow, and log the option that would.

    The reply cannot contain it. It is logged at level INFO once for each namespace, and otherwise at level DEBUG.
    """
    rules, who = client.node.rules, "client" if client.user else "anonymous"
    namespace, option = rules.namespace(channel), f"allow_{command}_for_{who}"
    place = rules.options_place(channel)
    if command != "subscribe":
        why = f"it needs option {option}, or as a subscriber allow_{command}_for_subscriber, {place}"
    elif rules.is_private(channel):
        option = client.node.config.private_channel_prefix
        why = f"the request has no subscription token, which channels that begin with {option} require"
    else:
        why = f"the request has no subscription token, and option {option} is off {place}"
        if client.user and rules.names_users(channel):
            option = "allow_user_limited_channels"
            why = f"{why}, as is {option}, which lets the users in the name of the channel subscribe"
    message = f"client %s (user %r) may not {_ACTIONS[command]} %r: %s"
    arguments = client.uid, client.user, channel, why
    if not _closed_channels.log(f"{option} {namespace}", f"{message} (logged once)", *arguments):
        log.debug(message, *arguments)
    raise CodedRefusal(ERROR_PERMISSION_DENIED)


def _check_subscribe(client: ServedClient, request: SubscribeRequest) -> None:
    """Raise CodedRefusal, Refused or CodedClosing for a request that is refused whatever the channel options are."""
    channel, config = _require_channel(request.channel), client.node.config
    if request.delta not in ("", FOSSIL):
        raise CodedClosing(CLOSE_BAD_REQUEST, f"unknown delta format {request.delta!r}")
    if (length := len(channel.encode())) > config.max_channel_length:
        why = (
            f"the name of the channel has {length} bytes, and option max_channel_length is {config.max_channel_length}"
        )
        raise CodedRefusal(ERROR_BAD_REQUEST, why)
    subscribed = client.subscriptions.channels
    if channel in subscribed:
        raise CodedRefusal(ERROR_ALREADY_SUBSCRIBED)
    if len(subscribed) >= config.client_channel_limit:
        why = f"the client has as many channels as option client_channel_limit allows ({config.client_channel_limit})"
        raise CodedRefusal(ERROR_LIMIT_EXCEEDED, why)
    if request.type:
        why = f"type {request.type} in the request, which asks for a map or a shared poll, is not supported"
        raise CodedRefusal(ERROR_PERMISSION_DENIED, why)


def _filter(rules: ChannelRules, options: ChannelOptions, request: SubscribeRequest) -> TagsFilter | None:
    """Return the filter that a client requests; None without one. Raises CodedRefusal for an invalid filter."""
    if request.tf is None:
        return None
    if not options.allow_tags_filter:
        place = rules.options_place(request.channel)
        raise CodedRefusal(ERROR_BAD_REQUEST, f"a filter by tags, and option allow_tags_filter is off {place}")
    try:
        return tags_filter(request.tf)
    except InvalidFilter as error:
        raise CodedRefusal(ERROR_BAD_REQUEST, f"invalid filter by tags: {error}") from None


def _sub_refresh(client: ServedClient, id_: int, request: SubRefreshRequest) -> None:
    channel = _require_channel(request.channel)
    if channel not in client.channels:
        raise CodedRefusal(ERROR_PERMISSION_DENIED, "the client is not subscribed to the channel")
    if client.subscriptions.channels[channel].is_renewed_by_backend:
        raise CodedClosing(
            CLOSE_BAD_REQUEST, f"sub_refresh refused: a backend refreshes {channel!r} (option proxy_sub_refresh)"
        )
    if not request.token:
        raise CodedRefusal(ERROR_BAD_REQUEST, "the request has no token")
    token = subscription_token(client, channel, request.token)
    if channel not in client.channels:
        raise CodedRefusal(ERROR_PERMISSION_DENIED, "the subscription has ended while keys for tokens were fetched")
    client.subscriptions.expire_at(channel, token.expires_at)
    result = SubRefreshResult(expires=token.expires_at > 0, ttl=ttl(token.expires_at))
    client.reply(Reply(id_, sub_refresh=result))


def _unsubscribe(client: ServedClient, id_: int, request: UnsubscribeRequest) -> None:
    client.subscriptions.remove(_require_channel(request.channel))
    client.reply(Reply(id_, unsubscribe=UnsubscribeResult()))


def _publish(client: ServedClient, id_: int, request: PublishRequest) -> None:
    channel, data = _require_channel(request.channel), b"" if request.data is NO_PAYLOAD else bytes(request.data)
    if not data:
        raise CodedRefusal(ERROR_BAD_REQUEST, "the request has no data")
    _check_publish(client, channel)
    try:
        approved = approved_data(client.node, channel, data, client.context)
    except InvalidJSON:  # a client that uses Protobuf has sent other bytes; hooks receive decoded JSON
        raise CodedRefusal(ERROR_BAD_REQUEST, "the data is not JSON, and a hook for publications needs JSON") from None
    if approved is not None:
        data = approved
        _check_publish(client, channel)  # the state may have changed in the meantime
    client.node.metrics.counters.client_num_msg_published += 1
    client.node.publish(channel, payload(data), client.uid, client.subscriptions.info(channel))
    client.reply(Reply(id_, publish=PublishResult()))


def _check_publish(client: ServedClient, channel: str) -> None:
    """Raise CodedRefusal unless the channel options let a client publish, or let a backend decide."""
    options = client.node.rules.options(channel)
    if not (options.proxy_publish or permissions.may_publish(options, _requester(client, channel))):
        _refuse(client, channel, "publish")


def _presence(client: ServedClient, id_: int, request: PresenceRequest) -> None:
    _check_presence(client, request.channel)
    clients = {uid: client_info(info) for uid, info in client.node.presence(request.channel).items()}
    client.reply(Reply(id_, presence=PresenceResult(clients)), request.channel)


def _presence_stats(client: ServedClient, id_: int, request: PresenceStatsRequest) -> None:
    _check_presence(client, request.channel)
    stats = client.node.presence_stats(request.channel)
    client.reply(Reply(id_, presence_stats=PresenceStatsResult(stats.num_clients, stats.num_users)))


def _check_presence(client: ServedClient, channel: str) -> None:
    options = client.node.rules.options(_require_channel(channel))
    if not options.presence:
        raise client.node.rules.no_presence(channel)
    if not permissions.may_read_presence(options, _requester(client, channel)):
        _refuse(client, channel, "presence")


def _history(client: ServedClient, id_: int, request: HistoryRequest) -> None:
    channel = _require_channel(request.channel)
    options = client.node.rules.options(channel)
    _check_history(client, channel, options)
    max_limit = client.node.config.client_history_max_publication_limit
    limit = max_limit if request.limit < 0 else min(request.limit, max_limit)
    since = None if request.since is None else StreamPosition(request.since.offset, request.since.epoch)
    stream = client.node.stream(channel, HistoryFilter(limit, since, request.reverse))
    publications = [message_of(publication) for publication in stream.publications]
    client.reply(Reply(id_, history=HistoryResult(publications, stream.top.epoch, stream.top.offset)), channel)


def _check_history(client: ServedClient, channel: str, options: ChannelOptions) -> None:
    if history_options(options) is None:
        raise client.node.rules.no_history(channel)
    if not permissions.may_read_history(options, _requester(client, channel)):
        _refuse(client, channel, "history")


def _require_channel(channel: str) -> str:
    """Return the channel of a command. Raises CodedClosing if it is empty."""
    if not channel:
        raise CodedClosing(CLOSE_BAD_REQUEST, "command without a channel")
    return channel


def _requester(client: ServedClient, channel: str) -> Requester:
    return Requester(client.user, channel in client.channels, client.node.config.insecure)


CHANNEL_COMMANDS: dict[str, Callable[[ServedClient, int, Any], None]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "sub_refresh": _sub_refresh,
    "publish": _publish,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "history": _history,
}
"""The function that carries out each method, called with the client, the ID of the command, and the request."""
