"""The codes of protocol version 2: errors in replies, close codes, and codes for the end of a subscription.

The HTTP API of Centrifugo v4 and later has the same error codes. The texts belong to the protocol, and clients compare
them. All codes of the protocol are here. This server never sends those that are called reserved: their numbers and
texts are taken. `error_of` and `disconnect_of` translate errors of the node, which does not depend on a version of the
protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import errors as model
from ...node.hub import CLOSE_UNSENDABLE
from ...node.user_commands import FORCE_DISCONNECT_CODE


@dataclass(frozen=True, slots=True)
class CodedError:
    """The error of a reply; the connection stays open."""

    code: int
    """100 to 399 belong to the protocol, 400 to 1999 to applications."""
    message: str
    temporary: bool = False
    """Whether the client may send the same request again later."""


@dataclass(frozen=True, slots=True)
class CodedDisconnect:
    """The reason why a connection is closed, sent in the close frame or, if the transport has none, in a push."""

    code: int
    """3000 to 3999 belong to the protocol, 4000 to 4999 to applications."""
    reason: str
    is_code_enough: bool = False
    """Whether only the code is sent, and the reason is for the log and for hooks."""

    @property
    def close_reason(self) -> str:
        """The reason of the close frame."""
        return "" if self.is_code_enough else self.reason

    @property
    def reconnects(self) -> bool:
        """Whether client libraries reconnect after this code."""
        return not (3500 <= self.code < 4000 or 4500 <= self.code < 5000)


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The reason why the server has ended a subscription. Client libraries resubscribe if the code is 2500 or more."""

    code: int
    reason: str


class CodedRefusal(Exception):
    """Raised for a command that fails; `error` is sent in the reply, and `detail`, which says why, only logged."""

    def __init__(self, error: CodedError, detail: str = "") -> None:
        super().__init__(error.message)
        self.error = error
        self.detail = detail


class CodedClosing(model.AnyClosing[CodedDisconnect]):
    """Raised when a connection must be closed, by version 2 of the protocol."""


ERROR_INTERNAL = CodedError(100, "internal server error", temporary=True)
"""The server failed; its log has the details."""
ERROR_UNAUTHORIZED = CodedError(101, "unauthorized")
"""Reserved. The client must connect first."""
ERROR_UNKNOWN_CHANNEL = CodedError(102, "unknown channel")
"""The channel names a namespace that the configuration does not have."""
ERROR_PERMISSION_DENIED = CodedError(103, "permission denied")
"""The channel options, the token or a hook do not allow this."""
ERROR_METHOD_NOT_FOUND = CodedError(104, "method not found")
"""No handler has this name."""
ERROR_ALREADY_SUBSCRIBED = CodedError(105, "already subscribed")
"""This connection is subscribed to the channel."""
ERROR_LIMIT_EXCEEDED = CodedError(106, "limit exceeded")
"""The connection has as many channels as client_channel_limit allows."""
ERROR_BAD_REQUEST = CodedError(107, "bad request")
"""A field is missing or has a value that is not allowed."""
ERROR_NOT_AVAILABLE = CodedError(108, "not available")
"""The channel has no presence or no history."""
ERROR_TOKEN_EXPIRED = CodedError(109, "token expired")
"""The token has expired, or is not valid yet; the client requests a new one and retries."""
ERROR_EXPIRED = CodedError(110, "expired")
"""The time at which a backend lets the connection or the subscription end has passed."""
ERROR_TOO_MANY_REQUESTS = CodedError(111, "too many requests", temporary=True)
"""Reserved. The client sends more requests than it may."""
ERROR_UNRECOVERABLE_POSITION = CodedError(112, "unrecoverable position")
"""The history has been lost or cut since the position that the client named."""
ERROR_CONCURRENT_PAGINATION = CodedError(113, "concurrent pagination", temporary=True)
"""Reserved. Another request reads pages of the same channel."""

CONNECTION_CLOSED = CodedDisconnect(3000, "connection closed")
"""Reserved. The connection was closed without a more specific reason."""
SHUTDOWN = CodedDisconnect(3001, "shutdown")
"""The server is shutting down; the client reconnects, to this server or another one."""
INTERNAL_SERVER_ERROR = CodedDisconnect(3004, "internal server error")
"""The server failed; its log has the details."""
CONNECTION_EXPIRED = CodedDisconnect(3005, "connection expired")
"""The token has expired, and expired_connection_close_delay has passed without a new one."""
SUBSCRIPTION_EXPIRED = CodedDisconnect(3006, "subscription expired")
"""A subscription that the server made has expired."""
SLOW = CodedDisconnect(3008, "slow")
"""More bytes wait for this client than client_queue_max_size allows."""
WRITE_ERROR = CodedDisconnect(3009, "write error")
"""The socket has failed."""
INSUFFICIENT_STATE = CodedDisconnect(3010, "insufficient state")
"""Publications may be missing; the client recovers them when it reconnects."""
FORCE_RECONNECT = CodedDisconnect(3011, "force reconnect")
"""Reserved. A backend requests that the client reconnects; it may give this code itself."""
NO_PONG = CodedDisconnect(3012, "no pong")
"""The client has not answered a ping before the timeout."""
CLOSE_TOO_MANY_REQUESTS = CodedDisconnect(3013, "too many requests")
"""The client of a stream sends faster than its commands are carried out."""
STATE_INVALIDATED = CodedDisconnect(3014, "state invalidated")
"""Reserved. The client's information about its subscriptions is no longer valid."""

