"""The metrics of a node under the names of Centrifugo 6, as far as the same thing is counted (docs/stats.md).

Dashboards and alerts for Centrifugo work with them. Labels that only Centrifugo has are left out, such as `frame_type`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from ..app.model import errors as model
from ..app.node.breakdowns import Breakdowns
from ..app.node.hooks import PROXY
from ..app.node.node import Node
from ..app.protocol.v2.errors import disconnect_of, error_of
from ..app.runtime.histogram import Histogram
from ..engines.health import ServerFigures
from .metrics import build_durations, recovered_label

MESSAGE_TYPES = {"publication": "client_msg", "join": "join_msg", "leave": "leave_msg", "control": "control_msg"}
ACTIONS = {
    "add_client": "node_num_add_client_conn",
    "remove_client": "node_num_remove_client_conn",
    "add_subscription": "node_num_add_client_sub",
    "remove_subscription": "node_num_remove_client_sub",
    "add_presence": "node_num_add_presence",
    "remove_presence": "node_num_remove_presence",
    "presence": "node_num_presence",
    "history": "node_num_history",
}
TRAFFIC_NAMES = {
    "client_connections_accepted": "accepted",
    "transport_messages_sent": "frames_sent",
    "transport_messages_sent_size": "bytes_sent",
    "transport_messages_received": "messages_received",
    "transport_messages_received_size": "bytes_received",
}
PROXY_TYPES = ("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc")
_CLOSE_CODES = {
    value.reason: disconnect_of(value).code for value in vars(model).values() if isinstance(value, model.Disconnect)
}
"""The codes of version 2 for the reasons of version 1."""


def centrifugo_exposition(node: Node) -> Callable[[], bytes]:
    """Return a function that builds the response to a scrape of `node` for the names of Centrifugo."""
    registry = CollectorRegistry()
    registry.register(CentrifugoCollector(node))
    ProcessCollector(registry=registry)
    # The library would add _total to the names of counters. All metrics that it calls untyped are counters.
    return lambda: generate_latest(registry).replace(b" untyped\n", b" counter\n")


class CentrifugoCollector(Collector):
    """Reads the metrics of a node at each scrape, and stores nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> Iterable[Metric]:
        """Return no metrics at registration, which would otherwise read the node."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all current metrics."""
        node, hub = self._node, self._node.hub
        yield _gauge("node_build", "Version of the node.", {(node.version,): 1}, "version")
        yield _gauge("node_num_clients", "Connections.", {(): hub.num_connections})
        yield _gauge("node_num_users", "Users with a connection.", {(): hub.num_users})
        yield _gauge("node_num_subscriptions", "Subscriptions.", {(): hub.num_subscriptions})
        yield _gauge("node_num_channels", "Channels with a subscriber.", {(): hub.num_channels})
        yield _gauge("node_num_nodes", "Nodes of the cluster.", {(): len(node.cluster.registry.known())})
        yield from _of_node(node.cluster.own_info().metrics)
        yield from _of_traffic(node.metrics.breakdowns)
        yield from _of_commands(node.metrics.breakdowns)
        yield from _of_proxies(node.metrics.breakdowns)
        yield from _of_closes(node.metrics.breakdowns)
        yield _of_broker(node.engine_servers())


def _of_node(counters: Mapping[str, int]) -> Iterator[Metric]:
    sent = {(kind,): counters[f"node_num_{name}_published"] for kind, name in MESSAGE_TYPES.items()}
    yield _counter("node_messages_sent_count", "Messages sent to the engine.", sent, "type")
    received = {(kind,): counters[f"node_num_{name}_received"] for kind, name in MESSAGE_TYPES.items()}
    yield _counter("node_messages_received_count", "Messages received from the engine.", received, "type")
    actions = {(action,): counters[name] for action, name in ACTIONS.items()}
    yield _counter("node_action_count", "Actions of the node.", actions, "action")


