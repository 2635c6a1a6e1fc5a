"""Who is connected here, and who is subscribed to what.

Knows objects with a uid, a user, an encoding and an outbox; no engine, no
protocol, no I/O. No method switches greenlets, so each is atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from ..model.errors import Disconnect
from ..model.events import Encoding, Event, Publication
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


class Held:
    """Publications that wait until a subscriber has been given what it missed before them."""

    __slots__ = ("publications", "size")

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.size = 0
        """Bytes of their data."""

    def add(self, publication: Publication) -> int:
        """Hold one more; the bytes of all."""
        self.publications.append(publication)
        self.size += len(publication.data)
        return self.size


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
        # channel -> those subscribers of it for which publications are held.
        self._held: dict[str, dict[Connection, Held]] = {}
        # channel -> outboxes of those subscribers that get nothing more of it, because they lack something before.
        self._muted: dict[str, set[Queue]] = {}
        self.num_subscriptions = 0
        """How many pairs of a connection and a channel there are."""

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

    def add_subscription(self, channel: str, connection: Connection, hold: bool = False) -> bool:
        """Let events of `channel` reach `connection`; whether it is the first subscriber.

        With `hold`, publications wait until `release` is called; joins and leaves do not.
        """
        first = not self.has_subscribers(channel)
        self.num_subscriptions += 1
        if hold:
            self._held.setdefault(channel, {})[connection] = Held()
        else:
            self._join(channel, connection)
        return first

    def _join(self, channel: str, connection: Connection) -> None:
        self._subscribers.setdefault(channel, {}).setdefault(connection.encoding, set()).add(connection.outbox)

    def release(self, channel: str, connection: Connection) -> list[Publication]:
        """End the hold: publications reach the connection from now on. Those that were held, oldest first.

        Empty when there is no hold.
        """
        held = self._end_hold(channel, connection)
        if held is None:
            return []
        self._join(channel, connection)
        return held.publications

    def _end_hold(self, channel: str, connection: Connection) -> Held | None:
        holds = self._held.get(channel)
        held = None if holds is None else holds.pop(connection, None)
        if not holds:
            self._held.pop(channel, None)
        return held

    def mute(self, channel: str) -> None:
        """Give nothing more of a channel to its present subscribers, except those for which publications are held."""
        for outboxes in self._subscribers.pop(channel, {}).values():
            self._muted.setdefault(channel, set()).update(outboxes)

    def is_muted(self, channel: str, connection: Connection) -> bool:
        """Whether a subscriber gets nothing more of a channel."""
        return connection.outbox in self._muted.get(channel, ())

    def _unmute(self, channel: str, connection: Connection) -> bool:
        outboxes = self._muted.get(channel)
        if outboxes is None or connection.outbox not in outboxes:
            return False
        outboxes.remove(connection.outbox)
        if not outboxes:
            del self._muted[channel]
        return True

    def remove_subscription(self, channel: str, connection: Connection) -> bool:
        """Let no more events of `channel` reach `connection`; whether the channel lost its last subscriber by it."""
        was_apart = self._end_hold(channel, connection) is not None or self._unmute(channel, connection)
        encodings = self._subscribers.get(channel, {})
        outboxes = encodings.get(connection.encoding, set())
        if connection.outbox in outboxes:
            outboxes.remove(connection.outbox)
            if not outboxes:
                del encodings[connection.encoding]
            if not encodings:
                del self._subscribers[channel]
        elif not was_apart:
            return False
        self.num_subscriptions -= 1
        return not self.has_subscribers(channel)

    def broadcast(self, event: Event) -> None:
        """Queue `event` for every subscriber of its channel; encoded once for each protocol version and transport."""
        pushes: dict[Callable[[Event], bytes], bytes] = {}
        for (push, frame), outboxes in self._subscribers.get(event.channel, {}).items():
            if push not in pushes:
                pushes[push] = push(event)
            self._flusher.fan_out(outboxes, frame(pushes[push]))
        if self._held and event.channel in self._held:
            self._hold(event)

    def _hold(self, event: Event) -> None:
        """Give an event to those for which publications are held."""
        for connection, held in self._held[event.channel].items():
            if not isinstance(event, Publication):
                push, frame = connection.encoding
                connection.outbox.append(frame(push(event)))
            elif held.add(event) > connection.outbox.limit:
                connection.outbox.overflow()

    def has_subscribers(self, channel: str) -> bool:
        """Whether anybody here is subscribed to `channel`."""
        return channel in self._subscribers or channel in self._held or channel in self._muted

    def channels(self) -> list[str]:
        """The channels with a subscriber here."""
        return list(self._all_channels())

    def _all_channels(self) -> Collection[str]:
        if not self._held and not self._muted:
            return self._subscribers
        return self._subscribers.keys() | self._held.keys() | self._muted.keys()

    def num_subscribers(self, channel: str) -> int:
        """How many connections here are subscribed to `channel`."""
        live = sum(map(len, self._subscribers.get(channel, {}).values()))
        return live + len(self._held.get(channel, ())) + len(self._muted.get(channel, ()))

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
        return len(self._all_channels())
