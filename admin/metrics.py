"""The metrics of a node in the format of Prometheus, with names that begin with `gentrifugo_` (docs/stats.md).

Nothing is stored here: each scrape reads the figures of the node. All labels have a limited number of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ..app.node.breakdowns import Breakdowns
from ..app.node.node import Node
from ..app.runtime.histogram import BOUNDS, Histogram
from ..engines.health import ServerFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "gentrifugo_"
GAUGES = {
    "node_num_clients": "Authenticated connections.",
    "node_num_unique_clients": "Distinct users of authenticated connections.",
    "node_num_channels": "Channels with a subscriber on this node.",
    "node_uptime_seconds": "Seconds since the start.",
}
COUNTERS = {
    "http_raw_ws_num_requests": "WebSockets opened.",
    "http_sockjs_num_requests": "SockJS requests: each poll, each stream, each request that sends, each WebSocket.",
    "client_api_num_requests": "Messages of clients; an array of commands is one.",
    "client_bytes_in": "Bytes of messages of clients, without WebSocket framing.",
    "client_num_closed_slow": (
        "Clients closed as slow. They may never learn the reason, because their socket is full; the log has it, too."
    ),
    "client_num_closed_send_error": "Clients that could not be written to, or not within client_message_write_timeout.",
    "client_num_closed_ping_error": "Clients that did not answer a ping.",
    "client_num_connect": "Commands connect, including failed ones.",
    "client_num_subscribe": "Commands subscribe, including failed ones.",
    "client_num_msg_published": "Messages that clients published.",
    "client_num_msg_queued": (
        "Frames queued for clients: messages, joins, leaves, replies, pings, closes. A message to 100 "
        "subscribers is 100."
    ),
    "client_num_msg_sent": (
        "Frames that were written to sockets. The difference to client_num_msg_queued is what still waits, "
        "and what was lost when connections ended."
    ),
    "client_bytes_out": "Bytes written to sockets of clients, including framing.",
    "http_api_num_requests": "API requests, including refused ones; an array of commands is one.",
    "node_num_client_msg_published": (
        "Messages that clients and backends published on this node, also those that reached nobody."
    ),
    "node_num_client_msg_received": "Messages that came from the engine, for subscribers on this node.",
    "node_num_join_msg_published": "Joins handed to the engine.",
    "node_num_join_msg_received": "Joins that came from the engine.",
    "node_num_leave_msg_published": "Leaves handed to the engine.",
    "node_num_leave_msg_received": "Leaves that came from the engine.",
    "node_num_control_msg_published": "Messages to the other nodes; each node reports every node_ping_interval.",
    "node_num_control_msg_received": "Messages from nodes, including its own.",
    "node_num_admin_msg_published": (
        "Messages published on this node in channels with watch, while an operator watches."
    ),
    "node_num_admin_msg_received": "Messages of other nodes in channels with watch that came here to be shown.",
    "node_num_add_client_conn": "Clients that connected successfully.",
    "node_num_remove_client_conn": "Connected clients that left.",
    "node_num_add_client_sub": "Subscriptions made.",
    "node_num_remove_client_sub": "Subscriptions ended.",
    "node_num_add_presence": "Entries written to presence, including renewals.",
    "node_num_remove_presence": "Removals from presence.",
    "node_num_presence": "Requests for presence, by clients and backends.",
    "node_num_history": "Requests for history, by clients, backends and recovery.",
    "node_num_last_message_id": "Lookups of the newest uid, for last in replies to subscribe.",
}
"""What each counter counts, with the words of docs/stats.md. `# HELP` has it in Prometheus."""
TRAFFIC_COUNTERS = {
    "client_connections_accepted": ("accepted", "Connections that were authenticated."),
    "client_messages_received": ("messages_received", "Messages of clients; an array of commands counts as one."),
    "client_received_bytes": ("bytes_received", "Bytes of messages of clients, without framing."),
    "client_frames_sent": ("frames_sent", "Frames written to clients."),
    "client_sent_bytes": ("bytes_sent", "Bytes written to clients, including framing."),
}


def exposition(node: Node) -> Callable[[], bytes]:
    """Return a function that builds the response to a scrape of `node`."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    ProcessCollector(namespace="gentrifugo", registry=registry)
    return lambda: generate_latest(registry)


