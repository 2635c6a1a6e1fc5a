"""What others see of the subscriptions of a client, in all versions of the protocol: presence, joins and leaves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Protocol, cast

import gevent
from gevent.lock import BoundedSemaphore

from ..config.channel_options import ChannelOptions
from ..model.errors import Refused
from ..model.events import RawClientInfo
from ..runtime.timers import Timer, first_delay
from .hub import Connection
from .node import Node


class SubscribingClient(Connection, Protocol):
    """A client with subscriptions, whose presence is renewed."""

    closed: bool
    default_info: bytes


class FormerClient:
    """The data that subscriptions keep of a client whose connection is closed.

    The client itself refers to its subscriptions, so only the garbage collector could free the two.
    """

    __slots__ = ("default_info", "uid", "user")
    closed = True

    def __init__(self, client: SubscribingClient) -> None:
        self.default_info = client.default_info
        self.uid = client.uid
        self.user = client.user


class Membership(ABC):
    """The part of a client's subscriptions that others see. Presence is renewed at intervals, once it has been stored.

    A leave is published for each join, and only for a join, also if a reload changes the options in between. It is
    published as well after a join that failed, because the engine may have carried that out.
    """

    __slots__ = ("_client", "_joined", "_lock", "_node", "_presence_timer", "_present")

    def __init__(self, node: Node, client: SubscribingClient) -> None:
        self._node = node
        self._client = client
        # Held while the engine is asked about these channels, so that the commands of the client, calls of a backend,
        # the renewal of presence and the end of the connection do not overlap. It is never held while a hook runs:
        # a hook may unsubscribe or disconnect this client.
        self._lock = BoundedSemaphore()
        self._presence_timer: Timer | None = None
        # The channels for which presence was stored: a reload may switch the option off before the client leaves.
        self._present: set[str] | None = None
        # The channels in which a join was published.
        self._joined: set[str] | None = None

    @property
    @abstractmethod
    def names(self) -> Collection[str]:
        """The channels that the client is subscribed to."""

    @abstractmethod
    def info(self, channel: str) -> RawClientInfo:
        """Return the info of the client that other clients receive in a channel."""

    def _stores_presence(self, channel: str, options: ChannelOptions) -> bool:
        """Return whether presence is stored for a subscription to a channel with these options."""
        return options.presence

    def _add_presence(self, channel: str) -> None:
        """Store that the client is in a channel, and renew that at intervals. May block.

        Raises Refused if the engine fails.
        """
        if self._present is None:
            self._present = set()
        self._present.add(channel)
        self._node.add_presence(channel, self._client.uid, self.info(channel))
        self._keep_presence()

    def _remove_presence(self, channel: str) -> None:
        """Remove the client from the presence of a channel, if it was stored. May block."""
        if self._present is not None and channel in self._present:
            self._present.remove(channel)
            self._node.remove_presence(channel, self._client.uid)

    def _join(self, channel: str) -> None:
        """Publish the join of the client. May block. A leave that is published meanwhile comes after it."""
        if self._joined is None:
            self._joined = set()
        elif channel in self._joined:
            return
        self._joined.add(channel)
        self._node.publish_join(channel, self.info(channel))

    def _leave(self, channel: str, info: RawClientInfo) -> None:
        """Publish the leave of the client, if its join was published. May block."""
        if self._joined is not None and channel in self._joined:
            self._joined.remove(channel)
            self._node.publish_leave(channel, info)

    def _keep_presence(self) -> None:
        """Renew presence at intervals; the first interval is shorter by a random part, to spread the load."""
        if self._presence_timer is None:
            first = first_delay(self._node.config.presence_ping_interval)
            self._presence_timer = self._node.renewals.after(first, self._renew_presence)

    def _end_presence(self) -> None:
        """Stop renewing the presence of the client."""
        if self._presence_timer is not None:
            self._presence_timer.cancel()

    def _forget_client(self) -> None:
        """Refer to the closed client no longer, when no subscription is left. The lock must be held."""
        self._client = cast(SubscribingClient, FormerClient(self._client))  # what it lacks concerns subscribed channels

    def _renew_presence(self) -> float | None:
        """Renew presence. Returns the seconds until the next time; None if the client has no subscriptions."""
        if self._client.closed or not self.names:
            self._presence_timer = None
            return None
        gevent.spawn(self._renew_presence_now)
        return self._node.config.presence_ping_interval

    def _renew_presence_now(self) -> None:
        for channel in list(self.names):
            with self._lock:
                if not self._client.closed and channel in self.names:
                    self._renew_presence_in(channel)

    def _renew_presence_in(self, channel: str) -> None:
        try:
            if self._stores_presence(channel, self._node.rules.options(channel)):
                self._add_presence(channel)
        except Refused:
            pass  # logged where it failed; the next renewal retries
