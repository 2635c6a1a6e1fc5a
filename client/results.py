"""The types of results, and of some parameters, of the methods of the API. JSON in them is decoded.

The names and types of the fields are those of the API (docs/api-v4.md). Unknown fields of a reply are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta


class Position(msgspec.Struct, frozen=True):
    """A position in the stream of a channel."""

    offset: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    """The number of a publication: 1, 2, 3 and so on."""
    epoch: str = ""
    """Identifies the stream; it changes when publications may be lost."""


class PublishResult(msgspec.Struct, frozen=True):
    """The position of a publication; zero and empty if it is not stored in a history."""

    offset: int = 0
    epoch: str = ""


class Error(msgspec.Struct, frozen=True):
    """The error of a broadcast for one channel."""

    code: int
    message: str


class PublishReply(msgspec.Struct, frozen=True):
    """The outcome of a broadcast for one channel: a result or an error."""

    result: PublishResult | None = None
    error: Error | None = None


class BroadcastResult(msgspec.Struct, frozen=True):
    """The outcomes of a broadcast, in the order of the channels."""

    responses: list[PublishReply]


class BoolValue(msgspec.Struct, frozen=True):
    """A boolean value, wrapped so that false differs from missing."""

    value: bool = False


class SubscribeOverride(msgspec.Struct, frozen=True, omit_defaults=True):
    """Options of the channel that are different for one subscription."""

    presence: BoolValue | None = None
    join_leave: BoolValue | None = None
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None
    force_push_join_leave: BoolValue | None = None


class DisconnectReason(msgspec.Struct, frozen=True, omit_defaults=True):
    """The close code and reason. Clients reconnect, except after codes 3500 to 3999 and 4500 to 4999."""

    code: Annotated[int, Meta(ge=0, le=4999)] | None = None
    reason: str | None = None


class ClientInfo(msgspec.Struct, frozen=True):
    """The identity of a connection: user, client ID, and info, which is None if there is none."""

    user: str
    client: str
    conn_info: Any = None
    """The info of the connection, for example from its token."""
    chan_info: Any = None
    """The info of the subscription to the channel."""


class PresenceResult(msgspec.Struct, frozen=True):
    """The clients in a channel, by client ID."""

    presence: dict[str, ClientInfo]


class PresenceStatsResult(msgspec.Struct, frozen=True):
    """The number of connections and users in a channel."""

    num_clients: int
    num_users: int


class StoredPublication(msgspec.Struct, frozen=True):
    """One publication of a history."""

    data: Any
    """The payload; Base64 in a string if it is not JSON."""
    offset: int = 0
    tags: dict[str, str] | None = None
    info: ClientInfo | None = None
    """The client that published it; None if a backend did."""


class HistoryResult(msgspec.Struct, frozen=True):
    """Publications of a channel, and the newest position of its stream."""

    publications: list[StoredPublication]
    """Oldest first, unless `reverse` was set."""
    offset: int
    epoch: str


class ChannelInfo(msgspec.Struct, frozen=True):
    """The number of subscribers of a channel."""

    num_clients: int


class ChannelsResult(msgspec.Struct, frozen=True):
    """The channels that have subscribers, by name."""

    channels: dict[str, ChannelInfo]


class NodeMetrics(msgspec.Struct, frozen=True):
    """The counters of a node by name, and the length of their interval in seconds."""

    interval: float
    items: dict[str, float]


class NodeResult(msgspec.Struct, frozen=True):
    """One node, as described by its last ping."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int
    """Seconds since its start."""
    metrics: NodeMetrics


class InfoResult(msgspec.Struct, frozen=True):
    """The nodes of the cluster, as described by their last pings."""

    nodes: list[NodeResult]