INVALID_TOKEN = CodedDisconnect(3500, "invalid token")
"""The token has a wrong signature, or is for another user or channel."""
CLOSE_BAD_REQUEST = CodedDisconnect(3501, "bad request")
"""The frame breaks the protocol, or the client has connected without a token that it needs."""
STALE = CodedDisconnect(3502, "stale")
"""The client has not sent `connect` before the timeout."""
FORCE_DISCONNECT = CodedDisconnect(FORCE_DISCONNECT_CODE, "force disconnect")
"""A backend has disconnected the user."""
CONNECTION_LIMIT = CodedDisconnect(3504, "connection limit")
"""The user has as many connections as user_connection_limit allows, or another client has replaced this one."""
CHANNEL_LIMIT = CodedDisconnect(3505, "channel limit")
"""The token names more channels than client_channel_limit allows."""
INAPPROPRIATE_PROTOCOL = CodedDisconnect(3506, "inappropriate protocol")
"""Binary data was to be sent to a client that uses JSON."""
CLOSE_PERMISSION_DENIED = CodedDisconnect(3507, "permission denied")
"""Reserved. Anonymous users may not connect."""
CLOSE_NOT_AVAILABLE = CodedDisconnect(3508, "not available")
"""The server has no handler for messages that need no reply."""
TOO_MANY_ERRORS = CodedDisconnect(3509, "too many errors")
"""Reserved. The client has caused too many errors."""

SERVER_UNSUBSCRIBE = Unsubscribed(2000, "server unsubscribe")
"""A backend has ended the subscription."""
UNSUBSCRIBED_INSUFFICIENT_STATE = Unsubscribed(2500, "insufficient state")
"""Publications may be missing; the client subscribes again and recovers."""
UNSUBSCRIBED_EXPIRED = Unsubscribed(2501, "subscription expired")
"""The token of the subscription has expired, and client_expired_sub_close_delay has passed without a new one."""
UNSUBSCRIBED_STATE_INVALIDATED = Unsubscribed(2502, "state invalidated")
"""Reserved. The client's information about this subscription is no longer valid."""

CUSTOM_RECONNECT = 4000
"""Close code for a reason that an application gives, if clients should reconnect."""
CUSTOM_TERMINAL = 4500
"""Close code for a reason that an application gives, if clients should not reconnect."""

_ERRORS = {
    model.INVALID_MESSAGE.text: ERROR_BAD_REQUEST,
    model.NAMESPACE_NOT_FOUND.text: ERROR_UNKNOWN_CHANNEL,
    model.PERMISSION_DENIED.text: ERROR_PERMISSION_DENIED,
    model.ALREADY_SUBSCRIBED.text: ERROR_ALREADY_SUBSCRIBED,
    model.LIMIT_EXCEEDED.text: ERROR_LIMIT_EXCEEDED,
    model.NOT_AVAILABLE.text: ERROR_NOT_AVAILABLE,
    model.INTERNAL_ERROR.text: ERROR_INTERNAL,
    # The node has this text for all versions from 2 on.
    ERROR_UNRECOVERABLE_POSITION.message: ERROR_UNRECOVERABLE_POSITION,
}
_DISCONNECTS = {
    model.CLOSE_INVALID_MESSAGE: CLOSE_BAD_REQUEST,
    model.CLOSE_METHOD_NOT_FOUND: CLOSE_BAD_REQUEST,
    model.CLOSE_UNAUTHORIZED: CLOSE_BAD_REQUEST,
    model.CLOSE_INVALID_TOKEN: INVALID_TOKEN,
    model.CLOSE_LIMIT_EXCEEDED: CONNECTION_LIMIT,
    model.CLOSE_INTERNAL_ERROR: INTERNAL_SERVER_ERROR,
    model.CLOSE_STALE: STALE,
    model.CLOSE_EXPIRED: CONNECTION_EXPIRED,
    model.CLOSE_SLOW: SLOW,
    model.CLOSE_SHUTDOWN: SHUTDOWN,
    model.CLOSE_INSUFFICIENT_STATE: INSUFFICIENT_STATE,
    model.CLOSE_DISCONNECT: FORCE_DISCONNECT,
    model.CLOSE_SEND_ERROR: WRITE_ERROR,
    model.CLOSE_PING_ERROR: NO_PONG,
    CLOSE_UNSENDABLE: INAPPROPRIATE_PROTOCOL,
}


def error_of(error: model.Error) -> CodedError:
    """Translate an error of the node into an error of this version.

    The code and text that an application has chosen are kept. A text without a code gets the code 103.
    """
    if error.backend_code:
        return CodedError(error.backend_code, error.text, temporary=error.advice == model.RETRY)
    return _ERRORS.get(error.text) or CodedError(ERROR_PERMISSION_DENIED.code, error.text)


def disconnect_of(disconnect: model.Disconnect) -> CodedDisconnect:
    """Translate a reason of the node for closing a connection into a close code of this version.

    The code that a backend has chosen is kept. A reason without a code gets the code 4000 if clients should reconnect,
    and 4500 if not.
    """
    if disconnect.backend_code:
        return CodedDisconnect(disconnect.backend_code, disconnect.reason)
    known = _DISCONNECTS.get(disconnect)
    if known is not None:
        return known
    return CodedDisconnect(CUSTOM_RECONNECT if disconnect.reconnect else CUSTOM_TERMINAL, disconnect.reason)
