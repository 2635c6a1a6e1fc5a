"""Who is connected here, and who is subscribed to what.

Knows objects with a uid, a user, an encoding and an outbox; no engine, no
protocol, no I/O. No method switches greenlets, so each is atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from ..model.errors import Disconnect
from ..model.events import Encoding, Event
from ..net.flusher import Flusher
from ..net.outbox import Queue


class Connection(Protocol):
    """What the hub and the node need of a client's connection."""

    uid: str
    user: str
    encoding: Encoding
    outbox: Queue

    @property
    def channels(self) -> Collection[str]: ...

    def unsubscribe(self, channel: str) -> None: ...

    def close(self, disconnect: Disconnect) -> None: ...


class Hub:
    """The connections of one node by uid, by user and by channel."""

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self.open: set[Connection] = set()
        """All connections, also those that have not authenticated; they come and go by themselves."""
        self._connections: dict[str, Connection] = {}
        self._users: dict[str, set[Connection]] = {}
        # channel -> encoding -> outboxes: a broadcast encodes once for each encoding that is there.
        self._subscribers: dict[str, dict[Encoding, set[Queue]]] = {}

    def add(self, connection: Connection) -> None:
        """Register an authenticated connection."""
        self._connections[connection.uid] = connection
        self._users.setdefault(connection.user, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection; nothing happens when it is not there."""
        if self._connections.pop(connection.uid, None) is None:
            return
        connections = self._users[connection.user]
        connections.remove(connection)
        if not connections:
            del self._users[connection.user]

    def add_subscription(self, channel: str, connection: Connection) -> bool:
        """Send events of `channel` to `connection`; returns whether it is the first subscriber."""
        encodings = self._subscribers.get(channel)
        first = encodings is None
        if encodings is None:
            encodings = self._subscribers[channel] = {}
        encodings.setdefault(connection.encoding, set()).add(connection.outbox)
        return first

    def remove_subscription(self, channel: str, connection: Connection) -> bool:
        """Send `connection` no more events of `channel`; returns whether it was the last subscriber."""
        encodings = self._subscribers.get(channel)
        if encodings is None:
            return False
        outboxes = encodings.get(connection.encoding)
        if outboxes is None or connection.outbox not in outboxes:
            return False
        outboxes.remove(connection.outbox)
        if not outboxes:
            del encodings[connection.encoding]
        if not encodings:
            del self._subscribers[channel]
        return not encodings

    def broadcast(self, event: Event) -> None:
        """Queue `event` for every subscriber of its channel; encoded once for each protocol version and transport."""
        pushes: dict[Callable[[Event], bytes], bytes] = {}
        for (push, frame), outboxes in self._subscribers.get(event.channel, {}).items():
            if push not in pushes:
                pushes[push] = push(event)
            self._flusher.fan_out(outboxes, frame(pushes[push]))

    def has_subscribers(self, channel: str) -> bool:
        """Whether anybody here is subscribed to `channel`."""
        return channel in self._subscribers

    def channels(self) -> list[str]:
        """The channels with a subscriber here."""
        return list(self._subscribers)

    def num_subscribers(self, channel: str) -> int:
        """How many connections here are subscribed to `channel`."""
        return sum(map(len, self._subscribers.get(channel, {}).values()))

    def user_connections(self, user: str) -> list[Connection]:
        """The connections of `user`, in a list of its own."""
        return list(self._users.get(user, ()))

    @property
    def num_connections(self) -> int:
        return len(self._connections)

    @property
    def num_users(self) -> int:
        return len(self._users)

    @property
    def num_channels(self) -> int:
        return len(self._subscribers)
