"""What commands of the API of v1 return (docs/api.md). JSON in them is decoded, and unknown fields are ignored."""

from __future__ import annotations

from typing import Any

import msgspec


class ClientInfo(msgspec.Struct, frozen=True):
    """Who a connection is: its user, its client ID, and what is known about it; None if nothing is."""

    user: str
    client: str
    default_info: Any = None
    """What its token says about the connection."""
    channel_info: Any = None
    """What the signature of its subscription says about it."""


class Message(msgspec.Struct, frozen=True):
    """One message of a history."""

    uid: str
    channel: str
    data: Any
    client: str = ""
    """The ID of the connection that published it, or what a backend gave as `client`."""
    info: ClientInfo | None = None
    """Who published it, if a client did."""


class Node(msgspec.Struct, frozen=True):
    """The state of one node; docs/stats.md explains its counters."""

    uid: str
    name: str
    started_at: int
    """Unix seconds."""
    metrics: dict[str, int]


class Stats(msgspec.Struct, frozen=True):
    """The state of all nodes."""

    nodes: list[Node]
    metrics_interval: int
    """The seconds that the counters cover."""
