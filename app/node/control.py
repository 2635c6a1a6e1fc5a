"""Messages that nodes send to each other: JSON with a version, so that nodes of two adjacent versions can run together.

The tag of each class is its name on the wire; docs/redis.md describes how messages reach the nodes.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ..model import json_codec
from ..model.json_codec import InvalidJSON
from .questions import Amount, SurveyAnswer, SurveyQuestion
from .registry import NO_DETAILS, NodeDetails, NodeInfo
from .user_commands import AnyUserCommand, ReplaceConnections

CONTROL_VERSION = 1


class Ping(msgspec.Struct, tag="ping"):
    """The periodic ping of a node, sent every `node_ping_interval`."""

    info: NodeInfo
    watching: bool = False
    """Whether an operator watches messages on that node."""
    details: NodeDetails = NO_DETAILS
    leaving: bool = False
    """Whether this is the last ping of the node, which stops."""


class WatchedMessages(msgspec.Struct, tag="watched"):
    """Publications in channels with option `watch`, encoded for operators."""

    messages: list[msgspec.Raw]
    missed: Amount = 0
    """The number of messages that were left out."""


class SurveyRequest(msgspec.Struct, tag="question"):
    """Asks all nodes for their answers to a question."""

    id: str
    question: SurveyQuestion


class SurveyReport(msgspec.Struct, tag="answer"):
    """The reply of one node to a SurveyRequest with the same id."""

    id: str
    answer: SurveyAnswer


class WatchNamespace(msgspec.Struct, tag="watch_namespace"):
    """Show operators the messages of a namespace for some time, although its option `watch` is off."""

    namespace: str
    """Empty for the channels without a namespace."""
    seconds: float


class SessionInput(msgspec.Struct, tag="session_input"):
    """Commands of a client, from the node that has received them to the node that has the client's connection."""

    id: str
    to: str
    """The uid of the node that has the connection; all others ignore the message."""
    session: str
    """The secret of the connection."""
    data: bytes


class SessionInputTaken(msgspec.Struct, tag="session_input_taken"):
    """The reply to a SessionInput with the same ID: the node has queued the commands, or has no such connection."""

    id: str


ControlMessage: TypeAlias = (
    Ping
    | AnyUserCommand
    | ReplaceConnections
    | WatchedMessages
    | SurveyRequest
    | SurveyReport
    | WatchNamespace
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
    """Encode a message from the node with the uid `node` to all nodes."""
    return msgspec.json.encode(ControlEnvelope(CONTROL_VERSION, node, message))


def decode(data: bytes) -> ControlEnvelope:
    """Decode a control message from the output of `encode`.

    Raises InvalidJSON if it is not a control message of this version. Programs that can write to Redis are trusted, so
    only the form is checked: the message is UTF-8, numbers have at most 64 bits, and a ping has the details of its
    sender.
    """
    json_codec.check_utf8(data)
    envelope = json_codec.decode(_envelope_decoder, data)
    if envelope.version != CONTROL_VERSION:
        raise InvalidJSON(f"control message has version {envelope.version}, expected {CONTROL_VERSION}")
    message = envelope.message
    if isinstance(message, Ping) and message.info.uid != envelope.node:
        raise InvalidJSON(f"ping from node {envelope.node} has the details of node {message.info.uid}")
    return envelope