def build_durations(name: str, meaning: str, labels: Sequence[str], histograms: Mapping[Any, Histogram]) -> Metric:
    """Return the histograms as one metric, given the values of its labels for each of them."""
    family = HistogramMetricFamily(name, meaning, labels=labels)
    for values, histogram in histograms.items():
        family.add_metric(values, _buckets(histogram), histogram.seconds)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Return the cumulative counts of a histogram, with their upper bounds."""
    counted = 0
    found: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), histogram.counts, strict=True):
        counted += count
        found.append((bound, counted))
    return found


def recovered_label(recovered: bool) -> str:
    """Return the value of the label `recovered`, as Centrifugo spells it."""
    return "yes" if recovered else "no"


class NodeCollector(Collector):
    """Reads the metrics of a node at each scrape, and stores nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> Iterable[Metric]:
        """Return no metrics at registration, which would otherwise read the node."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all current metrics."""
        node, info = self._node, self._node.cluster.own_info()
        about = {"uid": info.uid, "name": info.name, "version": node.version, "engine": node.engine_name}
        yield InfoMetricFamily(f"{PREFIX}node", "Name and version of the node.", about)
        for name, meaning in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + name, meaning, info.metrics[name])
        yield from self._other_gauges()
        for name, meaning in COUNTERS.items():
            yield CounterMetricFamily(PREFIX + name, meaning, info.metrics[name])
        yield from _of_clients(node.metrics.breakdowns)
        yield from _of_backends(node.metrics.breakdowns)
        yield from _of_hooks(node.metrics.breakdowns)
        yield from _of_engine(node.engine_servers())

    def _other_gauges(self) -> Iterator[Metric]:
        hub, known = self._node.hub, self._node.cluster.registry.known()
        sizes = self._node.metrics.waiting_sizes()
        for name, meaning, value in (
            ("node_num_subscriptions", "Subscriptions of clients on this node.", hub.num_subscriptions),
            ("node_num_nodes", "Nodes that this node knows, including itself.", len(known)),
            ("node_greenlets", "Greenlets that serve a connection.", self._node.metrics.greenlets),
            ("client_queue_bytes", "Bytes that wait to be written to clients.", sum(sizes)),
            ("client_queue_max_bytes", "Bytes that wait for the client with the longest queue.", max(sizes, default=0)),
        ):
            yield GaugeMetricFamily(PREFIX + name, meaning, value)


def _of_clients(breakdowns: Breakdowns) -> Iterator[Metric]:
    traffic, labels = list(breakdowns.traffic.items()), ("transport", "protocol")
    gauge = GaugeMetricFamily(f"{PREFIX}client_connections", "Authenticated connections that are open.", labels=labels)
    for kind, figures in traffic:
        gauge.add_metric(kind, figures.connections)
    yield gauge
    for name, (field, meaning) in TRAFFIC_COUNTERS.items():
        counter = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
        for kind, figures in traffic:
            counter.add_metric(kind, getattr(figures, field))
        yield counter
    closes = CounterMetricFamily(
        f"{PREFIX}client_closes",
        "Connections that have ended; without a code if the client has closed them.",
        labels=("protocol", "code", "reason"),
    )
    for closed, count in breakdowns.closes.items():
        closes.add_metric((closed.protocol, str(closed.code or ""), closed.reason), count)
    yield closes
    errors = CounterMetricFamily(
        f"{PREFIX}client_reply_errors", "Errors in replies to clients.", labels=("protocol", "method", "error")
    )
    for error, count in breakdowns.client_errors.items():
        errors.add_metric(error, count)
    yield errors
    ended = CounterMetricFamily(
        f"{PREFIX}client_unsubscribes", "Subscriptions that the server has ended, in version 2.", labels=("code",)
    )
    for code, count in breakdowns.unsubscribes.items():
        ended.add_metric((code,), count)
    yield ended
    yield _recoveries(breakdowns)
    yield build_durations(
        f"{PREFIX}client_command_duration_seconds",
        "Durations of commands of clients in seconds.",
        ("method",),
        {(method,): histogram for method, histogram in breakdowns.client_commands.items()},
    )


