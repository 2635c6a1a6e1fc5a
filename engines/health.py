"""What an engine knows about the servers that it uses, for operators and load balancers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from ..app.runtime.histogram import Histogram


class ServerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one node reaches a server of its engine."""

    name: str
    """The address, or the name of the master that Sentinels know."""
    reachable: bool
    """Whether the node can use the server now."""
    since: float
    """When `reachable` last changed, in seconds since 1970."""
    error: str = ""
    """Why a connection to the server last failed; empty if none ever did."""
    error_at: float = 0
    """When that was, in seconds since 1970."""
    round_trip: float = 0
    """Seconds from writing the last commands to reading their last reply; 0 before the first one."""
    waiting: int = 0
    """Commands that wait for a reply or for being sent."""
    reconnects: dict[str, int] = {}
    """How often the node has connected again, by the purpose of the connection."""


class ServerFigures(msgspec.Struct, frozen=True):
    """Cumulative figures of a server of an engine, for Prometheus."""

    health: ServerHealth
    round_trips: Histogram
    """How long it took from writing some commands to reading their last reply."""


def describe_unreachable(servers: Iterable[ServerHealth]) -> str:
    """Return a line about the unreachable servers: names, since when and why; empty if all are reachable."""
    return "; ".join(
        f"{server.name} has been unreachable since {_utc(server.since)}: {server.error or 'not connected yet'}"
        for server in servers
        if not server.reachable
    )


def _utc(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
