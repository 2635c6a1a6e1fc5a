"""The subscriptions of one client: permissions, presence, and recovery of missed messages.

Uses the node and the signed data of a subscription. `client.py` sends the replies and keeps the order of commands.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ...config.channel_options import ChannelOptions
from ...model import signing
from ...model.errors import (
    ALREADY_SUBSCRIBED,
    CLOSE_INTERNAL_ERROR,
    LIMIT_EXCEEDED,
    PERMISSION_DENIED,
    Closing,
    Refused,
)
from ...model.events import Publication, RawClientInfo
from ...node.base_client import ClosedMeanwhile
from ...node.membership import Membership, SubscribingClient
from ...node.node import Node
from . import wire

log = logging.getLogger(__name__)


class Recovered(NamedTuple):
    """The data about the history of a channel that a client receives when it subscribes."""

    last: str = ""
    """The uid of the newest publication, for a client that does not recover."""
    publications: Sequence[Publication] | None = None
    """The publications that the client has missed, newest first; None for a client that does not recover."""
    complete: bool = False
    """Whether these are all the publications that the client has missed."""


_WITHOUT_RECOVERY = Recovered()
_new = tuple.__new__  # in half the time of the constructor


class SubscriptionsV1(Membership):
    """The subscriptions of one client. Methods that use the engine may block, and can be called from any greenlet."""

    __slots__ = ("channels", "_recovered")

    def __init__(self, node: Node, client: SubscribingClient) -> None:
        super().__init__(node, client)
        self.channels: dict[str, bytes] = {}
        """The subscribed channels, each with the signed info of the subscription."""
        # The channels whose publications are held until the reply with their recovery is sent, and the uid of the
        # newest publication in the history then.
        self._recovered: dict[str, str] = {}

    def info(self, channel: str) -> RawClientInfo:
        """Return the info of the client that other clients receive. Raises KeyError if it is not subscribed."""
        client = self._client
        return _new(RawClientInfo, (client.user, client.uid, client.default_info, self.channels[channel]))

    @property
    def names(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        return self.channels

    # -- subscribe

    def check(self, channel: str, params: wire.SubscribeParams) -> None:
        """Raise Refused unless the client may subscribe to the channel."""
        node, config, rules, client = self._node, self._node.config, self._node.rules, self._client
        if len(channel.encode()) > config.max_channel_length or len(self.channels) >= config.client_channel_limit:
            raise Refused(LIMIT_EXCEEDED)
        if channel in self.channels:
            raise Refused(ALREADY_SUBSCRIBED)
        if not (rules.allows_user(channel, client.user) and rules.allows_client(channel, client.uid)):
            raise Refused(PERMISSION_DENIED, rules.reason_in_name(channel, client.user))
        options = node.rules.options(channel)
        if not (client.user or options.anonymous or config.insecure):
            raise Refused(PERMISSION_DENIED, f"option anonymous is off {rules.options_place(channel)}")
        if rules.is_private(channel):
            self._check_signature(channel, params)

    def _check_signature(self, channel: str, params: wire.SubscribeParams) -> None:
        secret, uid = self._node.config.secret, self._client.uid
        expected = signing.channel_sign(secret, uid, channel, params.info or "")
        if not secret or params.client != uid or not signing.matches(expected, params.sign or ""):
            why = "invalid" if params.sign else "missing"
            raise Refused(PERMISSION_DENIED, f"{why} signature for a private channel")

    def add(self, channel: str, params: wire.SubscribeParams) -> Recovered:
        """Subscribe to a channel and announce the client there.

        Raises Refused if the channel's namespace has been removed, Closing if the engine fails, and ClosedMeanwhile.
        """
        with self._lock:
            if self._client.closed:
                raise ClosedMeanwhile
            return self._add(channel, params)

    def _add(self, channel: str, params: wire.SubscribeParams) -> Recovered:
        node = self._node
        options = node.rules.options(channel)
        signed_info = params.info if params.info and node.rules.is_private(channel) else ""
        self.channels[channel] = wire.embedded_json(signed_info) if signed_info else b""
        recovers = options.recover and bool(params.recover)
        try:
            node.add_subscription(channel, self._client, hold=recovers)
            if options.presence:
                self._add_presence(channel)
        except Refused:
            self._remove(channel, receives_leave=True)
            raise Closing(CLOSE_INTERNAL_ERROR) from None
        recovered = self._recover(channel, options, params)
        if recovers:
            newest = recovered.publications[0].uid if recovered.publications else params.last or ""
            self._recovered[channel] = newest
        if options.join_leave:
            self._join(channel)
        return recovered

    def _recover(self, channel: str, options: ChannelOptions, params: wire.SubscribeParams) -> Recovered:
        if not options.recover:
            return _WITHOUT_RECOVERY
        try:
            if not params.recover:
                return Recovered(last=self._node.last_uid(channel))
            publications, complete = self._node.recover(channel, params.last or "")
        except Refused as refused:
            log.debug("recovery in %r: %s", channel, refused.error.text)
            return Recovered(publications=[] if params.recover else None)
        self._node.metrics.breakdowns.recoveries[complete] += 1
        return Recovered(publications=publications, complete=complete)

    def release_held(self) -> Sequence[Publication]:
        """Stop holding publications of recovered channels. Call it after the replies have been sent.

        Returns the held publications, oldest first in each channel, without those that the client already has: those in
        the replies, and older ones that arrived late at this node.
        """
        if not self._recovered:
            return ()
        recovered, self._recovered = self._recovered, {}
        return [
            publication
            for channel, newest in recovered.items()
            for publication in _after(newest, self._node.hub.release(channel, self._client))
        ]

    # -- unsubscribe

    def remove(self, channel: str) -> None:
        """End the subscription to a channel, if there is one. An open client receives its own leave event."""
        with self._lock:
            self._remove(channel, receives_leave=not self._client.closed)

    def end(self) -> None:
        """End all subscriptions of a client that is closed. It does not receive its own leave events."""
        self._end_presence()
        with self._lock:
            for channel in list(self.channels):
                self._remove(channel, receives_leave=False)
            self._forget_client()

    def _remove(self, channel: str, receives_leave: bool) -> None:
        if channel not in self.channels:
            return
        info = self.info(channel)
        del self.channels[channel]
        if not receives_leave:
            self._node.remove_subscription(channel, self._client)
        self._remove_presence(channel)
        self._leave(channel, info)
        if receives_leave:
            self._node.remove_subscription(channel, self._client)


def _after(uid: str, publications: Sequence[Publication]) -> Sequence[Publication]:
    """Return the publications after the one with a uid, oldest first; all of them if that one is missing."""
    for position, publication in enumerate(publications):
        if publication.uid == uid:
            return publications[position + 1 :]
    return publications
