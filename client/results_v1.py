"""The types of results of the API of v1 (docs/api.md). JSON in them is decoded, and unknown fields are ignored."""

from __future__ import annotations

from typing import Any

import msgspec


class ClientInfo(msgspec.Struct, frozen=True):
    """The identity of a connection: user, client ID, and info, which is None if there is none."""

    user: str
    client: str
    default_info: Any = None
    """The info of the connection, from its credentials."""
    channel_info: Any = None
    """The info of the subscription, which is part of its signature."""


class Message(msgspec.Struct, frozen=True):
    """One message of a history."""

    uid: str
    channel: str
    data: Any
    client: str = ""
    """The client ID of the publisher, or the parameter `client` of a backend."""
    info: ClientInfo | None = None
    """The client that published it; None if a backend did."""


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
    """The length in seconds of the interval that the counters cover."""
