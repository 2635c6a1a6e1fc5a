"""Messages between nodes: what one node does to a user, all do; and each tells of itself.

JSON with a version, so that nodes of two adjacent versions can run side by side.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ..model import json_codec
from ..model.json_codec import InvalidJSON
from .registry import NodeInfo

VERSION = 1


class Ping(msgspec.Struct, tag="ping"):
    """A node tells of itself."""

    info: NodeInfo
    watching: bool = False
    """Whether an operator watches messages there."""


class Unsubscribe(msgspec.Struct, tag="unsubscribe"):
    """End a user's subscription on a channel; on all channels when `channel` is empty."""

    user: str
    channel: str


class DisconnectUser(msgspec.Struct, tag="disconnect"):
    """Close all connections of a user."""

    user: str


class Watched(msgspec.Struct, tag="watched"):
    """What was published in watched channels, as operators see it, and how much more there was."""

    messages: list[msgspec.Raw]
    missed: int = 0


class Question(msgspec.Struct, tag="question"):
    """What an operator wants to know of all nodes; the fields that are set say what."""

    id: str
    user: str | None = None
    """The connections of this user."""
    channels: str | None = None
    """The subscribers of the channels whose name contains this."""
    info: bool = False
    """What the node counts, now."""


class UserConnection(msgspec.Struct):
    """One connection of a user."""

    client: str
    user: str
    node: str
    """The name of the node that has it."""
    channels: list[str]


class Answer(msgspec.Struct, tag="answer"):
    """What one node says to a question."""

    id: str
    connections: list[UserConnection] = []
    subscribers: dict[str, int] = {}
    info: NodeInfo | None = None


Message: TypeAlias = Ping | Unsubscribe | DisconnectUser | Watched | Question | Answer


class Envelope(msgspec.Struct):
    """One control message: who sent it, and what it says."""

    version: int
    node: str
    message: Message


_decoder = msgspec.json.Decoder(Envelope)


def encode(node: str, message: Message) -> bytes:
    """A message of `node` for all nodes."""
    return msgspec.json.encode(Envelope(VERSION, node, message))


def decode(data: bytes) -> Envelope:
    """The opposite. Raises InvalidJSON for what is not a control message of this version."""
    envelope = json_codec.decode(_decoder, data)
    if envelope.version != VERSION:
        raise InvalidJSON(f"control message of version {envelope.version}, not {VERSION}")
    return envelope
