"""The questions of one node to all nodes, and the types of the answers. `answers.py` computes the answers."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from ...engines.health import ServerHealth
from .closed_clients import ClosedClient
from .registry import NodeInfo
from .rings import NodeSamples, SamplesWanted

Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]

MAX_REPORT_ITEMS = 1000
"""Maximum number of connections, or of channels, in an answer of one node."""
MAX_WAITING = 20
"""Clients to which bytes wait, of one node and in the reply of all nodes; the most bytes come first."""
PAGE_SIZE = 100
"""Items of one page of a list."""
MAX_RANKED = 1000
"""Items that a list by number or rate has; a list by name has all of them."""


class ConnectionsQuestion(msgspec.Struct, tag="connections"):
    """Requests the connections of a user."""

    user: str


class UserConnection(msgspec.Struct):
    """One connection of a user."""

    client: str
    user: str
    node: str
    """The name of the node that has it."""
    channels: list[str]
    protocol: str = ""
    """Version of the protocol and format; empty from nodes of an older release."""
    library: str = ""
    """Name and version of the client library, if the client sends them; otherwise empty."""
    transport: str = ""
    address: str = ""
    """The address of the client; empty if it is not known."""
    since: float = 0.0
    """When the connection was opened, in Unix seconds."""
    idle: float = 0.0
    """Seconds since the last message of the client."""


class ConnectionsAnswer(msgspec.Struct, tag="connections"):
    """The connections of a user on one node, at most MAX_REPORT_ITEMS."""

    connections: list[UserConnection]


class SubscribersQuestion(msgspec.Struct, tag="subscribers"):
    """Requests the numbers of subscribers of the channels whose names contain a text."""

    text: str


class MatchingQuestion(msgspec.Struct, tag="matching"):
    """Requests the numbers of subscribers of all channels whose names match a pattern (`name_pattern.py`)."""

    pattern: str


class SubscribersAnswer(msgspec.Struct, tag="subscribers"):
    """The numbers of subscribers on one node, by channel.

    For a SubscribersQuestion, these are the MAX_REPORT_ITEMS channels with the most subscribers.
    """

    subscribers: dict[str, Amount]


class CountersQuestion(msgspec.Struct, tag="counters"):
    """Requests the present counters of each node."""


class NodeReport(NodeInfo):
    """The report of a node for operators, with the state of its connections to the servers of its engine."""

    engine: list[ServerHealth] = msgspec.field(default_factory=list)
    """Empty if the engine has no servers, or if the node is of a release that does not tell."""


class CountersAnswer(msgspec.Struct, tag="counters"):
    """The present counters of one node."""

    node: NodeReport


class SamplesQuestion(msgspec.Struct, tag="samples"):
    """Requests samples of each node."""

    wanted: SamplesWanted


class SamplesAnswer(msgspec.Struct, tag="samples"):
    """The samples of one node."""

    samples: NodeSamples


class ListQuestion(msgspec.Struct, tag="list"):
    """Requests one page of the channels with subscribers, or of the users with connections."""

    kind: Literal["channels", "users"]
    text: str = ""
    """Only names that contain this text, or begin with it if `is_prefix`."""
    is_prefix: bool = False
    order: Literal["name", "count", "rate"] = "count"
    after: str | None = None
    """Only names after this one; only with the order `name`."""
    offset: int = 0
    """Items of earlier pages; only with other orders."""


class ListItem(msgspec.Struct, array_like=True):
    """A channel or a user in a list."""

    name: str
    count: int
    """Its subscribers, or its connections."""
    rate: float | None = None
    """Publications per second that reach its subscribers; None while that is not known."""


class ListAnswer(msgspec.Struct, tag="list"):
    """The items of one node, in the requested order."""

    items: list[ListItem]
    total: int
    """The number of all items that match."""


class ClientsQuestion(msgspec.Struct, tag="clients"):
    """Requests the kinds of connected clients, the slow clients, and the reasons why clients were closed."""


class WaitingClient(msgspec.Struct):
    """A connection to which bytes wait to be sent."""

    client: str
    user: str
    waiting: int
    address: str = ""
    protocol: str = ""
    node: str = ""


class ClientsAnswer(msgspec.Struct, tag="clients"):
    """The connections of one node."""

    transports: dict[str, int]
    protocols: dict[str, int]
    libraries: dict[str, int]
    """The most frequent ones. Clients that do not tell theirs count as an empty text."""
    closed: dict[str, int]
    """Closed connections since the start of the node, by reason."""
    last_closed: list[ClosedClient]
    waiting: list[WaitingClient]
    """Those to which the most bytes wait to be sent."""
    waiting_bytes: int = 0
    """The bytes that wait for all clients."""


class NodeQuestion(msgspec.Struct, tag="node"):
    """Requests the version, the engine and the options of each node."""


class NodeAnswer(msgspec.Struct, tag="node"):
    """The identity of one node, and its options."""

    uid: str
    name: str
    version: str
    engine: str
    started_at: int
    """Unix seconds."""
    loaded_at: float
    """When the options were last read, in Unix seconds."""
    options: dict[str, object]
    """All options, with secrets hidden."""
    secrets: dict[str, int]
    """A few bits of a hash of each secret, which tell whether nodes have different ones, and not what it is."""


class ChannelQuestion(msgspec.Struct, tag="channel"):
    """Requests the subscribers and the rate of one channel."""

    channel: str


class ChannelAnswer(msgspec.Struct, tag="channel"):
    """A channel on one node."""

    node: str
    subscribers: int
    rate: float | None


SurveyQuestion: TypeAlias = (
    ConnectionsQuestion
    | SubscribersQuestion
    | MatchingQuestion
    | CountersQuestion
    | SamplesQuestion
    | ListQuestion
    | ClientsQuestion
    | NodeQuestion
    | ChannelQuestion
)
SurveyAnswer: TypeAlias = (
    ConnectionsAnswer
    | SubscribersAnswer
    | CountersAnswer
    | SamplesAnswer
    | ListAnswer
    | ClientsAnswer
    | NodeAnswer
    | ChannelAnswer
)
