"""The options of channels, set for a namespace or, at the top level, for all channels without a namespace."""

from __future__ import annotations

from dataclasses import dataclass, field

from .options import SECONDS, Choice, comma_separated, must_match, option, option_metadata

NAMESPACE_NAME = must_match(r"[-a-zA-Z0-9_.]{2,}", 'Must be two or more letters, digits, "-", "_" or ".".')
RECOVERY_MODES = Choice("stream", "cache")
DELTA_TYPES = ("fossil",)
PROXIED = ("proxy_subscribe", "proxy_publish", "proxy_sub_refresh")
"""Options that let a backend decide. The URL of the backend is the option with the same name and `_endpoint`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """What a channel does. Channels without a namespace have the options of the top level.

    `publish` and `anonymous` apply to clients of protocol v1 only. The options that begin with `allow` and `force`
    apply to clients of protocol v2 only, with the names and meanings that they have in Centrifugo since v4. The other
    options apply to both kinds of clients.
    """

    watch: bool = option(False, "Show messages to operators who watch the channel in the admin interface.", reload=True)
    publish: bool = option(
        False, "Let clients of protocol v1 publish to channels that they are subscribed to.", reload=True
    )
    anonymous: bool = option(False, "Let clients of protocol v1 with an empty user ID subscribe.", reload=True)
    presence: bool = option(False, "Store which clients are subscribed, for the command presence.", reload=True)
    join_leave: bool = option(False, "Notify subscribers when a client subscribes or unsubscribes.", reload=True)
    history_size: int = option(0, "Number of messages to keep per channel; 0 keeps none.", reload=True)
    history_lifetime: float = option(
        0,
        "How long a channel's history is kept after its last message; 0 keeps none.",
        unit=SECONDS,
        reload=True,
        aliases=("history_ttl",),
    )
    history_meta_ttl: float = option(
        2592000,
        "How long a channel's last offset and epoch are kept after its last message; at least history_lifetime.",
        unit="seconds",
        reload=True,
    )
    recover: bool = option(
        False,
        "Send a returning client the messages it has missed; needs history_size and history_lifetime.",
        reload=True,
        aliases=("force_recovery", "history_recover"),
    )
    history_drop_inactive: bool = option(
        False,
        "Do not store messages while a channel has no subscribers and its history has not been used recently.",
        reload=True,
    )
    allow_subscribe_for_client: bool = option(
        False, "Let clients of protocol v2 subscribe without a token for the channel.", reload=True
    )
    allow_subscribe_for_anonymous: bool = option(
        False,
        "Let clients of protocol v2 with an empty user ID subscribe without a token for the channel.",
        reload=True,
    )
    allow_publish_for_client: bool = option(False, "Let clients of protocol v2 publish.", reload=True)
    allow_publish_for_subscriber: bool = option(
        False, "Let clients of protocol v2 publish to channels that they are subscribed to.", reload=True
    )
    allow_publish_for_anonymous: bool = option(
        False, "Let clients of protocol v2 with an empty user ID publish.", reload=True
    )
    allow_presence_for_client: bool = option(False, "Let clients of protocol v2 read presence.", reload=True)
    allow_presence_for_subscriber: bool = option(
        False, "Let clients of protocol v2 read the presence of channels that they are subscribed to.", reload=True
    )
    allow_presence_for_anonymous: bool = option(
        False, "Let clients of protocol v2 with an empty user ID read presence.", reload=True
    )
    allow_history_for_client: bool = option(False, "Let clients of protocol v2 read the history.", reload=True)
    allow_history_for_subscriber: bool = option(
        False, "Let clients of protocol v2 read the history of channels that they are subscribed to.", reload=True
    )
    allow_history_for_anonymous: bool = option(
        False, "Let clients of protocol v2 with an empty user ID read the history.", reload=True
    )
    allow_user_limited_channels: bool = option(
        False,
        "Let clients of protocol v2 subscribe without a token to channels whose names list their user, as `chat#42`.",
        reload=True,
    )
    force_push_join_leave: bool = option(
        False,
        "Send joins and leaves to all clients of protocol v2, not only to those that request them; needs join_leave.",
        reload=True,
    )
    allow_positioning: bool = option(
        False,
        "Let clients of protocol v2 request positions, which reveal lost messages; needs a history.",
        reload=True,
    )
    force_positioning: bool = option(
        False,
        "Give positions to all clients of protocol v2, not only to those that request them; needs a history.",
        reload=True,
        aliases=("position",),
    )
    allow_recovery: bool = option(
        False,
        "Let clients of protocol v2 request recovery; with `recover` all clients may recover; needs a history.",
        reload=True,
    )
    force_recovery_mode: str = option(
        "stream",
        "What clients of protocol v2 recover: all messages that they missed (stream), or only the newest one (cache); "
        "needs `recover` or `allow_recovery`.",
        check=RECOVERY_MODES,
        reload=True,
    )
    allowed_delta_types: str = option(
        "",
        f"Formats of deltas that clients of protocol v2 may request, comma-separated: {', '.join(DELTA_TYPES)}.",
        check=comma_separated(*DELTA_TYPES),
        is_list=True,
        reload=True,
    )
    allow_tags_filter: bool = option(
        False, "Let clients of protocol v2 set a filter, to receive only messages with matching tags.", reload=True
    )
    proxy_subscribe: bool = option(
        False,
        "Let the backend at `proxy_subscribe_endpoint` decide who may subscribe without a token for the channel.",
        reload=True,
        aliases=("subscribe_proxy_enabled",),
    )
    proxy_publish: bool = option(
        False,
        "Let the backend at `proxy_publish_endpoint` decide about publications of clients.",
        reload=True,
        aliases=("publish_proxy_enabled",),
    )
    proxy_sub_refresh: bool = option(
        False,
        "Let the backend at `proxy_sub_refresh_endpoint` decide whether expired subscriptions are renewed.",
        reload=True,
        aliases=("sub_refresh_proxy_enabled",),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(ChannelOptions):
    """Channel options for the channels whose names begin with `name` and the namespace boundary."""

    name: str = field(
        metadata=option_metadata(
            "Unique name: two or more letters, digits, `-`, `_` or `.`.", check=NAMESPACE_NAME, reload=True
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AllChannelOptions(ChannelOptions):
    """The options of channels without a namespace, and the namespaces."""

    namespaces: tuple[Namespace, ...] = option((), "Channel options per namespace; only in a file.", reload=True)
