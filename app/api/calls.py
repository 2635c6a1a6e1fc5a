"""Carries out the methods on a node: decodes parameters, calls the node, encodes the result. Independent of HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from ...engines.base import HistoryFilter
from ..config.endpoints import API_PATH_WITHOUT_SLASH
from ..model.errors import INVALID_MESSAGE, NO_CHANNEL, Refused
from ..model.events import StreamPosition
from ..model.json_codec import check_utf8, decode
from ..model.subscription_options import SubscriptionOptions
from ..node.commands import PublishRequest
from ..node.name_pattern import InvalidPattern
from ..node.node import Node
from ..node.plain_publish import decode_plain_publish
from ..node.registry import KnownNode
from ..node.user_commands import AddSubscription, CloseConnections, EndSubscriptions, RenewConnections
from ..protocol.v2.errors import CodedError, error_of
from . import messages
from .batch import Batches
from .command_list import CommandLists
from .messages import Position
from .methods import BATCH, COMMANDS, METHODS_PROTOCOL, PUBLISH_METHOD, BatchParams
from .plain_batch import decode_plain_batch
from .publishing import json_or_base64, publish_in_groups, publish_options, publish_request, published_data
from .replies import EMPTY_RESULT, encode_history, encode_position, encode_presence, encode_responses

log = logging.getLogger(__name__)

Reply: TypeAlias = bytes | CodedError
"""A reply as JSON, or the error for it."""


class MethodCalls:
    """Carries out the methods of the API on a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        decoders: dict[str, msgspec.json.Decoder[Any]] = {
            method.name: msgspec.json.Decoder(method.params) for method in COMMANDS
        }
        self._publish_decoder = decoders[PUBLISH_METHOD.name]
        self._batches = Batches(node, self.run)
        self._lists = CommandLists(self.run, decoders, self._note_nameless)
        self.by_name: Mapping[str, Callable[[bytes], Reply]] = {
            **{name: partial(self._call, name, decoder) for name, decoder in decoders.items()},
            BATCH.name: self._batch,
            PUBLISH_METHOD.name: self._publish,
        }
        """The function for each method, by name: it is called with the body of a request, and may raise InvalidJSON."""

    def _note_nameless(self) -> None:
        self._node.refusals.note_nameless(f"{self._node.config.http_prefix}{API_PATH_WITHOUT_SLASH}")

    def process_lines(self, body: bytes) -> bytes:
        """Carry out a request with one command per line (command_list.py). Raises InvalidJSON."""
        check_utf8(body)
        return self._lists.process(body, self._node.config.api_reply_max_size)

    def _batch(self, body: bytes) -> bytes:
        requests = decode_plain_batch(body)
        if requests:
            return self._batches.publish(requests)
        check_utf8(body)
        return self._batches.process(decode(_batches, body))

    def _publish(self, body: bytes) -> Reply:
        plain = decode_plain_publish(body)
        if plain is None:
            return self._call(PUBLISH_METHOD.name, self._publish_decoder, body)
        breakdowns = self._node.metrics.breakdowns
        breakdowns.api_commands[_PUBLISH_KEY] += 1
        try:
            position = self._node.publish(*plain)
        except Refused as refused:
            return self._refused(PUBLISH_METHOD.name, refused)
        return _PUBLISHED if position is None else b'{"result":%b}' % encode_position(position)

    def _call(self, name: str, decoder: msgspec.json.Decoder[messages.Params], body: bytes) -> Reply:
        check_utf8(body)
        result = self.run(name, decode(decoder, body))
        return result if isinstance(result, CodedError) else b'{"result":%b}' % result

    def run(self, name: str, params: messages.Params) -> Reply:
        """Carry out one method other than `batch`. Returns the result as JSON, or the error."""
        breakdowns = self._node.metrics.breakdowns
        breakdowns.api_commands[METHODS_PROTOCOL, name] += 1
        try:
            return _HANDLERS[name](self._node, params)
        except Refused as refused:
            return self._refused(name, refused)

    def _refused(self, name: str, refused: Refused) -> CodedError:
        error = error_of(refused.error)
        self._node.refusals.note_backend(name, refused)
        self._node.metrics.breakdowns.note_api_error(METHODS_PROTOCOL, name, str(error.code))
        return error


_batches = msgspec.json.Decoder(BatchParams)
_PUBLISH_KEY = METHODS_PROTOCOL, PUBLISH_METHOD.name
_PUBLISHED = b'{"result":%b}' % EMPTY_RESULT
"""The reply to `publish` if the publication is not stored in a history."""


# -- publish


def _publish(node: Node, params: messages.PublishParams) -> bytes:
    channel, data, client, uid, options = publish_request(params)
    return encode_position(node.publish(channel, data, client, uid=uid, options=options))


