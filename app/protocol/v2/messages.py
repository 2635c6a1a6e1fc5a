"""The messages of protocol version 2, declared once: their fields, their types, and their numbers in Protobuf.

The encoders and decoders of both formats are derived from these declarations. The name of a field is its name in JSON;
the number in its annotation is its number in Protobuf. A field that is missing in a received message has its default.
A field that has its default is not sent. A field without a default is always sent in JSON.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Raw

from ...model.events import RawClientInfo
from ...model.events import StreamPosition as Position
from ...model.payload import NO_PAYLOAD
from .fields import Kind, Message

UInt32 = Annotated[int, Meta(ge=0, le=2**32 - 1), Kind.UINT32]
UInt64 = Annotated[int, Meta(ge=0), Kind.UINT64]
Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1), Kind.INT32]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1), Kind.INT64]
Payload = Annotated[Raw, Kind.PAYLOAD]
"""Data of applications, passed on unchanged: JSON, or any bytes from clients that use Protobuf."""


class ClientInfo(Message):
    """The identity of a connection: user, client ID and info."""

    user: Annotated[str, 1]
    client: Annotated[str, 2]
    conn_info: Annotated[Payload, 3] = NO_PAYLOAD
    chan_info: Annotated[Payload, 4] = NO_PAYLOAD


def client_info(info: RawClientInfo) -> ClientInfo:
    """Convert the client info of the node to the one of these messages."""
    return ClientInfo(
        info.user,
        info.client,
        Raw(info.default_info) if info.default_info else NO_PAYLOAD,
        Raw(info.channel_info) if info.channel_info else NO_PAYLOAD,
    )


class Publication(Message):
    """One publication in a push, in a recovery or in the history."""

    data: Annotated[Payload, 4] = NO_PAYLOAD
    info: Annotated[ClientInfo | None, 5] = None
    """The client that published it; None if a backend did."""
    offset: Annotated[UInt64, 6] = 0
    tags: Annotated[dict[str, str], 7] = {}
    delta: Annotated[bool, 8] = False
    """Whether `data` is a patch for the data of the previous publication."""
    time: Annotated[Int64, 9] = 0
    channel: Annotated[str, 10] = ""
    epoch: Annotated[str, 14] = ""


class StreamPosition(Message):
    """A position in the stream of a channel."""

    offset: Annotated[UInt64, 1] = 0
    epoch: Annotated[str, 2] = ""

    def __post_init__(self) -> None:
        check_offset(self.offset)


def check_offset(offset: int) -> None:
    """Raise ValueError for an offset of more than 64 bits, because msgspec cannot check such a large limit."""
    if offset >= 2**64:
        raise ValueError("offset has more than 64 bits")


class FilterNode(Message):
    """A condition on the tags of publications: a comparison, or conditions combined by an operator."""

    op: Annotated[str, 1] = ""
    key: Annotated[str, 2] = ""
    cmp: Annotated[str, 3] = ""
    val: Annotated[str, 4] = ""
    vals: Annotated[list[str], 5] = []
    nodes: Annotated[list[FilterNode], 6] = []


class SubscribeRequest(Message):
    """The request of `subscribe`, and in `connect` the last position in one server-side subscription."""

    channel: Annotated[str, 1] = ""
    token: Annotated[str, 2] = ""
    recover: Annotated[bool, 3] = False
    epoch: Annotated[str, 6] = ""
    offset: Annotated[UInt64, 7] = 0
    data: Annotated[Payload, 8] = NO_PAYLOAD
    positioned: Annotated[bool, 9] = False
    recoverable: Annotated[bool, 10] = False
    join_leave: Annotated[bool, 11] = False
    delta: Annotated[str, 12] = ""
    tf: Annotated[FilterNode | None, 13] = None
    flag: Annotated[Int64, 14] = 0
    """Bits: 1 requests numbers instead of channel names, 2 refuses a subscription that cannot be recovered."""
    type: Annotated[Int32, 15] = 0
    """0 for the only type of subscription that this server supports."""

    def __post_init__(self) -> None:
        check_offset(self.offset)


class SubscribeResult(Message):
    """The reply to `subscribe`, and one server-side subscription in the reply to `connect`."""

    expires: Annotated[bool, 1] = False
    ttl: Annotated[UInt32, 2] = 0
    """Seconds."""
    recoverable: Annotated[bool, 3] = False
    epoch: Annotated[str, 6] = ""
    publications: Annotated[list[Publication], 7] = []
    recovered: Annotated[bool, 8] = False
    offset: Annotated[UInt64, 9] = 0
    positioned: Annotated[bool, 10] = False
    data: Annotated[Payload, 11] = NO_PAYLOAD
    was_recovering: Annotated[bool, 12] = False
    delta: Annotated[bool, 13] = False

    @property
    def reached(self) -> Position:
        """The position of a client that has received this result with its publications."""
        return Position(self.publications[-1].offset if self.publications else self.offset, self.epoch)


class ConnectRequest(Message):
    """The request of `connect`, the first command of every connection."""

    token: Annotated[str, 1] = ""
    data: Annotated[Payload, 2] = NO_PAYLOAD
    subs: Annotated[dict[str, SubscribeRequest], 3] = {}
    name: Annotated[str, 4] = ""
    """Name of the client library or application."""
    version: Annotated[str, 5] = ""
    headers: Annotated[dict[str, str], 6] = {}


class ConnectResult(Message):
    """The reply to `connect`."""

    client: Annotated[str, 1] = ""
    version: Annotated[str, 2] = ""
    expires: Annotated[bool, 3] = False
    ttl: Annotated[UInt32, 4] = 0
    """Seconds."""
    data: Annotated[Payload, 5] = NO_PAYLOAD
    subs: Annotated[dict[str, SubscribeResult], 6] = {}
    ping: Annotated[UInt32, 7] = 0
    """Seconds between two pings of the server."""
    pong: Annotated[bool, 8] = False
    """Whether the client must answer pings."""
    session: Annotated[str, 9] = ""
    node: Annotated[str, 10] = ""
    time: Annotated[Int64, 11] = 0
    """Milliseconds since 1970."""


class RefreshRequest(Message):
    """The request of `refresh`: a new token for the connection."""

    token: Annotated[str, 1] = ""


class RefreshResult(Message):
    """The reply to `refresh`."""

    expires: Annotated[bool, 3] = False
    ttl: Annotated[UInt32, 4] = 0
    """Seconds."""


class SubRefreshRequest(Message):
    """The request of `sub_refresh`: a new token for a subscription."""

    channel: Annotated[str, 1] = ""
    token: Annotated[str, 2] = ""


class SubRefreshResult(Message):
    """The reply to `sub_refresh`."""

    expires: Annotated[bool, 1] = False
    ttl: Annotated[UInt32, 2] = 0
    """Seconds."""


class UnsubscribeRequest(Message):
    """The request of the command `unsubscribe`."""

    channel: Annotated[str, 1] = ""


class UnsubscribeResult(Message):
    """The reply to `unsubscribe`."""


class PublishRequest(Message):
    """The request of the command `publish`."""

    channel: Annotated[str, 1] = ""
    data: Annotated[Payload, 2] = NO_PAYLOAD


class PublishResult(Message):
    """The reply to `publish`."""


class PresenceRequest(Message):
    """The request of the command `presence`."""

    channel: Annotated[str, 1] = ""


class PresenceResult(Message):
    """The reply to `presence`: the connections in the channel by client ID."""

    presence: Annotated[dict[str, ClientInfo], 1]


class PresenceStatsRequest(Message):
    """The request of the command `presence_stats`."""

    channel: Annotated[str, 1] = ""


class PresenceStatsResult(Message):
    """The reply to `presence_stats`."""

    num_clients: Annotated[UInt32, 1]
    num_users: Annotated[UInt32, 2]


class HistoryRequest(Message):
    """The request of the command `history`."""

    channel: Annotated[str, 1] = ""
    limit: Annotated[Int32, 7] = 0
    """0 requests only the position, -1 everything."""
    since: Annotated[StreamPosition | None, 8] = None
    reverse: Annotated[bool, 9] = False


class HistoryResult(Message):
    """The reply to `history`."""

    publications: Annotated[list[Publication], 1]
    epoch: Annotated[str, 2]
    offset: Annotated[UInt64, 3]


class RPCRequest(Message):
    """The request of `rpc`: a call to the application."""

    data: Annotated[Payload, 1] = NO_PAYLOAD
    method: Annotated[str, 2] = ""


class RPCResult(Message):
    """The reply to `rpc`."""

    data: Annotated[Payload, 1] = NO_PAYLOAD


class SendRequest(Message):
    """The request of `send`: a message to the application, without a reply."""

    data: Annotated[Payload, 1] = NO_PAYLOAD


class Command(Message):
    """A message from a client: an ID and one request. Without both, it is the reply to a ping."""

    id: Annotated[UInt32, 1] = 0
    connect: Annotated[ConnectRequest | None, 4] = None
    subscribe: Annotated[SubscribeRequest | None, 5] = None
    unsubscribe: Annotated[UnsubscribeRequest | None, 6] = None
    publish: Annotated[PublishRequest | None, 7] = None
    presence: Annotated[PresenceRequest | None, 8] = None
    presence_stats: Annotated[PresenceStatsRequest | None, 9] = None
    history: Annotated[HistoryRequest | None, 10] = None
    send: Annotated[SendRequest | None, 12] = None
    rpc: Annotated[RPCRequest | None, 13] = None
    refresh: Annotated[RefreshRequest | None, 14] = None
    sub_refresh: Annotated[SubRefreshRequest | None, 15] = None

    @property
    def method(self) -> str:
        """The name of the field that holds the request: the first one if there are several, empty if there is none."""
        for name in CLIENT_METHODS:
            if getattr(self, name) is not None:
                return name
        return ""


CLIENT_METHODS = Command.__struct_fields__[1:]
"""The names of all methods of clients, which are the names of the request fields in a command."""


class Error(Message):
    """The error of a command: code and message."""

    code: Annotated[UInt32, 1] = 0
    message: Annotated[str, 2] = ""
    temporary: Annotated[bool, 3] = False


class Join(Message):
    """A client has subscribed to the channel."""

    info: Annotated[ClientInfo | None, 1] = None


class Leave(Message):
    """A client has unsubscribed from the channel."""

    info: Annotated[ClientInfo | None, 1] = None


class Unsubscribe(Message):
    """The server has ended the client's subscription."""

    code: Annotated[UInt32, 2] = 0
    reason: Annotated[str, 3] = ""


