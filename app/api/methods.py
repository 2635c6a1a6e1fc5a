"""The methods of the API, each declared once: name, parameters, result and errors.

The decoders of requests, docs/api-v4.md and the OpenAPI document are made from this list.
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
"""A command of a batch that has no known method."""


class Method(NamedTuple):
    """One method of the API."""

    name: str
    params: type[msgspec.Struct]
    result: type[msgspec.Struct]
    errors: tuple[CodedError, ...]
    summary: str
    """One line."""
    about: str
    """What a backend should know besides."""


_CHANNEL_ERRORS = (ERROR_INTERNAL, ERROR_UNKNOWN_CHANNEL, ERROR_BAD_REQUEST)
_USER_ERRORS = (ERROR_INTERNAL,)

COMMANDS = (
    Method(
        "publish",
        messages.PublishParams,
        messages.PublishResult,
        _CHANNEL_ERRORS,
        "Publish into a channel.",
        "The reply comes when the engine has the publication. A backend that tries again after a failure sends an "
        "`idempotency_key`, so that nothing is published twice.",
    ),
    Method(
        "broadcast",
        messages.BroadcastParams,
        messages.BroadcastResult,
        _CHANNEL_ERRORS,
        "Publish the same into several channels.",
        "All channels are tried. Each has its own result or error in the reply.",
    ),
    Method(
        "subscribe",
        messages.SubscribeParams,
        messages.EmptyResult,
        _CHANNEL_ERRORS,
        "Subscribe the connections of a user to a channel.",
        "Clients of protocol v1 subscribe by themselves: this method does not change their subscriptions.",
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
        "Acts on all nodes. Clients of protocol v1 get the reason and whether to connect again as JSON in a close "
        "frame with code 3000, as always; for 3503 the reason is `disconnect`.",
    ),
    Method(
        "refresh",
        messages.RefreshParams,
        messages.EmptyResult,
        _USER_ERRORS,
        "Change when connections of a user expire.",
        "Clients of protocol v1 refresh with a new signature: this method does not change their connections.",
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
        "The position of the stream stays: the next publication has the next offset.",
    ),
    Method(
        "channels",
        messages.ChannelsParams,
        messages.ChannelsResult,
        (ERROR_INTERNAL, ERROR_BAD_REQUEST),
        "List the channels that have subscribers.",
        "Every node is asked. A node that does not reply within a second is missing in the counts. With very many "
        "channels the reply is large, so use a pattern.",
    ),
    Method(
        "info",
        messages.InfoParams,
        messages.InfoResult,
        (ERROR_INTERNAL,),
        "Describe the nodes.",
        "The figures are those of the last ping of each node, up to `node_ping_interval` old.",
    ),
)
"""The methods that act by themselves, and that a batch may contain."""

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
        Meta(description="Commands need not wait for those before them; publications in one channel stay in order."),
    ] = None


class BatchResult(messages.Result):
    """The replies, in the order of the commands."""

    replies: Annotated[list[BatchReply], Meta(description="One for each command.")]


BATCH = Method(
    "batch",
    BatchParams,
    BatchResult,
    (),
    "Carry out several commands with one request.",
    "The fastest way to publish much. The replies are at the top level, without `result` around them. An error in one "
    "command does not stop the others; a command without a known method gets the error 104, `not found`. When the "
    "replies are larger than the option `api_reply_max_size`, the remaining commands get the error 106, `limit "
    "exceeded`.",
)
METHODS = (*COMMANDS, BATCH)
"""All methods. Each has the path /api/NAME."""
METHODS_PROTOCOL = "http"
"""The name of this API in the metrics."""
NAMES = frozenset(method.name for method in METHODS)
