"""The subscriptions of one client of protocol version 2: presence, joins and leaves, positions, recovery and expiry.

Uses the node, but no tokens or permissions. `channel_commands.py` decides which subscriptions are allowed, and sends
the replies that are returned here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

import gevent
from msgspec import Raw, Struct

from ...config.channel_options import ChannelOptions
from ...model.errors import Refused
from ...model.events import Encoding, RawClientInfo, StreamPosition
from ...model.events import Publication as NodePublication
from ...model.payload import NO_PAYLOAD
from ...node.base_client import ClosedMeanwhile
from ...node.membership import Membership, SubscribingClient
from ...node.node import Node
from ...node.proxy_events import SUB_REFRESH_PROXY
from ...runtime.timers import Timer
from .deltas import DeltaSubscription, find_or_create_chain
from .encodings import encode_event, encode_with_id, encoding
from .errors import (
    ERROR_ALREADY_SUBSCRIBED,
    ERROR_UNRECOVERABLE_POSITION,
    INTERNAL_SERVER_ERROR,
    CodedClosing,
    CodedRefusal,
)
from .event_positions import EventPositions
from .format import Format, NotJSON
from .messages import SubscribeRequest, SubscribeResult
from .permissions import Grant
from .stream_messages import passing, recovery_result
from .tags_filter import TagsFilter
from .unsendable import close_unsendable

REFUSE_UNRECOVERED = 2
"""The bit of `flag` in a subscribe request that refuses a subscription if the publications cannot be recovered."""
MAX_TTL = 365 * 86400
"""The largest number of seconds until an expiry that is sent to clients."""


class FormattingClient(SubscribingClient, Protocol):
    """The client of the subscriptions, whose format and transport determine how events are encoded."""

    format: Format
    frame: Callable[[bytes], bytes]
    positions: EventPositions | None
    """What the client has reached, if its messages have ids; None otherwise."""

    def end_expired(self, channel: str, expired_at: float) -> None:
        """Renew a subscription that has expired at that time, or end it. May block."""


class Subscription(Struct):
    """One subscription of a client."""

    info: bytes
    """JSON that is sent to other clients in this channel; empty for none."""
    grant: Grant
    is_server_side: bool = False
    """Whether the server has made the subscription, instead of the client."""
    passes: TagsFilter | None = None
    """The filter for publications that the client receives; None for all publications."""
    deltas: DeltaSubscription | None = None
    """The state of the patches that the client receives; None without deltas."""
    expires_at: float = 0
    """Seconds since 1970; 0 for never."""
    is_renewed_by_backend: bool = False
    """Whether a backend is asked when the subscription expires, so that the client need not refresh it."""
    expiry: Timer | None = None
    result: SubscribeResult | None = None
    """What is sent to the client before the subscription goes live; None before it is known, and afterwards."""

    def stores_presence(self, options: ChannelOptions) -> bool:
        """Return whether the server stores that the client is subscribed to a channel with these options."""
        return options.presence if self.grant.stores_presence is None else self.grant.stores_presence

    def announces(self, options: ChannelOptions) -> bool:
        """Return whether others receive a join and a leave of the client in a channel with these options."""
        return options.join_leave if self.grant.announces is None else self.grant.announces


class GrantedSubscription(Struct, frozen=True):
    """A subscription that has been allowed, before it is made."""

    channel: str
    request: SubscribeRequest
    grant: Grant
    info: bytes = b""
    """JSON that is sent to other clients in this channel; empty for none."""
    expires_at: float = 0
    """Seconds since 1970; 0 for never."""
    data: Raw = NO_PAYLOAD
    """Application data that is sent to the client in the reply."""
    is_server_side: bool = False
    passes: TagsFilter | None = None
    """The filter for publications that the client receives; None for all publications."""


class SubscriptionsV2(Membership):
    """The subscriptions of one client. Methods that use the engine may block, and can be called from any greenlet."""

    __slots__ = ("channels", "_live_from")

    _client: FormattingClient

    def __init__(self, node: Node, client: FormattingClient) -> None:
        super().__init__(node, client)
        self.channels: dict[str, Subscription] = {}
        # The position of each channel that is on hold until the reply to its subscription has been sent.
        self._live_from: dict[str, StreamPosition] = {}

    def info(self, channel: str) -> RawClientInfo:
        """Return the info of the client that other clients receive in a channel, even if it is not subscribed."""
        client, subscription = self._client, self.channels.get(channel)
        info = b"" if subscription is None else subscription.info
        return RawClientInfo(client.user, client.uid, client.default_info, info)

    @property
    def names(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return self.channels.keys()

    # -- subscribe

    def add(self, wanted: GrantedSubscription) -> SubscribeResult:
        """Subscribe to a channel. Publications are held until `go_live` is called, after the reply has been sent.

        Joins and leaves of others until then are not sent.

        Raises CodedRefusal if the client refuses a subscription that cannot be recovered or is subscribed already,
        Refused if the namespace has been removed or the history cannot be read, CodedClosing for other failures of the
        engine, and ClosedMeanwhile.
        """
        with self._lock:
            return self._add(wanted)

    def add_all(self, wanted: Iterable[GrantedSubscription]) -> dict[str, SubscribeResult]:
        """Subscribe to several channels as `add` does. Commands of backends wait until all of them are added.

        So a reply that the caller sends before it waits for anything precedes the pushes of such commands.
        """
        with self._lock:
            return {subscription.channel: self._add(subscription) for subscription in wanted}

    def await_others(self) -> None:
        """Wait until no other greenlet changes the subscriptions of this client. May block."""
        with self._lock:
            pass

    def _add(self, wanted: GrantedSubscription) -> SubscribeResult:
        node, channel, grant = self._node, wanted.channel, wanted.grant
        if self._client.closed:
            raise ClosedMeanwhile
        if channel in self.channels:  # since this call began to wait
            raise CodedRefusal(ERROR_ALREADY_SUBSCRIBED)
        options = node.rules.options(channel)
        subscription = Subscription(wanted.info, grant, wanted.is_server_side, wanted.passes)
        subscription.is_renewed_by_backend = options.proxy_sub_refresh and node.hooks.has(SUB_REFRESH_PROXY)
        if grant.has_deltas:
            subscription.deltas = DeltaSubscription(find_or_create_chain(node.hub, channel), self._client.format)
        self.channels[channel] = subscription
        try:
            node.add_subscription(channel, self._client, True, self._encoding(subscription, has_joins=False))
            if subscription.stores_presence(options):
                self._add_presence(channel)
        except Refused:
            self._remove(channel)
            raise CodedClosing(INTERNAL_SERVER_ERROR) from None
        try:
            result = self._position(wanted, options)
        except (CodedRefusal, Refused):
            self._remove(channel)
            raise
        result.data, result.delta = wanted.data, grant.has_deltas
        self.expire_at(channel, wanted.expires_at)
        if not subscription.is_renewed_by_backend:
            result.expires, result.ttl = wanted.expires_at > 0, ttl(wanted.expires_at)
        subscription.result = result
        return result

    def _encoding(self, subscription: Subscription, has_joins: bool) -> Encoding:
        """Return the encoding of live events for this subscription, with or without joins and leaves."""
        client = self._client
        if subscription.deltas is not None:
            return subscription.deltas.encoding(client.frame, has_joins)
        has_ids = self._has_ids(subscription)
        encoded = encoding(client.format, client.frame, has_joins, subscription.grant.is_positioned, has_ids)
        return encoded if subscription.passes is None else encoded._replace(passes=subscription.passes)

    def _has_ids(self, subscription: Subscription) -> bool:
        """Return whether the publications that the client receives have ids."""
        return self._client.positions is not None and subscription.grant.is_recoverable

    def _position(self, wanted: GrantedSubscription, options: ChannelOptions) -> SubscribeResult:
        """Return a reply with the fields that concern the stream of the channel: position and recovery."""
        channel, request, grant = wanted.channel, wanted.request, wanted.grant
        if not grant.is_positioned:
            return SubscribeResult(was_recovering=request.recover)
        if request.recover and grant.is_recoverable:
            return self._recover(wanted, options)
        top = self._node.top(channel)
        self._live_from[channel] = top
        return SubscribeResult(
            recoverable=grant.is_recoverable,
            positioned=True,
            epoch=top.epoch,
            offset=top.offset,
            was_recovering=request.recover,
        )

    def _recover(self, wanted: GrantedSubscription, options: ChannelOptions) -> SubscribeResult:
        channel, request = wanted.channel, wanted.request
        since = StreamPosition(request.offset, request.epoch)
        if options.force_recovery_mode == "cache":
            found = self._node.recover_newest(channel, since, wanted.passes)
        else:
            limit = self._node.config.client_recovery_max_publication_limit
            found = self._node.recover_since(channel, since, limit)
        self._node.metrics.breakdowns.recoveries[found.recovered] += 1
        if not found.recovered and request.flag & REFUSE_UNRECOVERED and not wanted.is_server_side:
            raise CodedRefusal(ERROR_UNRECOVERABLE_POSITION)
        self._live_from[channel] = found.top
        try:
            return recovery_result(found, request.offset, wanted.passes, self.channels[channel].deltas)
        except NotJSON as error:
            raise close_unsendable(self._client, channel, error) from None

    def awaits(self, channel: str, result: SubscribeResult) -> bool:
        """Return whether the subscription with this result exists and is not live yet.

        It may have ended meanwhile, and another one may have been made.
        """
        subscription = self.channels.get(channel)
        return subscription is not None and subscription.result is result

    def go_live(self, channel: str) -> list[bytes] | None:
        """Stop holding the publications of a subscription, after its result has been sent.

        Returns the pushes of the publications that were held, oldest first; None if some are missing, and the client
        has to resubscribe. Raises CodedClosing for a publication that the format cannot carry.
        """
        subscription = self.channels[channel]
        subscription.result = None
        start = self._live_from.pop(channel, None)
        if start is None:
            publications: list[NodePublication] | None = self._node.hub.release(channel, self._client)
        else:
            publications = self._node.streams.release(channel, self._client, start)
        if publications is None:
            return None
        try:
            messages = self._pushes(publications, subscription) if publications else []
        except NotJSON as error:
            raise close_unsendable(self._client, channel, error) from None
        has_joins = subscription.grant.has_joins
        if subscription.deltas is not None and subscription.deltas.go_live():
            patched = subscription.deltas.patched_encoding(self._client.frame, has_joins)
            self._node.hub.change_encoding(channel, self._client, patched)
        elif has_joins:  # until now there were none, because no push may precede the reply
            self._node.hub.change_encoding(channel, self._client, self._encoding(subscription, has_joins))
        if self._has_ids(subscription):
            self._choose_ids(channel, subscription)
        return messages

    def _pushes(self, publications: Iterable[NodePublication], subscription: Subscription) -> list[bytes]:
        if subscription.deltas is not None:
            return [subscription.deltas.push(publication) for publication in publications]
        shown = passing(publications, subscription.passes)
        encode = encode_with_id if self._has_ids(subscription) else encode_event
        return [encode(self._client.format, publication) for publication in shown]

    def announce(self, channel: str) -> None:
        """Publish the join of the client, if the channel has joins. May block."""
        try:
            subscription = self.channels.get(channel)
            if subscription is not None and subscription.announces(self._node.rules.options(channel)):
                self._join(channel)
        except Refused:
            pass  # a reload has removed the namespace

    def _stores_presence(self, channel: str, options: ChannelOptions) -> bool:
        return self.channels[channel].stores_presence(options)

    # -- ids of messages

    def _choose_ids(self, channel: str, subscription: Subscription) -> None:
        """Give the publications of a live channel ids with the positions in all channels of the client.

        While the client has only one channel, all clients share these ids.
        """
        positions = self._client.positions
        assert positions is not None
        if positions.has_several:
            own = self._encoding(subscription, subscription.grant.has_joins)._replace(frame=positions.frame)
            self._node.hub.change_encoding(channel, self._client, own)
        else:
            positions.shared = channel

    def start_positions(self, positions: EventPositions, started: Mapping[str, StreamPosition]) -> None:
        """Add the positions in channels that are not live yet to the id of the next message."""
        shared, positions.shared = positions.shared, ""
        subscription = self.channels.get(shared)
        positions.start(started)
        if subscription is None:  # there is no shared channel, or it is just being ended
            return
        reached = self._node.streams.reached(shared)
        if reached is None or self._node.hub.is_muted(shared, self._client):
            positions.stop()
        else:
            positions.set_position(shared, reached)
        self._choose_ids(shared, subscription)

    # -- expiry

    def expire_at(self, channel: str, when: float) -> None:
        """Set when a subscription expires, in seconds since 1970; 0 for never."""
        subscription = self.channels[channel]
        if subscription.expiry is not None:
            subscription.expiry.cancel()
        subscription.expires_at = when
        if when > 0:
            delay = when - time.time() + self._grace_period(channel)
            subscription.expiry = self._node.timers.after(max(delay, 0), lambda: self._check_expiry(channel))

    def _check_expiry(self, channel: str) -> float | None:
        """End a subscription. Returns the seconds to wait instead if the system's clock was set back meanwhile."""
        expires_at = self.channels[channel].expires_at
        left = expires_at - time.time()
        if left > 0:
            return left + self._grace_period(channel)
        gevent.spawn(self._client.end_expired, channel, expires_at)
        return None

    def _grace_period(self, channel: str) -> float:
        """Return the seconds that a subscription may stay after it has expired."""
        if self.channels[channel].is_renewed_by_backend:
            return 0
        return self._node.config.client_expired_sub_close_delay

    # -- unsubscribe

    def remove(self, channel: str, is_meant: Callable[[Subscription], bool] | None = None) -> bool:
        """End the subscription to a channel; return whether it was ended. The client receives no leave of itself.

        `is_meant` is asked when nothing else changes the subscriptions any more: the client may have renewed this one,
        or replaced it by another one, while the call waited.
        """
        with self._lock:
            subscription = self.channels.get(channel)
            if subscription is None or not (is_meant is None or is_meant(subscription)):
                return False
            self._remove(channel)
            return True

    def end(self) -> None:
        """End all subscriptions of a client whose connection is closed."""
        self._end_presence()
        with self._lock:
            for channel in list(self.channels):
                self._remove(channel)
            self._forget_client()

    def _remove(self, channel: str) -> None:
        info = self.info(channel)
        subscription = self.channels.pop(channel)
        if subscription.expiry is not None:
            subscription.expiry.cancel()
        self._live_from.pop(channel, None)
        self._node.remove_subscription(channel, self._client)
        self._remove_presence(channel)
        self._leave(channel, info)


def ttl(expires_at: float) -> int:
    """Return the whole seconds until an expiry, for a reply to a client; 0 for no expiry."""
    return min(max(int(expires_at - time.time()), 0), MAX_TTL) if expires_at else 0
