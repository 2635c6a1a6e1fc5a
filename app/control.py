"""Messages between nodes: what one node does to a user, all do; and each tells of itself.

JSON with a version, so that nodes of two adjacent versions can run side by side.
"""

from __future__ import annotations

import msgspec

from . import json_text
from .json_text import InvalidJSON
from .registry import NodeInfo

VERSION = 1


class Ping(msgspec.Struct, tag="ping"):
    """A node tells of itself."""

    info: NodeInfo


class Unsubscribe(msgspec.Struct, tag="unsubscribe"):
    """End a user's subscription on a channel; on all channels when `channel` is empty."""

    user: str
    channel: str


class DisconnectUser(msgspec.Struct, tag="disconnect"):
    """Close all connections of a user."""

    user: str


class Envelope(msgspec.Struct):
    """One control message: who sent it, and what it says."""

    version: int
    node: str
    message: Ping | Unsubscribe | DisconnectUser


_decoder = msgspec.json.Decoder(Envelope)


def encode(node: str, message: Ping | Unsubscribe | DisconnectUser) -> bytes:
    """A message of `node` for all nodes."""
    return msgspec.json.encode(Envelope(VERSION, node, message))


def decode(data: bytes) -> Envelope:
    """The opposite. Raises InvalidJSON for what is not a control message of this version."""
    envelope = json_text.decode(_decoder, data)
    if envelope.version != VERSION:
        raise InvalidJSON(f"control message of version {envelope.version}, not {VERSION}")
    return envelope
