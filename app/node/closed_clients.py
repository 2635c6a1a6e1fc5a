"""The clients that the server has closed last, with the reasons."""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

import msgspec

MAX_KEPT_CLOSED = 100
"""Closed clients that are kept, and that a node reports."""
MAX_TEXT_LENGTH = 100
"""Characters of a text from outside in a report."""


class ClosedClient(msgspec.Struct):
    """One connection that the server has closed."""

    at: float
    """Unix seconds."""
    client: str
    user: str
    reason: str
    unsent: int
    """Bytes that waited to be sent."""
    address: str = ""
    protocol: str = ""
    node: str = ""
    """The name of the node that had it."""


class EndedClient(Protocol):
    """The data of a connection that is recorded when it ends."""

    uid: str
    user: str

    @property
    def address(self) -> str:
        """The address of the client; empty if it is not known."""

    @property
    def protocol(self) -> str:
        """The version of the protocol and the format."""


class ClosedClients:
    """The closed connections of one node. No method blocks."""

    def __init__(self) -> None:
        self._unsent: dict[str, int] = {}
        self.last: deque[ClosedClient] = deque(maxlen=MAX_KEPT_CLOSED)
        """The connections that the server has closed, oldest first."""

    def note_slow(self, client: str, unsent: int) -> None:
        """Note that a client is about to be closed because so many bytes wait to be sent to it."""
        self._unsent[client] = unsent

    def note(self, client: EndedClient, reason: str) -> None:
        """Note that the server has closed a connection."""
        reason = reason[:MAX_TEXT_LENGTH]
        user, address, unsent = client.user[:MAX_TEXT_LENGTH], client.address, self._unsent.pop(client.uid, 0)
        self.last.append(ClosedClient(time.time(), client.uid, user, reason, unsent, address, client.protocol))
