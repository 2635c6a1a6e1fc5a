"""The admin sockets of one process that have not sent a valid token yet, counted by address.

Everybody can open such a socket. If there are too many, the oldest one is closed, and the newest one is never refused:
an operator sends the token at once, and so can always log in.
"""

from __future__ import annotations

from typing import Protocol

from ..app.model.errors import CLOSE_LIMIT_EXCEEDED, Disconnect
from .access import one_address

MAX_PER_ADDRESS = 100
"""Maximum number of unauthenticated sockets of one address, which several operators may share."""
MAX_TOTAL = 1000
"""Maximum number of unauthenticated sockets of all addresses."""


class Closable(Protocol):
    """A connection that can be closed."""

    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection, for the reason in `disconnect`."""


class UnauthenticatedSockets:
    """Closes the oldest socket of an address with too many sockets, and of the busiest address if all are too many."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Closable, None]] = {}
        """The sockets in the order in which they were opened."""
        self._addresses: dict[Closable, str] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def add(self, socket: Closable, address: str) -> None:
        """Count a new socket of a client at `address`; if there are too many, close an older one."""
        key = one_address(address)
        if len(self._by_address.get(key, ())) >= MAX_PER_ADDRESS:
            self._close_oldest(key)
        elif len(self) >= MAX_TOTAL:
            self._close_oldest(max(self._by_address, key=lambda each: len(self._by_address[each])))
        self._by_address.setdefault(key, {})[socket] = None
        self._addresses[socket] = key

    def remove(self, socket: Closable) -> None:
        """Stop counting a socket, because it has sent a valid token or has closed. A second call does nothing."""
        key = self._addresses.pop(socket, None)
        if key is None:
            return
        del self._by_address[key][socket]
        if not self._by_address[key]:
            del self._by_address[key]

    def _close_oldest(self, key: str) -> None:
        oldest = next(iter(self._by_address[key]))
        self.remove(oldest)
        oldest.close(CLOSE_LIMIT_EXCEEDED)