def _broadcast(node: Node, params: messages.BroadcastParams) -> bytes:
    if not params.channels:
        raise Refused(INVALID_MESSAGE, "channels is missing or empty")
    data, options = published_data(params), publish_options(params)
    return encode_responses(
        publish_in_groups(
            node,
            [PublishRequest(name, data, options=options) if name else INVALID_MESSAGE for name in params.channels],
        )
    )


# -- connections


def _subscribe(node: Node, params: messages.SubscribeParams) -> bytes:
    if not params.channel:
        raise Refused(INVALID_MESSAGE, NO_CHANNEL)
    since = params.recover_since
    command = AddSubscription(
        user=params.user or "",
        client=params.client or "",
        session=params.session or "",
        channel=params.channel,
        expires_at=params.expire_at or 0,
        options=SubscriptionOptions(
            json_or_base64(params.info, params.b64info),
            json_or_base64(params.data, params.b64data),
            **({} if params.override is None else params.override.values()),
        ),
        recover_offset=since.offset if since else 0,
        recover_epoch=since.epoch if since else None,
    )
    node.carry_out(command)
    return EMPTY_RESULT


def _unsubscribe(node: Node, params: messages.UnsubscribeParams) -> bytes:
    node.carry_out(
        EndSubscriptions(params.user or "", params.client or "", params.session or "", channel=params.channel or "")
    )
    return EMPTY_RESULT


def _disconnect(node: Node, params: messages.DisconnectParams) -> bytes:
    why = params.disconnect or messages.DisconnectReason()
    node.carry_out(
        CloseConnections(
            params.user or "",
            params.client or "",
            params.session or "",
            kept=params.whitelist or [],
            code=why.code or 0,
            reason=why.reason or "",
        )
    )
    return EMPTY_RESULT


def _refresh(node: Node, params: messages.RefreshParams) -> bytes:
    command = RenewConnections(
        user=params.user or "",
        client=params.client or "",
        session=params.session or "",
        expired=bool(params.expired),
        expires_at=params.expire_at or 0,
        info=json_or_base64(params.info, None),
    )
    node.carry_out(command)
    return EMPTY_RESULT


# -- presence and history


def _presence(node: Node, params: messages.ChannelParams) -> bytes:
    return encode_presence(node.presence(params.channel or ""))


def _presence_stats(node: Node, params: messages.ChannelParams) -> bytes:
    stats = node.presence_stats(params.channel or "")
    return msgspec.json.encode(messages.PresenceStatsResult(stats.num_clients, stats.num_users))


def _history(node: Node, params: messages.HistoryParams) -> bytes:
    since = _position(params.since)
    return encode_history(
        node.stream(params.channel or "", HistoryFilter(params.limit or 0, since, bool(params.reverse)))
    )


def _position(position: Position | None) -> StreamPosition | None:
    return None if position is None else StreamPosition(position.offset, position.epoch)


def _history_remove(node: Node, params: messages.ChannelParams) -> bytes:
    node.remove_history(params.channel or "")
    return EMPTY_RESULT


# -- the server


def _channels(node: Node, params: messages.ChannelsParams) -> bytes:
    try:
        subscribers = node.cluster.surveys.matching_subscribers(params.pattern or "")
    except InvalidPattern:
        raise Refused(INVALID_MESSAGE, "pattern is invalid") from None
    counts = {channel: messages.ChannelInfo(count) for channel, count in subscribers.items()}
    return msgspec.json.encode(messages.ChannelsResult(counts))


def _info(node: Node, params: messages.InfoParams) -> bytes:
    interval = node.config.node_metrics_interval
    return msgspec.json.encode(messages.InfoResult([_node(known, interval) for known in node.cluster.known_nodes()]))


def _node(known: KnownNode, interval: float) -> messages.NodeResult:
    info, details = known.info, known.details
    return messages.NodeResult(
        uid=info.uid,
        name=info.name,
        version=details.version,
        num_clients=info.metrics.get("node_num_clients", 0),
        num_users=info.metrics.get("node_num_unique_clients", 0),
        num_subs=details.num_subscriptions,
        num_channels=info.metrics.get("node_num_channels", 0),
        uptime=info.metrics.get("node_uptime_seconds", 0),
        metrics=messages.NodeMetrics(interval, {name: float(value) for name, value in info.metrics.items()}),
    )


_HANDLERS: dict[str, Callable[[Node, Any], bytes]] = {
    "publish": _publish,
    "broadcast": _broadcast,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "disconnect": _disconnect,
    "refresh": _refresh,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "history": _history,
    "history_remove": _history_remove,
    "channels": _channels,
    "info": _info,
}
