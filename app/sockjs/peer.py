"""The two sides of a SockJS connection: the transport, which this package provides, and the peer, which uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..http.opening_request import Opening
from ..net.transport import Transport, TransportOwner


class SockJSTransport(Transport, Protocol):
    """A transport that also takes a message as text."""

    def send(self, text: str) -> None:
        """Queue one message. Does not block."""


class Peer(TransportOwner, Protocol):
    """The object that a client of SockJS exchanges messages with, such as a connection of the protocol."""

    def handle_text(self, message: str) -> None:
        """Handle one message of the client; the next one waits until this returns. May block."""


Connect: TypeAlias = Callable[[SockJSTransport, Opening | None], Peer]
"""Creates the peer of a new SockJS connection, given its transport and the request that opened it.

The request is None if the endpoint does not store requests.
"""
