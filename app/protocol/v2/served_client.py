"""The interface of a client for the functions that carry out its commands, in protocol version 2."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from ...http.opening_request import Opening
from ...node.hooks import Context
from ...node.node import Node
from .errors import CodedDisconnect
from .event_positions import LastEvent
from .messages import Publication, Push, Reply, SubscribeResult
from .subscriptions import GrantedSubscription, SubscriptionsV2
from .tokens import TokenVerifier


class Identity(Struct):
    """Who a client is, and what it receives when it connects."""

    user: str
    """Empty for an anonymous user."""
    info: bytes
    """JSON that is sent to other clients; empty for none."""
    expires_at: float
    """Seconds since 1970; 0 for never."""
    subscriptions: Sequence[GrantedSubscription] = ()
    """The server-side subscriptions of the client."""
    meta: bytes = b""
    """JSON that hooks may read, and that clients never receive; empty for none."""
    data: bytes = b""
    """Sent to the client in the reply: JSON, or any bytes with Protobuf; empty for none."""


class ServedClient(Protocol):
    """The part of a client's connection that the functions that carry out commands use."""

    uid: str
    user: str
    default_info: bytes
    meta: bytes
    authenticated: bool
    closed: bool
    node: Node
    tokens: TokenVerifier
    opening: Opening | None
    session: str
    subscriptions: SubscriptionsV2
    last_event: LastEvent | None
    """The id of the last event that a one-way client has received, if it came back with it."""

    @property
    def channels(self) -> Collection[str]:
        """The channels that the client is subscribed to."""
        ...

    @property
    def has_pings(self) -> bool:
        """Whether the server sends empty messages as pings."""
        ...

    def context(self, event: str, channel: str = "") -> Context:
        """Create the context with which hooks are called for an event of this client."""
        ...

    def reply(self, reply: Reply, channel: str = "") -> None:
        """Queue one reply or push. `channel` is logged if a payload cannot be sent and the reply has no channel."""
        ...

    def push(self, push: Push) -> None:
        """Queue one push for the client."""
        ...

    def subscribe(self, wanted: GrantedSubscription) -> SubscribeResult:
        """Subscribe to a channel. The caller sends the returned reply, and then calls `go_live`. May block."""
        ...

    def subscribe_all(self, wanted: Sequence[GrantedSubscription]) -> dict[str, SubscribeResult]:
        """Subscribe to channels as `subscribe` does, before any command of a backend is carried out. May block."""
        ...

    def note_positions(self, results: Mapping[str, SubscribeResult]) -> None:
        """Add the positions of new subscriptions to the id of the next message, if messages have ids."""
        ...

    def send_missed(self, channel: str, result: SubscribeResult, missed: Iterable[Publication]) -> None:
        """Send the publications that a new subscription has recovered."""
        ...

    def go_live(self, channel: str, result: SubscribeResult) -> None:
        """Send the publications that were held until this result was sent, and publish the join. May block."""
        ...

    def authenticate(self, identity: Identity, library: str) -> None:
        """Register the client as an authenticated user."""
        ...

    def refuse(self) -> None:
        """Ignore further commands of this client."""
        ...

    def start_pings(self) -> None:
        """Start sending pings, if this client receives them."""
        ...

    def expire_at(self, when: float) -> None:
        """Set when the connection expires, in seconds since 1970; 0 for never."""
        ...

    def disconnect(self, disconnect: CodedDisconnect | None) -> None:
        """Close the connection with a close code. May block."""
        ...
