"""What the commands of protocol version 2 need of the client that has sent them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ...http.opening_request import Opening
from ...node.hooks import Context
from ...node.node import Node
from .errors import CodedDisconnect
from .event_positions import LastEvent
from .messages import Publication, Push, Reply, SubscribeResult
from .subscriptions import GrantedSubscription, SubscriptionsV2
from .tokens import TokenVerifier


class Identity(NamedTuple):
    """The identity of a client: user, info and expiry."""

    user: str
    """Empty for an anonymous user."""
    info: bytes
    """JSON that others see of it; empty when there is none."""
    expires_at: float
    """Seconds since 1970; 0 for never."""
    subscriptions: Sequence[GrantedSubscription] = ()
    """The channels that the server subscribes it to."""
    data: bytes = b""
    """What it receives with the reply: JSON, or any bytes with Protobuf; empty when there is nothing."""


class ServedClient(Protocol):
    """A client's connection, as the functions that carry out commands see it."""

    uid: str
    user: str
    default_info: bytes
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
        """The properties of this client that hooks receive."""
        ...

    def reply(self, reply: Reply) -> None:
        """Queue one reply or push."""
        ...

    def push(self, push: Push) -> None:
        """Queue one push for the client."""
        ...

    def subscribe(self, wanted: GrantedSubscription) -> SubscribeResult:
        """Subscribe to a channel; what is returned is to be sent before `go_live` is called. May block."""
        ...

    def subscribe_all(self, wanted: Sequence[GrantedSubscription]) -> dict[str, SubscribeResult]:
        """Subscribe to channels as `subscribe` does, before any command of a backend is carried out. May block."""
        ...

    def note_positions(self, results: Mapping[str, SubscribeResult]) -> None:
        """Let the next message have an id with the positions of new subscriptions, if messages have ids."""
        ...

    def send_missed(self, channel: str, result: SubscribeResult, missed: Iterable[Publication]) -> None:
        """Send the publications that a new subscription has recovered."""
        ...

    def go_live(self, channel: str) -> None:
        """Send what was published since the reply to a subscription was made, and announce the client. May block."""
        ...

    def authenticate(self, identity: Identity, library: str) -> None:
        """Register the client as an authenticated user."""
        ...

    def refuse(self) -> None:
        """Read nothing more of this client."""
        ...

    def start_pings(self) -> None:
        """Begin to send pings, if the client is to get any."""
        ...

    def expire_at(self, when: float) -> None:
        """Let the connection expire at a time since 1970; 0 for never."""
        ...

    def disconnect(self, disconnect: CodedDisconnect | None) -> None:
        """End the connection with a close code. May block."""
        ...
