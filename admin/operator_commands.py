"""The commands of operators that Centrifugo v1 does not have: queries to all nodes, and actions on one connection.

Specification: docs/admin.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from ..app.config.config import Config
from ..app.config.options import options_of
from ..app.config.visible_options import default_channel_options
from ..app.model.errors import NAMESPACE_NOT_FOUND, Refused
from ..app.model.events import Publication
from ..app.model.payload import BINARY_MARK
from ..app.node.closed_clients import MAX_KEPT_CLOSED
from ..app.node.control import WatchNamespace
from ..app.node.node import Node
from ..app.node.questions import (
    MAX_RANKED,
    MAX_WAITING,
    PAGE_SIZE,
    ChannelAnswer,
    ChannelQuestion,
    ClientsAnswer,
    ClientsQuestion,
    ListAnswer,
    ListItem,
    ListQuestion,
    NodeAnswer,
    NodeQuestion,
)
from ..app.node.user_commands import CloseConnections, EndSubscriptions
from ..app.node.watched_namespaces import MAX_WATCH_TIME
from ..app.protocol.v1 import wire
from ..app.protocol.v1.wire import Command, Text, encode_api_reply
from ..engines.base import HistoryFilter


class ListParams(msgspec.Struct):
    """Params of the command `list`, which sends a ListQuestion to all nodes."""

    kind: Literal["channels", "users"] = "channels"
    text: Text = ""
    prefix: bool = False
    order: Literal["name", "count", "rate"] = "count"
    after: str | None = None
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_RANKED)] = 0


class ChannelOf(msgspec.Struct):
    """Params of the commands `channel` and `stream`."""

    channel: str = ""


class ConnectionParams(msgspec.Struct):
    """Params of the commands that concern one connection; `channel` only where a subscription is ended."""

    user: str
    client: Annotated[str, msgspec.Meta(min_length=1)]
    channel: str = ""


class WatchParams(msgspec.Struct):
    """Params of the command `watch_namespace`; the empty namespace is that of channels without one."""

    namespace: str = ""
    seconds: Annotated[float, msgspec.Meta(ge=0, le=MAX_WATCH_TIME)] = 60.0


_list_params = msgspec.json.Decoder(ListParams)
_channel_params = msgspec.json.Decoder(ChannelOf)
_connection_params = msgspec.json.Decoder(ConnectionParams)
_watch_params = msgspec.json.Decoder(WatchParams)


def _list(node: Node, command: Command) -> object:
    params = wire.decode_with(_list_params, command)
    text, offset = params.text or "", params.offset
    question = ListQuestion(params.kind, text, params.prefix, params.order, params.after, offset)
    answers = node.cluster.surveys.ask(question, ListAnswer)
    items = merge_lists(answers, params.order)
    is_ranked = params.order != "name"
    if is_ranked:
        items = items[:MAX_RANKED][offset:]
    return {
        "items": [{"name": item.name, "count": item.count, "rate": item.rate} for item in items[:PAGE_SIZE]],
        "has_more": len(items) > PAGE_SIZE or (not is_ranked and sum(len(one.items) for one in answers) > PAGE_SIZE),
        "total": sum(answer.total for answer in answers),
        "nodes": len(answers),
    }


def merge_lists(answers: Sequence[ListAnswer], order: str) -> list[ListItem]:
    """Combine the lists of all nodes: counts are added, and the rate is that of the node that has the highest."""
    items: dict[str, ListItem] = {}
    for item in (item for answer in answers for item in answer.items):
        known = items.get(item.name)
        if known is None:
            items[item.name] = item
            continue
        known.count += item.count
        if item.rate is not None:
            known.rate = max(item.rate, known.rate or 0.0)
    by: Callable[[ListItem], Any] = {
        "name": lambda item: item.name,
        "count": lambda item: (-item.count, item.name),
        "rate": lambda item: (-(item.rate or 0.0), -item.count, item.name),
    }[order]
    return sorted(items.values(), key=by)


def _clients(node: Node, command: Command) -> object:
    answers = node.cluster.surveys.ask(ClientsQuestion(), ClientsAnswer)
    waiting = sorted((one for answer in answers for one in answer.waiting), key=lambda one: -one.waiting)
    closed = sorted((one for answer in answers for one in answer.last_closed), key=lambda one: -one.at)
    return {
        "nodes": len(answers),
        "transports": _sum(answer.transports for answer in answers),
        "protocols": _sum(answer.protocols for answer in answers),
        "libraries": _sum(answer.libraries for answer in answers),
        "closed": _sum(answer.closed for answer in answers),
        "last_closed": closed[:MAX_KEPT_CLOSED],
        "waiting": waiting[:MAX_WAITING],
        "waiting_bytes": sum(answer.waiting_bytes for answer in answers),
    }


def _node_details(node: Node, command: Command) -> object:
    answers = node.cluster.surveys.ask(NodeQuestion(), NodeAnswer)
    return {"nodes": [_without_options(answer) for answer in answers], "different": different_options(answers)}


def _known_nodes(node: Node, command: Command) -> object:
    known = node.cluster.registry.known_or_lost()
    return [{**msgspec.structs.asdict(one.info), "reported_at": one.reported_at} for one in known]


def _without_options(answer: NodeAnswer) -> dict[str, object]:
    names = ("uid", "name", "version", "engine", "started_at", "loaded_at")
    return {name: getattr(answer, name) for name in names}


def different_options(answers: Sequence[NodeAnswer]) -> dict[str, dict[str, object]]:
    """Return the options that do not have the same value on all nodes: the value by uid; of a secret only a mark.

    Those of which each node has its own value, such as the port, are left out.
    """
    values: dict[str, dict[str, object]] = {}
    for answer in answers:
        for name, value in {**answer.options, **answer.secrets}.items():
            values.setdefault(name, {})[answer.uid] = value
    values.pop("channel_options", None)
    for declared in options_of(Config):
        if declared.facts.of_node:
            values.pop(declared.name, None)
    uids = {answer.uid for answer in answers}
    return {
        name: _shown_difference(name, by_node, answers)
        for name, by_node in values.items()
        if by_node.keys() != uids or len({msgspec.json.encode(value) for value in by_node.values()}) > 1
    }


def _shown_difference(name: str, by_node: Mapping[str, object], answers: Sequence[NodeAnswer]) -> dict[str, object]:
    is_secret = any(name in answer.secrets for answer in answers)
    return {uid: f"secret, mark {value}" if is_secret else value for uid, value in by_node.items()}


def _channel(node: Node, command: Command) -> object:
    channel = wire.decode_with(_channel_params, command).channel
    node.channel_samples.open(channel)
    answers = node.cluster.surveys.ask(ChannelQuestion(channel), ChannelAnswer)
    rates = [answer.rate for answer in answers if answer.rate is not None]
    return {
        "subscribers": sum(answer.subscribers for answer in answers),
        "nodes": {answer.node: answer.subscribers for answer in answers if answer.subscribers},
        "rate": max(rates, default=None),
        "namespace": node.rules.namespace(channel),
        "watched_for": node.watched_namespaces.remaining().get(node.rules.namespace(channel)),
    }


def _stream(node: Node, command: Command) -> object:
    """Return the newest publications with their offsets, newest first, and the position to recover from."""
    channel = wire.decode_with(_channel_params, command).channel
    found = node.stream(channel, HistoryFilter(PAGE_SIZE, reverse=True))
    publications = [_describe(publication) for publication in found.publications]
    return {"publications": publications, "offset": found.top.offset, "epoch": found.top.epoch}


def _describe(publication: Publication) -> dict[str, object]:
    encoded: dict[str, object] = msgspec.json.decode(wire.encode_publication(publication), type=dict[str, msgspec.Raw])
    encoded["offset"] = publication.offset
    if publication.data.startswith(BINARY_MARK):
        encoded["is_base64"] = True
    if publication.tags:
        encoded["tags"] = publication.tags
    return encoded


def _watch_namespace(node: Node, command: Command) -> object:
    params = wire.decode_with(_watch_params, command)
    known = {"", *(space.name for space in node.config.namespaces)}
    if params.namespace not in known:
        raise Refused(NAMESPACE_NOT_FOUND)
    wanted = WatchNamespace(params.namespace, params.seconds)
    node.watched_namespaces.watch(wanted)
    node.cluster.publish(wanted)
    return node.watched_namespaces.remaining()


def _list_watched(node: Node, command: Command) -> object:
    return node.watched_namespaces.remaining()


def _close_connection(node: Node, command: Command) -> object:
    params = wire.decode_with(_connection_params, command)
    node.carry_out(CloseConnections(params.user, client=params.client))
    return True


def _end_subscription(node: Node, command: Command) -> object:
    params = wire.decode_with(_connection_params, command)
    node.carry_out(EndSubscriptions(params.user, client=params.client, channel=params.channel))
    return True


def _channel_defaults(node: Node, command: Command) -> object:
    return default_channel_options()


def _sum(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total.most_common())


_COMMANDS: Mapping[str, Callable[[Node, Command], object]] = {
    "list": _list,
    "clients": _clients,
    "known_nodes": _known_nodes,
    "node_details": _node_details,
    "channel": _channel,
    "channel_defaults": _channel_defaults,
    "stream": _stream,
    "watch_namespace": _watch_namespace,
    "watched_namespaces": _list_watched,
    "close_connection": _close_connection,
    "end_subscription": _end_subscription,
}

OPERATOR_COMMANDS = frozenset(_COMMANDS)


def answer_operator(node: Node, command: Command) -> bytes:
    """Carry out one of OPERATOR_COMMANDS and encode its reply. Raises InvalidJSON for invalid params."""
    method = command.method or ""
    try:
        data = _COMMANDS[method](node, command)
    except Refused as refused:
        return encode_api_reply(command.uid, method, error=refused.error)
    return encode_api_reply(command.uid, method, wire.data_body(data))