class Subscribe(Message):
    """The server has subscribed the client."""

    recoverable: Annotated[bool, 1] = False
    epoch: Annotated[str, 4] = ""
    offset: Annotated[UInt64, 5] = 0
    positioned: Annotated[bool, 6] = False
    data: Annotated[Payload, 7] = NO_PAYLOAD


class AsyncMessage(Message):
    """A message to one connection, without a channel."""

    data: Annotated[Payload, 1] = NO_PAYLOAD


class Connect(Message):
    """The first message of a one-way connection."""

    client: Annotated[str, 1] = ""
    version: Annotated[str, 2] = ""
    data: Annotated[Payload, 3] = NO_PAYLOAD
    subs: Annotated[dict[str, SubscribeResult], 4] = {}
    expires: Annotated[bool, 5] = False
    ttl: Annotated[UInt32, 6] = 0
    """Seconds."""
    ping: Annotated[UInt32, 7] = 0
    """Seconds between two pings of the server."""
    pong: Annotated[bool, 8] = False
    session: Annotated[str, 9] = ""
    node: Annotated[str, 10] = ""
    time: Annotated[Int64, 11] = 0
    """Milliseconds since 1970."""


class Disconnect(Message):
    """The close code and reason, as the last message of a connection whose transport has no close frames."""

    code: Annotated[UInt32, 1] = 0
    reason: Annotated[str, 2] = ""


