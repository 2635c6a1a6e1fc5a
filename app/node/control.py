"""Messages that nodes send to each other: JSON with a version, so that nodes of two adjacent versions can run together.

Their names on the wire are the tags; docs/redis.md describes how they travel.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from ..model import json_codec
from ..model.json_codec import InvalidJSON
from .registry import NO_DETAILS, NodeDetails, NodeInfo
from .user_commands import AddSubscription, CloseConnections, EndSubscriptions, RenewConnections, SendMessage

CONTROL_VERSION = 1

Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Ping(msgspec.Struct, tag="ping"):
    """A node is alive; sent every `node_ping_interval`."""

    info: NodeInfo
    watching: bool = False
    """Whether an operator watches messages on that node."""
    details: NodeDetails = NO_DETAILS


class Unsubscribe(msgspec.Struct, tag="unsubscribe"):
    """End a user's subscription on a channel; on all channels when `channel` is empty."""

    user: str
    channel: str


class DisconnectUser(msgspec.Struct, tag="disconnect"):
    """Close all connections of a user."""

    user: str


class WatchedMessages(msgspec.Struct, tag="watched"):
    """What was published in channels with option `watch`, encoded for operators."""

    messages: list[msgspec.Raw]
    missed: Amount = 0
    """How many more messages were left out."""


class SurveyRequest(msgspec.Struct, tag="question"):
    """Asks all nodes for a report; the fields that are set say about what."""

    id: str
    user: str | None = None
    """The connections of this user."""
    channels: str | None = None
    """The number of subscribers of the channels whose names contain this."""
    info: bool = False
    """The present counters of the node."""
    pattern: str | None = None
    """The number of subscribers of all channels whose names match this pattern (`name_pattern.py`)."""


class UserConnection(msgspec.Struct):
    """One connection of a user."""

    client: str
    user: str
    node: str
    """The name of the node that has it."""
    channels: list[str]
    protocol: str = ""
    """Version of the protocol and format; empty if the node is of a release that does not tell."""
    library: str = ""
    """Name and version of the client library; empty if the client does not tell them."""


class SurveyReport(msgspec.Struct, tag="answer"):
    """The reply of one node to a SurveyRequest with the same id."""

    id: str
    connections: list[UserConnection] = []
    subscribers: dict[str, Amount] = {}
    info: NodeInfo | None = None


class SessionInput(msgspec.Struct, tag="session_input"):
    """Commands of a client, received here, for the node that has the client's connection."""

    id: str
    to: str
    """The uid of the node that has the connection; all others ignore the message."""
    session: str
    """The secret of the connection."""
    data: bytes


class SessionInputTaken(msgspec.Struct, tag="session_input_taken"):
    """The reply to a SessionInput with the same id: the node has queued the commands, or has no such connection."""

    id: str


ControlMessage: TypeAlias = (
    Ping
    | Unsubscribe
    | DisconnectUser
    | EndSubscriptions
    | CloseConnections
    | AddSubscription
    | RenewConnections
    | SendMessage
    | WatchedMessages
    | SurveyRequest
    | SurveyReport
    | SessionInput
    | SessionInputTaken
)


class ControlEnvelope(msgspec.Struct):
    """A control message and its sender."""

    version: int
    node: str
    """The uid of the node that sent it."""
    message: ControlMessage


_envelope_decoder = msgspec.json.Decoder(ControlEnvelope)


def encode(node: str, message: ControlMessage) -> bytes:
    """A message from the node with the uid `node` to all nodes."""
    return msgspec.json.encode(ControlEnvelope(CONTROL_VERSION, node, message))


def decode(data: bytes) -> ControlEnvelope:
    """A message as `encode` has made it.

    Raises InvalidJSON for what is not a control message of this version. Whoever can write to Redis is trusted with
    what a message says, so only its form is checked: that it is text, that numbers have 64 bits at most, and that a
    node tells of itself only.
    """
    try:
        data.decode()  # the decoder does not look into what is kept as it is
    except UnicodeDecodeError as error:
        raise InvalidJSON(str(error)) from None
    envelope = json_codec.decode(_envelope_decoder, data)
    if envelope.version != CONTROL_VERSION:
        raise InvalidJSON(f"control message of version {envelope.version}, not {CONTROL_VERSION}")
    message = envelope.message
    if isinstance(message, Ping) and message.info.uid != envelope.node:
        raise InvalidJSON(f"a ping of node {envelope.node} with the details of node {message.info.uid}")
    return envelope
