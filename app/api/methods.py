"""The methods of the API, each declared once: name, parameters, result and errors.

The decoders of requests, docs/api-v4.md and the OpenAPI document are generated from this list.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from ..protocol.v2.errors import (
    ERROR_BAD_REQUEST,
    ERROR_INTERNAL,
    ERROR_NOT_AVAILABLE,
    ERROR_UNKNOWN_CHANNEL,
    ERROR_UNRECOVERABLE_POSITION,
    CodedError,
)
from . import messages
from .messages import Error

ERROR_NOT_FOUND = CodedError(104, "not found")
"""A command in a batch does not contain a known method."""


class Method(NamedTuple):
    """One method of the API."""

    name: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]
    errors: tuple[CodedError, ...]
    summary: str
    """A short description in one sentence."""
    about: str
    """Further information for developers of backends."""


_CHANNEL_ERRORS = (ERROR_INTERNAL, ERROR_UNKNOWN_CHANNEL, ERROR_BAD_REQUEST)
_USER_ERRORS = (ERROR_INTERNAL,)

PUBLISH_METHOD = Method(
    "publish",
    messages.PublishParams,
    messages.PublishResult,
    _CHANNEL_ERRORS,
    "Publish into a channel.",
    "The reply is sent when the engine has accepted the publication. To retry after a failure without publishing "
    "twice, set `idempotency_key`.",
)
COMMANDS = (
    PUBLISH_METHOD,
    Method(
        "broadcast",
        messages.BroadcastParams,
        messages.BroadcastResult,
        _CHANNEL_ERRORS,
        "Publish the same data into several channels.",
        "An error in one channel does not stop the others. The reply has a result or an error for each channel.",
    ),
    Method(
        "subscribe",
        messages.SubscribeParams,
        messages.EmptyResult,
        _CHANNEL_ERRORS,
        "Subscribe the connections of a user to a channel.",
        "Has no effect on clients of protocol v1, which only subscribe by themselves.",
    ),
    Method(
        "unsubscribe",
        messages.UnsubscribeParams,
        messages.EmptyResult,
        (ERROR_INTERNAL, ERROR_UNKNOWN_CHANNEL),
        "End subscriptions of a user.",
        "Acts on all nodes. Clients are notified.",
    ),
    Method(
        "disconnect",
        messages.DisconnectParams,
        messages.EmptyResult,
        _USER_ERRORS,
        "Close connections of a user.",
        "Acts on all nodes. Clients of protocol v1 receive a close frame with code 3000 that contains, as JSON, the "
        "reason and whether to reconnect; for code 3503 the reason is `disconnect`.",
    ),
    Method(
        "refresh",
        messages.RefreshParams,
        messages.EmptyResult,
        _USER_ERRORS,
        "Change when connections of a user expire.",
        "Has no effect on clients of protocol v1, which only refresh with new credentials.",
    ),
    Method(
        "presence",
        messages.ChannelParams,
        messages.PresenceResult,
        (*_CHANNEL_ERRORS, ERROR_NOT_AVAILABLE),
        "List the clients in a channel.",
        "Needs the channel option `presence`.",
    ),
    Method(
        "presence_stats",
        messages.ChannelParams,
        messages.PresenceStatsResult,
        (*_CHANNEL_ERRORS, ERROR_NOT_AVAILABLE),
        "Count the clients in a channel.",
        "Needs the channel option `presence`.",
    ),
    Method(
        "history",
        messages.HistoryParams,
        messages.HistoryResult,
        (*_CHANNEL_ERRORS, ERROR_NOT_AVAILABLE, ERROR_UNRECOVERABLE_POSITION),
        "Read the history of a channel.",
        "Needs the channel options `history_size` and `history_lifetime`. Without `limit` the result is only the "
        "position of the newest publication.",
    ),
    Method(
        "history_remove",
        messages.ChannelParams,
        messages.EmptyResult,
        (*_CHANNEL_ERRORS, ERROR_NOT_AVAILABLE),
        "Delete the history of a channel.",
        "The offset of the stream is not reset: the next publication has the next offset.",
    ),
    Method(
        "channels",
        messages.ChannelsParams,
        messages.ChannelsResult,
        (ERROR_INTERNAL, ERROR_BAD_REQUEST),
        "List the channels that have subscribers.",
        "All nodes are asked. The subscribers of a node that does not reply within a second are not counted. If there "
        "are very many channels, use a pattern to keep the reply small.",
    ),
    Method(
        "info",
        messages.InfoParams,
        messages.InfoResult,
        (ERROR_INTERNAL,),
        "Describe the nodes.",
        "The figures come from the last ping of each node, and are up to `node_ping_interval` old.",
    ),
)
"""All methods except `batch`, which are the ones that a batch may contain."""

BatchCommand: Any = msgspec.defstruct(
    "BatchCommand",
    [(method.name, method.params | None, None) for method in COMMANDS],
    namespace={"__doc__": "One command: an object with the name of a method and its parameters."},
    module=__name__,
)
BatchReply: Any = msgspec.defstruct(
    "BatchReply",
    [*((method.name, method.result | None, None) for method in COMMANDS), ("error", Error | None, None)],
    omit_defaults=True,
    namespace={"__doc__": "The reply to one command: the name of its method with the result, or an error."},
    module=__name__,
)


class BatchParams(messages.Params):
    """The parameters of `batch`."""

    commands: Annotated[list[BatchCommand] | None, Meta(description='Objects such as `{"publish": {…}}`.')] = None
    parallel: Annotated[
        bool | None,
        Meta(description="Carry out commands in parallel; publications in one channel stay in order."),
    ] = None
    group_publications: Annotated[
        bool | None,
        Meta(description="Ignored: consecutive publications are always passed to the engine together."),
    ] = None


class BatchResult(messages.Result):
    """The replies, in the order of the commands."""

    replies: Annotated[list[BatchReply], Meta(description="One reply for each command.")]


BATCH = Method(
    "batch",
    BatchParams,
    BatchResult,
    (),
    "Carry out several commands with one request.",
    "The fastest way to publish many messages. The field `replies` is at the top level of the response, not inside "
    "`result`. An error in one command does not stop the others. A command without a known method gets the error 104, "
    "`not found`. If the replies, without those to `publish`, are larger than the option `api_reply_max_size`, the "
    "remaining commands get the error 106, `limit exceeded`.",
)
METHODS = (*COMMANDS, BATCH)
"""All methods. Each has the path /api/NAME."""
METHODS_PROTOCOL = "http"
"""The name of this API in the metrics."""
NAMES = frozenset(method.name for method in METHODS)
