"""Decisions of a backend in the format of Centrifugo's proxy (docs/proxy.md): the events, and the types of decisions.

`proxy.py` sends the requests over HTTP, and is registered for these events. Protocols call the functions of this
module, which do not depend on URLs or HTTP. So no HTTP client is needed if no backend is configured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from ..model.errors import NOT_AVAILABLE, Refused
from ..model.json_codec import decode_embedded
from ..model.subscription_options import SubscriptionOptions
from .hooks import PUBLISH, Context, Hooks
from .node import Node

CONNECT_PROXY, REFRESH_PROXY = "connect proxy", "refresh proxy"
SUBSCRIBE_PROXY, SUB_REFRESH_PROXY, PUBLISH_PROXY = "subscribe proxy", "sub_refresh proxy", "publish proxy"

SUB_REFRESH = "sub_refresh"
"""The name in the log of the event that a subscription expires; other events have the names of hooks."""

MakeContext: TypeAlias = Callable[[str, str], Context]
"""Creates the context of a hook for an event and a channel of a client."""


@dataclass(slots=True)
class ConnectContext(Context):
    """The information that the backend receives about a client that connects without a token."""

    library: str = ""
    """Name of the client library, if the client sends it."""
    library_version: str = ""
    wanted: Sequence[str] = ()
    """Server-side subscriptions that the client requests, as channel names."""


@dataclass(frozen=True, slots=True)
class AllowedSubscription:
    """A subscription that a backend has allowed."""

    options: SubscriptionOptions
    expires_at: float = 0
    """Unix time in seconds at which the subscription expires; 0 if it does not."""


@dataclass(frozen=True, slots=True)
class AllowedConnection:
    """A connection that a backend has allowed."""

    user: str
    """Empty for an anonymous user."""
    info: bytes = b""
    """Sent to other clients: JSON, or any bytes for a client that uses Protobuf."""
    data: bytes = b""
    """What the client receives with the reply: JSON, or any bytes for a client that uses Protobuf."""
    expires_at: float = 0
    """Unix time in seconds at which the connection expires; 0 if it does not."""
    subscriptions: Mapping[str, AllowedSubscription] = field(default_factory=dict)
    """The channels to which the server subscribes the client."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """The backend's decision about an expired connection or subscription."""

    is_expired: bool = False
    """Whether it ends now."""
    expires_at: float = 0
    """The next Unix time in seconds at which it expires; 0 if the backend gives none."""
    info: bytes = b""
    """The new info that is sent to other clients; empty leaves it unchanged."""


def ask_connection(hooks: Hooks, context: ConnectContext) -> AllowedConnection | None:
    """Request the decision about a client without a token. Returns None if the backend does not identify the client.

    May block. Raises Refused and Closing like `Hooks.ask`.
    """
    return cast("AllowedConnection | None", hooks.answer(context, CONNECT_PROXY))


def ask_subscription(hooks: Hooks, context: Context) -> AllowedSubscription:
    """Request the decision of the backend whether a client may subscribe. May block.

    Raises Refused and Closing like `Hooks.ask`, and Refused with NOT_AVAILABLE if no backend was configured at startup.
    """
    if not hooks.has(SUBSCRIBE_PROXY):
        raise Refused(NOT_AVAILABLE)
    return cast(AllowedSubscription, hooks.answer(context, SUBSCRIBE_PROXY))


def approved_data(node: Node, channel: str, data: bytes, context: MakeContext) -> bytes | None:
    """Return the data to publish after hooks and a backend have allowed it; None if the client needs no approval.

    May block. Raises Refused and Closing, and InvalidJSON for data that is not JSON if there are hooks.
    """
    is_hooked = node.hooks.has(PUBLISH)
    if is_hooked:
        asked = context(PUBLISH, channel)
        asked.data = decode_embedded(data)
        data = node.hooks.ask(asked, data=data).data
    if node.rules.options(channel).proxy_publish:
        return _ask_publication(node.hooks, context(PUBLISH, channel), data)
    return data if is_hooked else None


def _ask_publication(hooks: Hooks, context: Context, data: bytes) -> bytes:
    """Request the decision whether a client may publish. Returns `data`, or the replacement from the backend."""
    if not hooks.has(PUBLISH_PROXY):
        raise Refused(NOT_AVAILABLE)
    context.data = data
    return cast(bytes, hooks.answer(context, PUBLISH_PROXY)) or data


def ask_renewal(hooks: Hooks, context: Context, event: str) -> Renewal:
    """Request the decision about an expired connection (REFRESH_PROXY) or subscription (SUB_REFRESH_PROXY).

    May block. Raises Refused and Closing like `Hooks.ask`.
    """
    return cast(Renewal, hooks.answer(context, event))