def _of_traffic(breakdowns: Breakdowns) -> Iterator[Metric]:
    inflight: Counter[tuple[str, ...]] = Counter()
    for kind, traffic in breakdowns.traffic.items():
        inflight[kind.transport,] += traffic.connections
    yield _gauge("client_connections_inflight", "Open connections.", inflight, "transport")
    for name, field in TRAFFIC_NAMES.items():
        counts: Counter[tuple[str, ...]] = Counter()
        for kind, traffic in breakdowns.traffic.items():
            counts[kind.transport,] += getattr(traffic, field)
        yield _counter(name, "By transport, since the start.", counts, "transport")


def _of_commands(breakdowns: Breakdowns) -> Iterator[Metric]:
    of_clients = {(method,): histogram for method, histogram in breakdowns.client_commands.items()}
    yield from _durations("client_command_duration_seconds", "Commands of clients.", of_clients, "method")
    yield from _durations(
        "api_command_duration_seconds", "Requests of backends.", breakdowns.api_requests, "protocol", "method"
    )
    yield _counter(
        "api_command_errors_total", "Errors of the API.", breakdowns.api_errors, "protocol", "method", "error"
    )
    replies: Counter[tuple[str, ...]] = Counter()
    for kind, count in breakdowns.client_errors.items():
        code = kind.error if kind.error.isdecimal() else str(error_of(model.Error(kind.error)).code)
        replies[kind.method, code] += count
    recoveries = {(recovered_label(recovered),): count for recovered, count in breakdowns.recoveries.items()}
    yield _counter("client_recover", "Recoveries of clients.", recoveries, "recovered")
    yield _counter("client_num_reply_errors", "Errors in replies to clients.", replies, "method", "code")


def _of_proxies(breakdowns: Breakdowns) -> Iterator[Metric]:
    of_proxies = {
        ("http", kind.event): calls
        for kind, calls in breakdowns.hooks.items()
        if kind.kind == PROXY and kind.event in PROXY_TYPES
    }
    durations = {key: calls.durations for key, calls in of_proxies.items()}
    yield from _durations("proxy_duration_seconds", "Calls of proxies.", durations, "protocol", "type")
    failures = {key: calls.failures for key, calls in of_proxies.items()}
    yield _counter("proxy_errors", "Calls of proxies that failed.", failures, "protocol", "type")


def _of_closes(breakdowns: Breakdowns) -> Iterator[Metric]:
    closes: Counter[tuple[str, ...]] = Counter()
    for kind, count in breakdowns.closes.items():
        if kind.code:
            closes[str(_CLOSE_CODES.get(kind.reason, kind.code)),] += count
    yield _counter("client_num_server_disconnects", "Connections that the server has closed.", closes, "code")
    ended = {(code,): count for code, count in breakdowns.unsubscribes.items()}
    yield _counter("client_num_server_unsubscribes", "Subscriptions that the server has ended.", ended, "code")


def _of_broker(servers: list[ServerFigures]) -> Metric:
    lost = sum(figures.health.reconnects["subscriptions"] for figures in servers)
    meaning = "How often a connection for subscriptions was lost and opened again."
    return _counter("broker_redis_pub_sub_errors", meaning, {("connection lost",): lost}, "error")


def _gauge(name: str, meaning: str, values: Mapping[Any, float], *labels: str) -> Metric:
    family = GaugeMetricFamily(f"centrifugo_{name}", meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, meaning: str, values: Mapping[Any, float], *labels: str) -> Metric:
    family = Metric(f"centrifugo_{name}", meaning, "unknown")
    for key, value in values.items():
        family.add_sample(family.name, dict(zip(labels, key, strict=True)), value)
    return family


def _durations(name: str, meaning: str, histograms: Mapping[Any, Histogram], *labels: str) -> Iterator[Metric]:
    """Return a summary without quantiles, and a histogram beside it, as in Centrifugo."""
    summary = SummaryMetricFamily(f"centrifugo_{name}", f"Durations: {meaning}", labels=labels)
    for key, histogram in histograms.items():
        summary.add_metric(key, histogram.count, histogram.seconds)
    yield summary
    yield build_durations(f"centrifugo_{name}_histogram", f"Durations: {meaning}", labels, histograms)