def _recoveries(breakdowns: Breakdowns) -> Metric:
    recoveries = CounterMetricFamily(
        f"{PREFIX}client_recoveries", "Recoveries of clients, and whether nothing was lost.", labels=("recovered",)
    )
    for recovered, count in breakdowns.recoveries.items():
        recoveries.add_metric((recovered_label(recovered),), count)
    return recoveries


def _of_backends(breakdowns: Breakdowns) -> Iterator[Metric]:
    yield build_durations(
        f"{PREFIX}api_request_duration_seconds",
        "Durations of requests to the HTTP API in seconds.",
        ("protocol", "method"),
        breakdowns.api_requests,
    )
    commands = CounterMetricFamily(
        f"{PREFIX}api_commands",
        "Commands of backends, also those of batches and queues.",
        labels=("protocol", "method"),
    )
    for key, count in breakdowns.api_commands.items():
        commands.add_metric(key, count)
    yield commands
    errors = CounterMetricFamily(
        f"{PREFIX}api_errors", "Requests and commands that were refused.", labels=("protocol", "method", "error")
    )
    for error, count in breakdowns.api_errors.items():
        errors.add_metric(error, count)
    yield errors


def _of_hooks(breakdowns: Breakdowns) -> Iterator[Metric]:
    labels = ("kind", "event")
    durations = {kind: calls.durations for kind, calls in breakdowns.hooks.items()}
    yield build_durations(
        f"{PREFIX}hook_duration_seconds", "Durations of calls of hooks in seconds.", labels, durations
    )
    failures = CounterMetricFamily(f"{PREFIX}hook_failures", "Calls of hooks without a decision.", labels=labels)
    for kind, calls in breakdowns.hooks.items():
        failures.add_metric(kind, calls.failures)
    yield failures


def _of_engine(servers: list[ServerFigures]) -> Iterator[Metric]:
    is_up = all(figures.health.reachable for figures in servers)
    yield GaugeMetricFamily(f"{PREFIX}engine_up", "1 if all servers of the engine are reachable, otherwise 0.", is_up)
    up = GaugeMetricFamily(f"{PREFIX}engine_server_up", "1 if this server is reachable.", labels=("server",))
    since = GaugeMetricFamily(
        f"{PREFIX}engine_server_changed_timestamp_seconds",
        "When the server last became reachable or unreachable, in seconds since 1970.",
        labels=("server",),
    )
    waiting = GaugeMetricFamily(
        f"{PREFIX}engine_commands_waiting", "Commands that wait for a reply of this server.", labels=("server",)
    )
    reconnects = CounterMetricFamily(
        f"{PREFIX}engine_reconnects",
        "How often the node has connected to this server again.",
        labels=("server", "connection"),
    )
    for health in (figures.health for figures in servers):
        up.add_metric((health.name,), health.reachable)
        since.add_metric((health.name,), health.since)
        waiting.add_metric((health.name,), health.waiting)
        for purpose, count in health.reconnects.items():
            reconnects.add_metric((health.name, purpose), count)
    yield from (up, since, waiting, reconnects)
    yield build_durations(
        f"{PREFIX}engine_round_trip_seconds",
        "Seconds from writing a batch of commands to reading its last reply.",
        ("server",),
        {(figures.health.name,): figures.round_trips for figures in servers},
    )
