"""The options of connections: limits for each client, and timeouts."""

from __future__ import annotations

from dataclasses import dataclass

from .channel_options import AllChannelOptions
from .options import POSITIVE, POSITIVE_TIME, SECONDS, option


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions(AllChannelOptions):
    """Limits and times for each connection, in addition to the options of channels."""

    client_channel_limit: int = option(128, "Maximum number of channels per connection.", reload=True)
    user_connection_limit: int = option(
        0,
        "Maximum number of connections per user on this node; 0 means no limit.",
        reload=True,
        aliases=("client_user_connection_limit",),
    )
    user_subscribe_to_personal: bool = option(
        False,
        "Subscribe each client of protocol v2 with a user ID to the personal channel of its user, such as `#42`.",
        reload=True,
    )
    user_personal_channel_namespace: str = option("", "Namespace of personal channels; empty for none.", reload=True)
    user_personal_single_connection: bool = option(
        False,
        "With `user_subscribe_to_personal`: a client that connects closes all other connections of its user.",
        reload=True,
    )
    max_channel_length: int = option(
        255,
        "Maximum length of a channel name in UTF-8.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
        aliases=("channel_max_length",),
    )
    client_request_max_size: int = option(
        65536,
        "Maximum size of a request from a client.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
        aliases=("websocket_message_size_limit",),
    )
    client_queue_max_size: int = option(
        10485760,
        "Maximum size of a client's queue; above it the client is closed as slow.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )
    client_queue_initial_capacity: int = option(
        2,
        "Accepted for compatibility with Centrifugo.",
        unit="messages",
        no_effect="queues use no memory until they contain messages",
    )
    client_history_max_publication_limit: int = option(
        300,
        "Maximum number of messages of a history in one reply to a client of protocol v2.",
        check=POSITIVE,
        reload=True,
    )
    client_recovery_max_publication_limit: int = option(
        300,
        "Maximum number of messages that a client of protocol v2 recovers; one that has missed more recovers none.",
        check=POSITIVE,
        reload=True,
    )
    client_write_delay: float = option(
        0.02,
        "Maximum delay between two writes to a client when the process is busy or many frames gather; "
        "otherwise, and in small channels, at most a quarter.",
        unit=SECONDS,
        reload=True,
    )
    client_message_write_timeout: float = option(
        0,
        "Maximum time for one write to a client before the client is closed; 0 means no limit.",
        unit=SECONDS,
        reload=True,
        aliases=("websocket_write_timeout",),
    )

    connection_lifetime: float = option(
        0, "How long credentials are valid after their timestamp; 0 means forever.", unit=SECONDS, reload=True
    )
    expired_connection_close_delay: float = option(
        25,
        "How long a client may take to refresh expired credentials.",
        unit=SECONDS,
        reload=True,
        aliases=("client_expired_close_delay",),
    )
    stale_connection_close_delay: float = option(
        25,
        "How long a new connection may take to send connect; 0 means no limit.",
        unit=SECONDS,
        reload=True,
        aliases=("client_stale_close_delay",),
    )
    ping_interval: float = option(
        25,
        "How often the server pings a client; it closes clients that do not answer within 10/9 of this time; "
        "0 sends no pings.",
        unit=SECONDS,
        reload=True,
        aliases=("client_ping_interval", "websocket_ping_interval"),
    )
    client_pong_timeout: float = option(
        8,
        "How long a client of protocol v2 may take to answer a ping.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
        aliases=("pong_timeout",),
    )
    client_expired_sub_close_delay: float = option(
        25, "How long a client of protocol v2 may take to refresh an expired subscription.", unit=SECONDS, reload=True
    )
    presence_ping_interval: float = option(
        25,
        "How often a connection renews its presence.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
        aliases=("client_presence_update_interval", "client_presence_ping_interval"),
    )
    presence_expire_interval: float = option(
        60,
        "How long a presence entry is kept without renewal.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
        aliases=("client_presence_expire_interval", "presence_ttl", "global_presence_ttl"),
    )
