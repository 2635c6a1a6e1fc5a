"""The figures of a node over the last day: which ones are stored, and when. `rings.py` stores them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from ..runtime.background import PeriodicTask
from .breakdowns import OTHER_KINDS
from .channel_samples import ChannelSamples
from .metrics import Metrics
from .rings import MIN_STEP, NodeSamples, Rings, SamplesWanted, window_of

RATES = {
    "published": "node_num_client_msg_published",
    "received": "node_num_client_msg_received",
    "sent": "client_num_msg_sent",
    "requests": "http_api_num_requests",
    "commands": "client_api_num_requests",
    "connects": "node_num_add_client_conn",
    "disconnects": "node_num_remove_client_conn",
    "slow": "client_num_closed_slow",
    "bytes_in": "client_bytes_in",
    "bytes_out": "client_bytes_out",
}
"""Figures per second, and the counters that they come from."""
MAX_REASONS = 15
"""Reasons of closes whose numbers are stored apart, the first ones that occur; all others are stored as OTHER_KINDS."""
OF_CLIENTS = "/"
"""What the names of the figures contain that are about kinds of clients, as in `transports/websocket`."""


class Gauges(NamedTuple):
    """Figures that are read when a sample is taken."""

    clients: int
    users: int
    channels: int
    subscriptions: int
    engine_up: int
    """1 if all servers of the engine are reachable."""
    waiting: int
    """Commands that wait for a reply of the engine."""
    round_trip: float
    """The seconds that the engine last took."""


class NodeHistory(PeriodicTask):
    """Takes samples of one node. `gauges` returns the current ones; `clock` is in seconds since 1970."""

    def __init__(
        self,
        metrics: Metrics,
        gauges: Callable[[], Gauges],
        channels: ChannelSamples,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__("samples", lambda: MIN_STEP - clock() % MIN_STEP, self.take, at_start=True)
        self._metrics = metrics
        self._gauges = gauges
        self._channels = channels
        self._clock = clock
        self._rings = Rings(("http_api", "client_api"))
        self._reasons: set[str] = set()

    def start(self) -> None:
        """Start the greenlets that take samples."""
        super().start()
        self._channels.start()

    def stop(self) -> None:
        """Stop the greenlets. A second call does nothing."""
        self._channels.stop()
        super().stop()

    def take(self) -> None:
        """Store a sample in each ring whose time has come. Other greenlets may run meanwhile."""
        now = self._clock()
        waiting = self._metrics.waiting_sizes()
        gauges, counters = self._read()
        gauges |= {"waiting/clients": float(len(waiting)), "waiting/bytes": float(sum(waiting))}
        self._rings.take(now, gauges, counters)
        self._channels.take(now)

    def _read(self) -> tuple[dict[str, float], dict[str, float]]:
        metrics = self._metrics
        totals = metrics.sample_values()
        for kind, latency in (("http_api", metrics.http_api), ("client_api", metrics.client_api)):
            self._rings.add_durations(kind, latency.take_recorded())
        counters = {name: float(totals[counter]) for name, counter in RATES.items()}
        counters["cpu"] = time.process_time() * 100
        gauges = {name: float(value) for name, value in self._gauges()._asdict().items()}
        kinds, closes = self._of_clients()
        return {**gauges, **kinds, "memory": float(totals["node_memory_sys"])}, counters | closes

    def _of_clients(self) -> tuple[Counter[str], Counter[str]]:
        """Return the open connections by transport and by protocol, and the closed ones by reason."""
        kinds: Counter[str] = Counter()
        for kind, traffic in self._metrics.breakdowns.traffic.items():
            kinds[f"transports/{kind.transport}"] += traffic.connections
            kinds[f"protocols/{kind.protocol}"] += traffic.connections
        closes: Counter[str] = Counter()
        for closed, number in self._metrics.breakdowns.closes.items():
            if len(self._reasons) < MAX_REASONS:
                self._reasons.add(closed.reason)
            closes[f"closed/{closed.reason if closed.reason in self._reasons else OTHER_KINDS}"] += number
        return kinds, closes

    def read(self, wanted: SamplesWanted) -> dict[str, list[float | None]]:
        """Return the figures of this node that are wanted; empty for a step that does not exist."""
        is_about_clients = wanted.about == "clients"
        return self._rings.read(wanted, lambda name: (OF_CLIENTS in name) == is_about_clients)

    def report(self, uid: str, name: str, wanted: SamplesWanted) -> NodeSamples:
        """Return the wanted figures of this node, or of a channel on it, with the node's uid and name."""
        if wanted.about == "channel":
            return NodeSamples(uid, name, *self._channels.read(wanted))
        return NodeSamples(uid, name, self.read(wanted))

    def window(self, seconds: float, since: float = 0) -> SamplesWanted:
        """Return which samples the last seconds have that are newer than `since`."""
        return window_of(self._clock(), seconds, since)

    @property
    def memory(self) -> int:
        """Bytes that all samples take, without those of channels."""
        return self._rings.memory
