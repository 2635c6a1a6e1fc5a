"""What a client of protocol version 2 may do in a channel, according to the options and the name of the channel.

Nothing is allowed unless an option or a token allows it. All functions are pure.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from ...config.channel_options import ChannelOptions
from ...config.options import split_list
from ...model.subscription_options import SubscriptionOptions
from ...node.channels import ChannelRules, history_options
from .messages import SubscribeRequest


class Requester(Struct):
    """The properties of a client that permissions depend on."""

    user: str
    """Empty for an anonymous user."""
    is_subscribed: bool = False
    """Whether it is subscribed to the channel of the request."""
    is_trusted: bool = False
    """Whether the server runs in insecure mode, in which clients may do everything."""


def may_subscribe(rules: ChannelRules, channel: str, user: str) -> bool:
    """Return whether a client may subscribe without a token: the channel name lists `user`, or an option allows it."""
    if rules.is_private(channel):
        return False
    options = rules.options(channel)
    if options.allow_user_limited_channels and user and rules.names_users(channel):
        return True
    return options.allow_subscribe_for_client if user else options.allow_subscribe_for_anonymous


def may_publish(options: ChannelOptions, requester: Requester) -> bool:
    """Return whether a client may publish in a channel with these options."""
    return _is_allowed(
        requester,
        options.allow_publish_for_client,
        options.allow_publish_for_subscriber,
        options.allow_publish_for_anonymous,
    )


def may_read_presence(options: ChannelOptions, requester: Requester) -> bool:
    """Return whether a client may read presence, and may therefore also request joins and leaves."""
    return _is_allowed(
        requester,
        options.allow_presence_for_client,
        options.allow_presence_for_subscriber,
        options.allow_presence_for_anonymous,
    )


def may_read_history(options: ChannelOptions, requester: Requester) -> bool:
    """Return whether a client may read the history, and may therefore also request positions and recovery."""
    return _is_allowed(
        requester,
        options.allow_history_for_client,
        options.allow_history_for_subscriber,
        options.allow_history_for_anonymous,
    )


def _is_allowed(requester: Requester, for_client: bool, for_subscriber: bool, for_anonymous: bool) -> bool:
    if requester.is_trusted or (requester.is_subscribed and for_subscriber):
        return True
    return for_client if requester.user else for_anonymous


class Grant(Struct):
    """The features of a subscription that are enabled, of those that the client has requested."""

    is_positioned: bool
    """The client receives its position in the stream, and is notified if publications are missing."""
    is_recoverable: bool
    """The client may recover publications when it resubscribes."""
    has_joins: bool
    """The client receives joins and leaves."""
    may_have_deltas: bool = False
    """The client has requested deltas, and the channel allows them."""
    stores_presence: bool | None = None
    """Whether presence of the client is stored; None for the option of the channel."""
    announces: bool | None = None
    """Whether others receive a join and a leave of the client; None for the option of the channel."""

    @property
    def has_deltas(self) -> bool:
        """Whether the client receives patches: only with positions, because these show if a publication is missing."""
        return self.may_have_deltas and self.is_positioned


def grant(options: ChannelOptions, request: SubscribeRequest, user: str, is_trusted: bool = False) -> Grant:
    """Return the features of a requested subscription. Features that are not allowed are left out without an error."""
    subscriber = Requester(user, is_subscribed=True, is_trusted=is_trusted)
    has_history = history_options(options) is not None
    reads_history = (request.recoverable or request.positioned) and may_read_history(options, subscriber)
    wants_recovery = request.recoverable and (options.allow_recovery or reads_history)
    wants_positions = request.positioned and (options.allow_positioning or reads_history)
    is_recoverable = has_history and (options.recover or wants_recovery)
    is_positioned = has_history and (options.force_positioning or wants_positions)
    wants_joins = request.join_leave and may_read_presence(options, subscriber)
    has_joins = options.join_leave and (options.force_push_join_leave or wants_joins)
    wants_deltas = bool(request.delta) and request.tf is None  # a patch needs every publication before it
    may_have_deltas = wants_deltas and request.delta in split_list(options.allowed_delta_types)
    return Grant(is_positioned or is_recoverable, is_recoverable, has_joins, may_have_deltas)


def apply_override(granted: Grant, given: SubscriptionOptions, options: ChannelOptions) -> Grant:
    """Return the features of a subscription after the overrides of its token or backend."""
    is_recoverable = granted.is_recoverable if given.force_recovery is None else given.force_recovery
    is_positioned = granted.is_positioned if given.force_positioning is None else given.force_positioning
    has_history = history_options(options) is not None
    has_joins = granted.has_joins
    if given.force_push_join_leave is not None:
        has_joins = options.join_leave and given.force_push_join_leave
    is_positioned = has_history and (is_positioned or is_recoverable)
    return replace(
        granted,
        is_positioned=is_positioned,
        is_recoverable=has_history and is_recoverable,
        has_joins=has_joins,
        stores_presence=given.presence,
        announces=given.join_leave,
    )
