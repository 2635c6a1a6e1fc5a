"""The fields of requests and replies of all methods: names, types, limits and meaning.

The decoders, docs/api-v4.md and the OpenAPI document are generated from these types. A parameter that is null counts as
missing, and unknown parameters are ignored. Fields with a default are left out of replies when they are zero or empty.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from ..model.subscription_options import SubscribeOverride

MAX_INT64 = 2**63 - 1
"""The largest offset, version and time, because engines store signed integers with 64 bits."""

Text = str | None
OptionalBool = bool | None
Anything = Raw | UnsetType
Offset = Annotated[int, Meta(ge=0, le=MAX_INT64)]
Count = Annotated[int, Meta(ge=0, le=MAX_INT64)]


class Params(msgspec.Struct):
    """The parameters of a method."""


class Result(msgspec.Struct, omit_defaults=True):
    """The result of a method."""


class Error(msgspec.Struct):
    """The error of a method: code and message."""

    code: Annotated[int, Meta(description="Identifies the error.", ge=100, le=1999)]
    message: Annotated[str, Meta(description="The text of the error.")]


class Position(msgspec.Struct, omit_defaults=True):
    """A position in the stream of a channel."""

    offset: Annotated[Offset, Meta(description="The number of a publication: 1, 2, 3 and so on.")] = 0
    epoch: Annotated[str, Meta(description="Identifies the stream; it changes when publications may be lost.")] = ""


# -- publish and broadcast


class Published(Params):
    """The parameters that `publish` and `broadcast` have in common."""

    data: Annotated[
        Anything, Meta(description="The payload: any JSON with up to 500 levels, passed on without changes.")
    ] = UNSET
    b64data: Annotated[
        Text, Meta(description="The payload in Base64 instead of `data`, for payloads that are not JSON.")
    ] = None
    skip_history: Annotated[OptionalBool, Meta(description="Do not add the publication to the history.")] = None
    tags: Annotated[
        dict[str, str] | None, Meta(description="Names and values that subscribers receive with the publication.")
    ] = None
    idempotency_key: Annotated[
        Text,
        Meta(
            description="Of several publications with the same key in a channel within 5 minutes, only the first is "
            "published; the others get its position."
        ),
    ] = None
    delta: Annotated[OptionalBool, Meta(description="Ignored: the options of the channel decide about deltas.")] = None
    version: Annotated[
        Offset | None,
        Meta(description="The version of a document. Not published if the same or a newer version was published."),
    ] = None
    version_epoch: Annotated[
        Text, Meta(description="Versions with different values of `version_epoch` are not compared.")
    ] = None


class PublishParams(Published):
    """The parameters of `publish`."""

    channel: Annotated[Text, Meta(description="The channel. Required.")] = None


class PublishResult(Result):
    """The position of the publication; empty if it is not stored in a history."""

    offset: Annotated[Offset, Meta(description="The offset of the publication.")] = 0
    epoch: Annotated[str, Meta(description="The epoch of the stream.")] = ""


class BroadcastParams(Published):
    """The parameters of `broadcast`."""

    channels: Annotated[list[str] | None, Meta(description="The channels. At least one is required.")] = None


class PublishReply(msgspec.Struct, omit_defaults=True):
    """The outcome for one channel: a result or an error."""

    result: PublishResult | None = None
    error: Error | None = None


class BroadcastResult(Result):
    """The outcomes, in the order of the channels."""

    responses: Annotated[list[PublishReply], Meta(description="One result or error for each channel.")]


# -- connections of a user


class UserParams(Params):
    """The user, client or session whose connections a method applies to."""

    user: Annotated[Text, Meta(description="The user; empty for all anonymous users.")] = None
    client: Annotated[Text, Meta(description="Only the connection with this client ID.")] = None
    session: Annotated[
        Text, Meta(description="Only the connection with this session. Clients of protocol v1 have no session.")
    ] = None


class SubscribeParams(UserParams):
    """The parameters of `subscribe`."""

    channel: Annotated[Text, Meta(description="The channel. Required.")] = None
    expire_at: Annotated[
        Count | None, Meta(description="When the subscription expires, in Unix seconds; 0 means never.")
    ] = None
    info: Annotated[Anything, Meta(description="Sent to other clients in this channel as `chan_info`, any JSON.")] = (
        UNSET
    )
    b64info: Annotated[Text, Meta(description="`info` as bytes in Base64.")] = None
    data: Annotated[Anything, Meta(description="Sent to the client with the subscription, any JSON.")] = UNSET
    b64data: Annotated[Text, Meta(description="`data` as bytes in Base64.")] = None
    recover_since: Annotated[
        Position | None, Meta(description="Send the client all publications after this position.")
    ] = None
    override: Annotated[
        SubscribeOverride | None, Meta(description="Options of the channel for this subscription alone.")
    ] = None


class UnsubscribeParams(UserParams):
    """The parameters of `unsubscribe`."""

    channel: Annotated[Text, Meta(description="The channel; empty for all channels.")] = None


class DisconnectReason(msgspec.Struct):
    """The close code and the reason with which a connection is closed."""

    code: Annotated[
        Annotated[int, Meta(ge=0, le=4999)] | None,
        Meta(description="The close code. Clients reconnect, except after 3500 to 3999 and 4500 to 4999."),
    ] = None
    reason: Annotated[Text, Meta(description="The reason in the close frame, cut after 123 bytes.")] = None


class DisconnectParams(UserParams):
    """The parameters of `disconnect`."""

    whitelist: Annotated[list[str] | None, Meta(description="Client IDs of connections that stay open.")] = None
    disconnect: Annotated[DisconnectReason | None, Meta(description="The default is 3503, `force disconnect`.")] = None


class RefreshParams(UserParams):
    """The parameters of `refresh`."""

    expired: Annotated[OptionalBool, Meta(description="Close the connection as expired.")] = None
    expire_at: Annotated[
        Count | None, Meta(description="When the connection expires, in Unix seconds; 0 means never.")
    ] = None
    info: Annotated[Anything, Meta(description="The new `conn_info`, sent to other clients, any JSON.")] = UNSET


class EmptyResult(Result):
    """An empty result: the method was carried out."""


# -- presence and history


class ChannelParams(Params):
    """The parameters of methods about one channel."""

    channel: Annotated[Text, Meta(description="The channel. Required.")] = None


class ClientInfo(msgspec.Struct, omit_defaults=True):
    """The identity of a connection: user, client ID and info."""

    user: Annotated[str, Meta(description="The user.")]
    client: Annotated[str, Meta(description="The client ID.")]
    conn_info: Annotated[Anything, Meta(description="The info of the connection, for example from its token.")] = UNSET
    chan_info: Annotated[Anything, Meta(description="The info of the subscription to this channel.")] = UNSET


class PresenceResult(Result):
    """The clients in a channel."""

    presence: Annotated[dict[str, ClientInfo], Meta(description="The subscribers by client ID.")]


class PresenceStatsResult(Result):
    """The number of connections and users in a channel."""

    num_clients: Annotated[Count, Meta(description="The number of connections.")]
    num_users: Annotated[Count, Meta(description="The number of users of these connections.")]


class HistoryParams(ChannelParams):
    """The parameters of `history`."""

    limit: Annotated[
        Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None,
        Meta(description="The maximum number of publications; 0 for only the position, -1 for all publications."),
    ] = None
    since: Annotated[
        Position | None,
        Meta(
            description="Only publications after this position, with `reverse` before it. An empty epoch matches any."
        ),
    ] = None
    reverse: Annotated[OptionalBool, Meta(description="Newest publication first.")] = None


class StoredPublication(msgspec.Struct, omit_defaults=True):
    """One publication of a history."""

    data: Annotated[Raw, Meta(description="The payload; Base64 in a string if it is not JSON.")]
    offset: Annotated[Offset, Meta(description="The offset of the publication.")] = 0
    tags: Annotated[dict[str, str] | None, Meta(description="The tags of the publication.")] = None
    info: Annotated[ClientInfo | None, Meta(description="The client that published it, if a client did.")] = None


class HistoryResult(Result):
    """Publications, and the newest position of the stream."""

    publications: Annotated[list[StoredPublication], Meta(description="Oldest first, unless `reverse` is set.")]
    offset: Annotated[Offset, Meta(description="The offset of the newest publication; 0 if there has been none.")]
    epoch: Annotated[str, Meta(description="The epoch of the stream.")]


# -- the server


class ChannelsParams(Params):
    """The parameters of `channels`."""

    pattern: Annotated[
        Text,
        Meta(
            description="Only channels whose names match this pattern: `*`, `?`, `[a-z]`, `[!a]`, `{one,two}`; `\\\\` "
            "before a character takes away its special meaning."
        ),
    ] = None


class ChannelInfo(msgspec.Struct):
    """The subscribers of one channel."""

    num_clients: Annotated[Count, Meta(description="The number of subscribers.")]


class ChannelsResult(Result):
    """The channels that have subscribers."""

    channels: Annotated[dict[str, ChannelInfo], Meta(description="The channels by name.")]


class InfoParams(Params):
    """The parameters of `info`, which has none."""


class NodeMetrics(msgspec.Struct):
    """The counters of a node."""

    interval: Annotated[float, Meta(description="The length in seconds of the interval that the counters cover.")]
    items: Annotated[dict[str, float], Meta(description="The counters by name (docs/stats.md).")]


class NodeResult(msgspec.Struct):
    """One node, as described by its last ping."""

    uid: Annotated[str, Meta(description="Identifies the process of the node.")]
    name: Annotated[str, Meta(description="The option `name` of the node.")]
    version: Annotated[str, Meta(description="The version of the node.")]
    num_clients: Annotated[Count, Meta(description="The number of connections.")]
    num_users: Annotated[Count, Meta(description="The number of users of these connections.")]
    num_subs: Annotated[Count, Meta(description="The number of subscriptions of these connections.")]
    num_channels: Annotated[Count, Meta(description="The number of channels that have subscribers on the node.")]
    uptime: Annotated[Count, Meta(description="Seconds since the start of the node.")]
    metrics: Annotated[NodeMetrics, Meta(description="The counters of the node.")]


class InfoResult(Result):
    """The nodes of the cluster, as described by their last pings."""

    nodes: Annotated[list[NodeResult], Meta(description="One for each node.")]