class Refresh(Message):
    """A backend has changed when the connection expires."""

    expires: Annotated[bool, 1] = False
    ttl: Annotated[UInt32, 2] = 0
    """Seconds."""


class Push(Message):
    """A message of the server that is not a reply. One field is set besides the channel."""

    channel: Annotated[str, 2] = ""
    pub: Annotated[Publication | None, 4] = None
    join: Annotated[Join | None, 5] = None
    leave: Annotated[Leave | None, 6] = None
    unsubscribe: Annotated[Unsubscribe | None, 7] = None
    message: Annotated[AsyncMessage | None, 8] = None
    subscribe: Annotated[Subscribe | None, 9] = None
    connect: Annotated[Connect | None, 10] = None
    disconnect: Annotated[Disconnect | None, 11] = None
    refresh: Annotated[Refresh | None, 12] = None


class Reply(Message):
    """A message of the server: the result or error of the command with this ID, a push, or nothing as a ping."""

    id: Annotated[UInt32, 1] = 0
    error: Annotated[Error | None, 2] = None
    push: Annotated[Push | None, 4] = None
    connect: Annotated[ConnectResult | None, 5] = None
    subscribe: Annotated[SubscribeResult | None, 6] = None
    unsubscribe: Annotated[UnsubscribeResult | None, 7] = None
    publish: Annotated[PublishResult | None, 8] = None
    presence: Annotated[PresenceResult | None, 9] = None
    presence_stats: Annotated[PresenceStatsResult | None, 10] = None
    history: Annotated[HistoryResult | None, 11] = None
    rpc: Annotated[RPCResult | None, 13] = None
    refresh: Annotated[RefreshResult | None, 14] = None
    sub_refresh: Annotated[SubRefreshResult | None, 15] = None


class EmulationRequest(Message):
    """Commands of a client whose stream carries only messages of the server."""

    node: Annotated[str, 1] = ""
    session: Annotated[str, 2] = ""
    data: Annotated[Payload, 3] = NO_PAYLOAD
    """A frame with commands; in JSON, a string that contains the frame."""
