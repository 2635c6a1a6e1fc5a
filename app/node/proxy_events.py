"""The decisions that a backend makes in the format of Centrifugo's proxy (docs/proxy.md): events, and what is decided.

`proxy.py` asks over HTTP and registers itself for these events. The protocols call the functions of this module. They
know neither URLs nor HTTP, and do not need an HTTP client when no backend is configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..model.errors import NOT_AVAILABLE, Refused
from .hooks import Context, Hooks

CONNECT_PROXY, REFRESH_PROXY = "connect proxy", "refresh proxy"
SUBSCRIBE_PROXY, SUB_REFRESH_PROXY, PUBLISH_PROXY = "subscribe proxy", "sub_refresh proxy", "publish proxy"

SUB_REFRESH = "sub_refresh"
"""The event in the log when a subscription expires; the other events have the names of hooks."""


@dataclass(slots=True)
class ConnectContext(Context):
    """A client that connects without a token, as the backend learns about it."""

    library: str = ""
    """Name of the client library, as the client tells it."""
    library_version: str = ""
    wanted: Sequence[str] = ()
    """Channels to which the client asks the server to subscribe it."""


@dataclass(frozen=True, slots=True)
class AllowedSubscription:
    """A subscription that a backend has allowed."""

    info: bytes = b""
    """What others see of the client in this channel: JSON, or any bytes for a client that uses Protobuf."""
    data: bytes = b""
    """What the client receives with the reply: JSON, or any bytes for a client that uses Protobuf."""
    expires_at: float = 0
    """Unix time in seconds at which the subscription expires; 0 if it does not."""
    override: Mapping[str, bool] = field(default_factory=dict)
    """Options of the channel that are different for this subscription, by name."""


@dataclass(frozen=True, slots=True)
class AllowedConnection:
    """A connection that a backend has allowed."""

    user: str
    """Empty for an anonymous user."""
    info: bytes = b""
    """What others see of the client: JSON, or any bytes for a client that uses Protobuf."""
    data: bytes = b""
    """What the client receives with the reply: JSON, or any bytes for a client that uses Protobuf."""
    expires_at: float = 0
    """Unix time in seconds at which the connection expires; 0 if it does not."""
    subscriptions: Mapping[str, AllowedSubscription] = field(default_factory=dict)
    """The channels to which the server subscribes the client."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """How long a connection or a subscription goes on."""

    is_expired: bool = False
    """Whether it ends now."""
    expires_at: float = 0
    """The next Unix time in seconds at which it expires; 0 if the backend gives none."""
    info: bytes = b""
    """The new info that others see; empty leaves it unchanged."""


def ask_connection(hooks: Hooks, context: ConnectContext) -> AllowedConnection | None:
    """Ask the backend who connects; None if it does not say. May block. Raises Refused and Closing as `Hooks.ask`."""
    return cast("AllowedConnection | None", hooks.answer(context, CONNECT_PROXY))


def ask_subscription(hooks: Hooks, context: Context) -> AllowedSubscription:
    """Ask the backend whether a client may subscribe. May block.

    Raises Refused and Closing as `Hooks.ask`, and Refused with NOT_AVAILABLE if no backend was configured at startup.
    """
    if not hooks.has(SUBSCRIBE_PROXY):
        raise Refused(NOT_AVAILABLE)
    return cast(AllowedSubscription, hooks.answer(context, SUBSCRIBE_PROXY))


def ask_publication(hooks: Hooks, context: Context, data: bytes) -> bytes:
    """Ask the backend whether a client may publish; returns `data`, or the data that the backend wants instead.

    May block. Raises as `ask_subscription`.
    """
    if not hooks.has(PUBLISH_PROXY):
        raise Refused(NOT_AVAILABLE)
    context.data = data
    return cast(bytes, hooks.answer(context, PUBLISH_PROXY)) or data


def ask_renewal(hooks: Hooks, context: Context, event: str) -> Renewal:
    """Ask the backend how long a connection (REFRESH_PROXY) or a subscription (SUB_REFRESH_PROXY) goes on.

    May block. Raises Refused and Closing as `Hooks.ask`.
    """
    return cast(Renewal, hooks.answer(context, event))
