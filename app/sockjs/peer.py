"""The two sides of a connection: the transport, which this package provides, and the peer, which uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..http.opening_request import Opening
from ..net.outbox import Queue
from ..websocket.connection import Owner


class Transport(Protocol):
    """What carries messages to one client; no method blocks."""

    @property
    def outbox(self) -> Queue:
        """What waits for the client."""
        ...

    @staticmethod
    def frame(message: bytes) -> bytes:
        """A message, in UTF-8, as it goes into the outbox; the same for all clients of one kind of transport."""
        ...

    def send(self, text: str) -> None:
        """Queue one message."""

    def close(self, code: int, reason: str) -> None:
        """Tell the client, after what waits, and end the connection."""


class Peer(Owner, Protocol):
    """Whoever a client talks to."""

    def handle(self, message: str) -> None:
        """One message of the client; called with one at a time. May block, must not raise."""

    def end(self) -> None:
        """The connection is over. Called exactly once, however that came; may block, must not raise."""


Connect: TypeAlias = Callable[[Transport, Opening | None], Peer]
"""Called for every new connection, with the request that opened it, if that is to be remembered."""
