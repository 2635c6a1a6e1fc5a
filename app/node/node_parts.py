"""The parts of a node that its messages and answers to other nodes are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config.config import Config
from .channel_rates import ChannelRates
from .channel_samples import ChannelSamples
from .closed_clients import ClosedClients
from .hub import Hub
from .metrics import Metrics


@dataclass(frozen=True, slots=True)
class NodeParts:
    """The parts of one node that it describes to other nodes."""

    version: str
    engine: str
    """The name of the engine."""
    config: Callable[[], Config]
    """Returns the current configuration."""
    hub: Hub
    metrics: Metrics
    rates: ChannelRates
    channel_samples: ChannelSamples
    closed_clients: ClosedClients
