"""The metrics of a node in the format of Prometheus: the names of docs/stats.md with the prefix `gentrifugo_`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ..app.node.metrics import COUNTER_NAMES, HISTOGRAM_INTERVALS, PERCENTILES
from ..app.node.node import Node

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "gentrifugo_"
GAUGES = {
    "node_num_clients": "Connections that have sent a successful connect.",
    "node_num_unique_clients": "Distinct users among these connections.",
    "node_num_channels": "Channels with a subscriber on this node.",
    "node_num_goroutine": "Greenlets that serve a connection.",
    "node_memory_sys": "Resident memory in bytes.",
    "node_cpu_usage": "CPU over the last whole interval, in percent of one core.",
    "node_uptime_seconds": "Seconds since the start.",
}
LATENCIES = {
    "client_api": "Time that requests of clients took",
    "http_api": "Time that requests to the HTTP API took",
}


def exposition(node: Node) -> Callable[[], bytes]:
    """Return a function that builds the response to a scrape of `node`."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    ProcessCollector(namespace="gentrifugo", registry=registry)
    return lambda: generate_latest(registry)


class NodeCollector(Collector):
    """Reads the metrics of a node at each scrape, and stores nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def describe(self) -> Iterable[Metric]:
        """Return no metrics at registration, which would otherwise read the node."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all current metrics."""
        info = self._node.cluster.own_info()
        metrics = info.metrics
        about = {"uid": info.uid, "name": info.name, "version": self._node.version, "engine": self._node.engine_name}
        yield InfoMetricFamily(f"{PREFIX}node", "Name and version of the node.", about)
        for name, meaning in GAUGES.items():
            yield GaugeMetricFamily(PREFIX + name, meaning, metrics[name])
        for name in COUNTER_NAMES:
            yield CounterMetricFamily(PREFIX + name, "Since the start; see docs/stats.md.", metrics[name])
        for name, meaning in LATENCIES.items():
            for span in ("1", str(HISTOGRAM_INTERVALS)):
                yield _summary(name, span, meaning, metrics)


def _summary(name: str, span: str, meaning: str, metrics: dict[str, int]) -> Metric:
    """Build a summary of the last interval, or of the last 15. It has no count, which would have to be cumulative."""
    family = GaugeMetricFamily(
        f"{PREFIX}{name}_{span}_microseconds",
        f"{meaning}, in microseconds, over {span} intervals of node_metrics_interval.",
        labels=("quantile",),
    )
    for percentile, shown in PERCENTILES:
        family.add_metric((f"{percentile / 100:g}",), metrics[f"{name}_{span}_microseconds_{shown}"])
    for label, figure in (("0", "min"), ("1", "max"), ("mean", "mean")):
        family.add_metric((label,), metrics[f"{name}_{span}_microseconds_{figure}"])
    return family
