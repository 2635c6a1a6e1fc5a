"""The connections of this node, and their subscriptions.

A connection is any object with a uid, a user, an encoding and an outbox. Independent of engines and protocols, without
I/O. No method switches greenlets, so each is atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import gevent

from ..model.errors import Disconnect
from ..model.events import Encoding, Event, Publication, Unsendable
from ..net.flusher import Flusher
from ..net.outbox import Queue

CLOSE_UNSENDABLE = Disconnect("inappropriate protocol")
"""A message contains bytes that the client's format cannot carry. Clients of version 1 can receive all messages."""


class OpenConnection(Protocol):
    """The methods of a connection that the node uses, even before the first command of the client."""

    outbox: Queue

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        ...

    def recover_again(self, channel: str) -> None:
        """Make the client recover publications of a channel that may be missing. May block."""
        ...

    def close(self, disconnect: Disconnect) -> None:
        """Close the connection. May block; a second call does nothing."""
        ...


class Connection(OpenConnection, Protocol):
    """The methods of an authenticated connection that the hub and the node use."""

    uid: str
    user: str
    encoding: Encoding

    @property
    def protocol(self) -> str:
        """Version of the protocol and format, as the admin interface shows it."""
        ...

    @property
    def library(self) -> str:
        """Name and version of the client library, if the client sends them; otherwise empty."""
        ...

    @property
    def address(self) -> str:
        """The address of the client; empty if it is not known."""
        ...

    @property
    def transport_name(self) -> str:
        """The name of the transport, as operators see it."""
        ...

    @property
    def since(self) -> float:
        """When the connection was opened, in Unix seconds."""
        ...

    @property
    def idle(self) -> float:
        """Seconds since the last message of the client."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """End a subscription at the request of a backend. May block."""
        ...


class HeldPublications:
    """Publications that are held until a subscriber has received the earlier publications that it has missed."""

    __slots__ = ("encoding", "publications", "size")

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.publications: list[Publication] = []
        self.size = 0
        """The total bytes of their data."""

    def add(self, publication: Publication) -> int:
        """Hold one more publication. Returns the total bytes of all held publications."""
        self.publications.append(publication)
        self.size += len(publication.data)
        return self.size


class _Filtered:
    """The results that one broadcast shares between subscribers with different filters."""

    __slots__ = ("_event", "_frames", "_verdicts")

    def __init__(self, event: Event) -> None:
        self._event = event
        self._verdicts: dict[Callable[[Event], bool], bool] = {}
        self._frames: dict[tuple[bytes, Callable[[bytes], bytes]], bytes] = {}

    def passes(self, filter_: Callable[[Event], bool]) -> bool:
        """Return whether the event passes a filter."""
        if filter_ not in self._verdicts:
            self._verdicts[filter_] = filter_(self._event)
        return self._verdicts[filter_]

    def frame_message(self, message: bytes, frame: Callable[[bytes], bytes]) -> bytes:
        """Return the message framed for a transport; the same bytes object for all filters."""
        key = message, frame
        if key not in self._frames:
            self._frames[key] = frame(message)
        return self._frames[key]


class Hub:
    """The connections of one node by uid, by user and by channel."""

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher
        self.open: set[OpenConnection] = set()
        """All connections, including those that have not authenticated; they add and remove themselves."""
        self._connections: dict[str, Connection] = {}
        self._users: dict[str, set[Connection]] = {}
        # channel -> encoding -> outboxes: a broadcast encodes once for each encoding that is in use.
        self._subscribers: dict[str, dict[Encoding, set[Queue]]] = {}
        # channel -> the subscribers for which publications are held.
        self._held: dict[str, dict[Connection, HeldPublications]] = {}
        # channel -> outboxes of the subscribers that receive nothing more, because publications are missing there.
        self._muted: dict[str, set[Queue]] = {}
        self.num_subscriptions = 0
        """The number of subscriptions."""

    def add(self, connection: Connection) -> None:
        """Register an authenticated connection."""
        self._connections[connection.uid] = connection
        self._users.setdefault(connection.user, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """Remove a connection. Does nothing if it is not registered."""
        if self._connections.pop(connection.uid, None) is None:
            return
        connections = self._users[connection.user]
        connections.remove(connection)
        if not connections:
            del self._users[connection.user]

    def add_subscription(
        self, channel: str, connection: Connection, hold: bool = False, encoding: Encoding | None = None
    ) -> bool:
        """Add a connection to the subscribers of a channel. Returns whether it is the first one.

        With `hold`, publications wait until `release` is called, but joins and leaves do not. `encoding` replaces the
        encoding of the connection for this subscription.
        """
        first = not self.has_subscribers(channel)
        self.num_subscriptions += 1
        if hold:
            self._held.setdefault(channel, {})[connection] = HeldPublications(encoding or connection.encoding)
        else:
            self._join(channel, connection, encoding or connection.encoding)
        return first

    def _join(self, channel: str, connection: Connection, encoding: Encoding) -> None:
        self._subscribers.setdefault(channel, {}).setdefault(encoding, set()).add(connection.outbox)

    def held(self, channel: str, connection: Connection) -> Sequence[Publication]:
        """Return the publications that are held for a connection, oldest first. Empty if there is no hold."""
        held = self._held.get(channel, {}).get(connection)
        return () if held is None else held.publications

    def release(self, channel: str, connection: Connection) -> list[Publication]:
        """Stop holding publications for a connection. Returns those that were held, oldest first.

        Returns an empty list if there is no hold.
        """
        held = self._end_hold(channel, connection)
        if held is None:
            return []
        self._join(channel, connection, held.encoding)
        return held.publications

    def _end_hold(self, channel: str, connection: Connection) -> HeldPublications | None:
        holds = self._held.get(channel)
        held = None if holds is None else holds.pop(connection, None)
        if not holds:
            self._held.pop(channel, None)
        return held

    def mute(self, channel: str, only_positioned: bool = False) -> bool:
        """Stop sending events of a channel to its current subscribers, except those for which publications are held.

        With `only_positioned`, this concerns only subscribers with positions. Returns whether there are such
        subscribers.
        """
        encodings = self._subscribers.get(channel, {})
        muted = [encoding for encoding in encodings if encoding.is_positioned or not only_positioned]
        for encoding in muted:
            self._muted.setdefault(channel, set()).update(encodings.pop(encoding))
        if not encodings:
            self._subscribers.pop(channel, None)
        return bool(muted)

    def is_muted(self, channel: str, connection: OpenConnection) -> bool:
        """Return whether events of a channel are no longer sent to a subscriber."""
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
        """Remove a subscription. Returns whether it was the last one of the channel."""
        was_apart = self._end_hold(channel, connection) is not None or self._unmute(channel, connection)
        if not self._leave(channel, connection) and not was_apart:
            return False
        self.num_subscriptions -= 1
        return not self.has_subscribers(channel)

    def _leave(self, channel: str, connection: Connection) -> bool:
        """Remove a connection from the subscribers of a channel. Returns whether it was subscribed."""
        encodings = self._subscribers.get(channel, {})
        for encoding, outboxes in encodings.items():
            if connection.outbox in outboxes:
                outboxes.remove(connection.outbox)
                if not outboxes:
                    del encodings[encoding]
                if not encodings:
                    del self._subscribers[channel]
                return True
        return False

    def broadcast(self, event: Event, to_positioned: bool = True) -> None:
        """Append an event to the outboxes of all subscribers of its channel. It is encoded once for each encoding.

        Without `to_positioned`, subscribers with positions do not receive it, unless publications are held for them.
        Subscribers whose format cannot carry the event receive nothing more, and a greenlet disconnects them.
        """
        pushes: dict[Callable[[Event], bytes], bytes] = {}
        changed: tuple[Encoding, ...] = ()
        filtered: _Filtered | None = None
        for encoding, outboxes in self._subscribers.get(event.channel, {}).items():
            push, frame, is_positioned, passes, then = encoding
            if is_positioned and not to_positioned:
                continue
            if passes is not None and not (filtered := filtered or _Filtered(event)).passes(passes):
                continue
            if push not in pushes:
                try:
                    pushes[push] = push(event)
                except Unsendable:
                    changed += (encoding,)
                    continue
            if message := pushes[push]:
                framed = (
                    frame(message) if passes is None or filtered is None else filtered.frame_message(message, frame)
                )
                self._flusher.fan_out(outboxes, framed)
                if then is not None:
                    changed += (encoding,)
        for encoding in changed:
            self._change(event, encoding, is_unsendable=encoding.push not in pushes)
        if self._held and event.channel in self._held:
            self._hold(event)

    def _change(self, event: Event, encoding: Encoding, is_unsendable: bool) -> None:
        """Switch subscribers to their next encoding, or disconnect them, after `event` has been broadcast."""
        encodings = self._subscribers[event.channel]
        if is_unsendable:
            outboxes = encodings.pop(encoding)
            self._muted.setdefault(event.channel, set()).update(outboxes)
            if not encodings:
                del self._subscribers[event.channel]
            gevent.spawn(self._close_unsendable, outboxes)
        elif encoding.then is not None and isinstance(event, Publication):
            encodings.setdefault(encoding.then, set()).update(encodings.pop(encoding))

    def _close_unsendable(self, outboxes: Collection[Queue]) -> None:
        for connection in [connection for connection in self.open if connection.outbox in outboxes]:
            gevent.spawn(connection.close, CLOSE_UNSENDABLE)

    def _hold(self, event: Event) -> None:
        """Add an event to those held for subscribers on hold."""
        for connection, held in self._held[event.channel].items():
            if isinstance(event, Publication):
                if held.add(event) > connection.outbox.limit:
                    connection.outbox.overflow()
                continue
            try:
                message = held.encoding.push(event)
            except Unsendable:
                gevent.spawn(connection.close, CLOSE_UNSENDABLE)
                continue
            if message:
                connection.outbox.append(held.encoding.frame(message))

    def change_encoding(self, channel: str, connection: Connection, encoding: Encoding) -> None:
        """Change the encoding of a subscription. Does nothing if the subscriber receives no events any more."""
        if self._leave(channel, connection):
            self._join(channel, connection, encoding)

    def has_subscribers(self, channel: str) -> bool:
        """Return whether a connection of this node is subscribed to `channel`."""
        return channel in self._subscribers or channel in self._held or channel in self._muted

    def channels(self) -> list[str]:
        """Return the channels with a subscriber on this node."""
        return list(self._all_channels())

    def _all_channels(self) -> Collection[str]:
        if not self._held and not self._muted:
            return self._subscribers
        return self._subscribers.keys() | self._held.keys() | self._muted.keys()

    def num_subscribers(self, channel: str) -> int:
        """Return the number of connections of this node that are subscribed to `channel`."""
        live = sum(map(len, self._subscribers.get(channel, {}).values()))
        return live + len(self._held.get(channel, ())) + len(self._muted.get(channel, ()))

    def user_connections(self, user: str) -> list[Connection]:
        """Return the connections of `user`, in a new list."""
        return list(self._users.get(user, ()))

    def connections(self) -> list[Connection]:
        """Return all authenticated connections, in a new list."""
        return list(self._connections.values())

    def users(self) -> list[str]:
        """Return the users with a connection to this node."""
        return list(self._users)

    def num_user_connections(self, user: str) -> int:
        """Return the number of connections of a user to this node."""
        return len(self._users.get(user, ()))

    def connections_with(self, uid: str) -> list[Connection]:
        """Return a list with the connection that has this ID; empty if there is none."""
        connection = self._connections.get(uid)
        return [] if connection is None else [connection]

    @property
    def num_connections(self) -> int:
        """The number of authenticated connections of this node."""
        return len(self._connections)

    @property
    def num_users(self) -> int:
        """The number of distinct users with a connection to this node."""
        return len(self._users)

    @property
    def num_channels(self) -> int:
        """The number of channels with a subscriber on this node."""
        return len(self._all_channels())
