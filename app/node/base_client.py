"""The parts of a client's connection that do not depend on the version of the protocol: its data, expiry and end.

Subclasses, one for each version, add the commands that a client sends and the messages that it receives.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import NamedTuple

import gevent

from ..http.opening_request import Opening
from ..model.errors import (
    CLOSE_EXPIRED,
    CLOSE_INTERNAL_ERROR,
    CLOSE_PING_ERROR,
    CLOSE_SEND_ERROR,
    CLOSE_SLOW,
    CLOSE_STALE,
    AnyClosing,
    Disconnect,
    SentDisconnect,
)
from ..model.events import Encoding
from ..model.json_codec import decode_if_json
from ..net.outbox import Queue
from ..net.traffic import Traffic
from ..net.transport import Transport
from ..runtime.random_ids import random_uuid
from ..runtime.timers import Timer
from . import hooks
from .breakdowns import PEER_CLOSED, TrafficKind
from .hooks import Context
from .node import Node

log = logging.getLogger(__name__)

_new = tuple.__new__  # in half the time of the constructor


class ClosedMeanwhile(Exception):
    """The connection was closed while one of its commands waited."""


class ConnectionStart(NamedTuple):
    """What is known of a connection before its first message."""

    opening: Opening | None = None
    """The request that opened it."""
    request: str = ""
    """The ID of that request in the log; empty for none."""
    stale_timer: Timer | None = None
    """Closes it if the client does not connect; None if this timer has not been started yet."""


UNKNOWN_START = ConnectionStart()


class BaseClient(ABC):
    """One connection. `handle` is called with one message at a time; `close` may be called at any time.

    The constructor registers the connection with the node. A client that has not connected within
    stale_connection_close_delay is closed.
    """

    encoding: Encoding
    """How events of channels are encoded for this client; set by the class of the version."""
    library = ""
    """Name and version of the client library, if the client sends them; otherwise empty."""

    __slots__ = (
        "active_at",
        "authenticated",
        "closed",
        "default_info",
        "encoding",
        "node",
        "opening",
        "outbox",
        "since",
        "traffic",
        "uid",
        "user",
        "_expires_at",
        "_request",
        "_timer",
        "_transport",
    )

    def __init__(self, node: Node, transport: Transport, start: ConnectionStart) -> None:
        self.uid = random_uuid()
        self.since = time.time()
        self.active_at = time.perf_counter()
        """When the last message of the client came."""
        self.user = ""
        self.authenticated = False
        self.closed = False
        self.default_info = b""
        self.outbox: Queue = transport.outbox
        self.node = node
        self.opening, self._request, stale_timer = start
        self._transport = transport
        self._expires_at = 0.0
        self._timer = stale_timer  # from the connect on, it is for the expiry
        node.hub.open.add(self)
        delay = node.config.stale_connection_close_delay
        if stale_timer is not None:
            stale_timer.callback = self._close_if_stale
        elif delay > 0:
            self._timer = node.timers.after(delay, self._close_if_stale)

    def _count_traffic(self) -> None:
        """Start counting the traffic of the connection; called by the constructor of the version."""
        kind = _new(TrafficKind, (self._transport.name, self.protocol))
        self.traffic: Traffic = self.node.metrics.breakdowns.traffic[kind]
        self.outbox.counts = self.traffic

    @property
    @abstractmethod
    def protocol(self) -> str:
        """Version of the protocol and format, as the admin interface shows it."""

    @property
    @abstractmethod
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""

    @abstractmethod
    def unsubscribe(self, channel: str) -> None:
        """End a subscription at the request of a backend, and notify the client. May block."""

    @abstractmethod
    def recover_again(self, channel: str) -> None:
        """Make the client recover publications of a channel that may be missing. May block."""

    @property
    def address(self) -> str:
        """The address of the client; empty if it is not known."""
        return "" if self.opening is None else self.opening.address

    @property
    def transport_name(self) -> str:
        """The name of the transport, as operators see it."""
        return self._transport.name

    @property
    def idle(self) -> float:
        """Seconds since the last message of the client."""
        return time.perf_counter() - self.active_at

    @property
    def ids(self) -> dict[str, str]:
        """The IDs of the client and user, for structured log lines."""
        ids = {"client": self.uid, "user": self.user}
        return {**ids, "request": self._request} if self._request else ids

    def context(self, event: str, channel: str = "") -> Context:
        """Create the context with which hooks are called for an event of this client."""
        info = decode_if_json(self.default_info)
        name = self._transport.name
        return Context(event, self.user, self.uid, channel, info=info, transport=name, opening=self.opening)

    # -- messages of the client

    def handle(self, message: bytes) -> None:
        """Carry out the commands of one message and queue the replies; an invalid message closes the connection."""
        started = self.active_at = time.perf_counter()
        metrics, traffic = self.node.metrics, self.traffic
        metrics.counters.client_api_num_requests += 1
        metrics.counters.client_bytes_in += len(message)
        traffic.messages_received += 1
        traffic.bytes_received += len(message)
        try:
            self._handle(message)
        except ClosedMeanwhile:
            pass
        except AnyClosing as closing:
            if closing.is_noted:
                self.node.refusals.note_closed(self, str(closing))
            else:
                log.debug("client %s (user %r): %s", self.uid, self.user, closing, extra=self.ids)
            self._end(closing.disconnect)
        metrics.client_api.record(time.perf_counter() - started)

    @abstractmethod
    def _handle(self, message: bytes) -> None:
        """Carry out the commands of one message. May block.

        Raises the AnyClosing of its version, also for a message that cannot be decoded, and ClosedMeanwhile.
        """

    # -- authentication and expiry

    def _register(self, user: str, info: bytes) -> None:
        """Register the connection with the node as one of `user`, with `info` for other clients."""
        self.user = user
        self.default_info = info
        self.authenticated = True
        self._cancel_timer()
        self.traffic.accepted += 1
        self.traffic.connections += 1
        self.node.add_connection(self)

    def expire_at(self, when: float) -> None:
        """Set the time at which the credentials expire, in seconds since 1970; 0 means never.

        The connection is closed expired_connection_close_delay after that time, if it is not renewed before.
        """
        self._cancel_timer()
        self._expires_at = when
        if when > 0:
            delay = when - time.time() + self._grace_period()
            self._timer = self.node.timers.after(max(delay, 0), self._close_if_expired)

    def _grace_period(self) -> float:
        """Return the seconds that a connection may stay open after its credentials have expired."""
        return self.node.config.expired_connection_close_delay

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_if_stale(self) -> None:
        if not self.authenticated:
            self.close_later(CLOSE_STALE)

    def _close_if_expired(self) -> float | None:
        """Close the connection. Returns the seconds to wait instead if the system's clock was set back meanwhile."""
        left = self._expires_at - time.time()
        if left > 0:
            return left + self._grace_period()
        self._close_expired()
        return None

    def _close_expired(self) -> None:
        self.close_later(CLOSE_EXPIRED)

    # -- the end

    @abstractmethod
    def close(self, disconnect: Disconnect | None = None) -> None:
        """Close the connection and release everything; `disconnect` is None if the peer has closed it. May block."""

    def close_later(self, disconnect: Disconnect) -> None:
        """Close in another greenlet, for callers that must not block, such as a broadcast."""
        gevent.spawn(self.close, disconnect)

    def _end(self, disconnect: SentDisconnect | None) -> None:
        if self.closed:
            return
        self.closed = True
        self.node.hub.open.discard(self)
        self._note_close(disconnect)
        if disconnect is not None:
            self.node.closed_clients.note(self, disconnect.reason)
            # This comes first, so that an unavailable engine does not delay the client's reconnection to another node.
            log.debug("client %s (user %r): closing: %s", self.uid, self.user, disconnect.reason, extra=self.ids)
            self._transport.close(disconnect.code, disconnect.close_reason)
        self._cancel_timer()
        self._release()
        if self.authenticated:
            self.traffic.connections -= 1
            self.node.remove_connection(self)
            self._notify_hooks("" if disconnect is None else disconnect.reason)

    def _note_close(self, disconnect: SentDisconnect | None) -> None:
        breakdowns = self.node.metrics.breakdowns
        if disconnect is None:
            breakdowns.note_close(self.protocol, 0, PEER_CLOSED)
        else:
            breakdowns.note_close(self.protocol, disconnect.code, disconnect.reason)

    @abstractmethod
    def _release(self) -> None:
        """End the subscriptions of the client. May block."""

    def _notify_hooks(self, reason: str) -> None:
        if self.node.hooks.has(hooks.DISCONNECT):
            context = self.context(hooks.DISCONNECT)
            context.reason = reason
            self.node.hooks.notify_later(context)

    # -- failures of the transport, and of the server (net.transport.TransportOwner)

    def close_slow(self) -> None:
        """Close a slow client: more data waits to be written than client_queue_max_size."""
        gevent.spawn(self._close_slow)

    def close_silent(self) -> None:
        """Close the connection of a client that has not answered a ping."""
        self.node.metrics.counters.client_num_closed_ping_error += 1
        self.close_later(CLOSE_PING_ERROR)

    @abstractmethod
    def close_too_large(self) -> None:
        """Close the connection because a message is too large. May block."""

    def close_failed(self, reason: str) -> None:
        """Close the connection after the transport failed to write."""
        log.debug("client %s (user %r): %s", self.uid, self.user, reason, extra=self.ids)
        self.node.metrics.counters.client_num_closed_send_error += 1
        self.close_later(CLOSE_SEND_ERROR)

    def close_broken(self, error: Exception) -> None:
        """Log an unexpected error, and close with the advice to reconnect."""
        reason = "client %s (user %r): internal error, closing connection"
        log.error(reason, self.uid, self.user, extra=self.ids, exc_info=error)
        self.close(CLOSE_INTERNAL_ERROR)

    def _close_slow(self, gathered: int = 0) -> None:
        """Close a slow client; `gathered` is the size in bytes of replies that are not in the outbox yet."""
        if not self.closed:  # otherwise the outbox ends with the reason of the close
            self.node.note_slow(self, gathered)
            self.outbox.drop_waiting()
            self.close(CLOSE_SLOW)
