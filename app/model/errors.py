"""Errors of the protocol: an Error is sent in a reply, a Disconnect closes the connection.

The texts are the protocol's own; clients compare them (docs/protocol.md, "Errors").
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Generic, Protocol, TypeVar

FIX = "fix"
"""Advice: the request can never succeed as it is; correct the code that sends it."""
RETRY = "retry"
"""Advice: the same request may succeed later."""

MAX_REASON_BYTES = 123
"""Bytes of the reason in a close frame."""


@dataclass(frozen=True)
class Error:
    """An error in a reply; the connection stays open.

    `text` is the protocol's text, `advice` one of `fix`, `retry` or empty.
    """

    text: str
    advice: str = ""
    backend_code: int = 0
    """The code that an application has chosen, for protocol versions after v1; 0 for none."""
    cause: str = field(default="", compare=False)
    """Why the engine failed, for the calls of an application. It is not sent, and logged where the engine failed."""

    def advise(self, advice: str) -> Error:
        """Return a copy of the error with another advice, because clients and backends get different advice."""
        return Error(self.text, advice, self.backend_code)


class SentDisconnect(Protocol):
    """The code and the reason with which a connection is closed, in the form of one version of the protocol."""

    @property
    def code(self) -> int:
        """The code of the close frame."""
        ...

    @property
    def reason(self) -> str:
        """The reason for the log and for hooks."""
        ...

    @property
    def close_reason(self) -> str:
        """The reason of the close frame."""
        ...


@dataclass(frozen=True)
class Disconnect:
    """A reason for closing a connection, sent as the JSON reason of a close frame with code 3000.

    `reconnect` is the advice for client libraries whether to reconnect.
    """

    reason: str
    reconnect: bool = False
    backend_code: int = 0
    """The close code that a backend has chosen, for protocol versions after v1; 0 for none."""

    code: ClassVar[int] = 3000

    @cached_property
    def close_reason(self) -> str:
        """The reason in the close frame, truncated to 123 bytes (RFC 6455, section 5.5)."""
        reason = self.reason[:MAX_REASON_BYTES]
        while len(said := json.dumps({"reason": reason, "reconnect": self.reconnect})) > MAX_REASON_BYTES:
            reason = reason[:-1]
        return said


class Refused(Exception):
    """Raised when a command fails; `error` is sent in the reply, and `detail`, which says what is wrong, only logged.

    An `Error` is a value and not an exception, because an exception object that is raised twice keeps both tracebacks.
    """

    def __init__(self, error: Error, detail: str = "") -> None:
        super().__init__(error.text)
        self.error = error
        self.detail = detail


OneDisconnect = TypeVar("OneDisconnect", bound=SentDisconnect)


class AnyClosing(Exception, Generic[OneDisconnect]):
    """Raised when a connection must be closed; `disconnect` is sent to the client, `detail` is only logged.

    With `is_noted` it is logged where operators see it, because it may be a mistake of the backend or of the
    configuration: a client may not connect, or would receive data that are not JSON. Each version of the protocol
    raises a class of its own, with its own kind of `disconnect`.
    """

    def __init__(self, disconnect: OneDisconnect, detail: str = "", is_noted: bool = False) -> None:
        super().__init__(f"{disconnect.reason}: {detail}" if detail else disconnect.reason)
        self.disconnect = disconnect
        self.is_noted = is_noted


class Closing(AnyClosing[Disconnect]):
    """Raised when a connection must be closed, by version 1 of the protocol, and by hooks and backends."""


NO_CHANNEL = "channel is missing or empty"
"""The detail of a refused command that needs a channel."""

INVALID_MESSAGE = Error("invalid message", FIX)
"""A required field is missing or empty."""
NAMESPACE_NOT_FOUND = Error("namespace not found", FIX)
"""The channel names a namespace that the configuration does not have."""
PERMISSION_DENIED = Error("permission denied", FIX)
"""The channel is not for this user or client, or the option that allows the command is off."""
ALREADY_SUBSCRIBED = Error("already subscribed", FIX)
"""The connection holds a subscription on this channel already."""
LIMIT_EXCEEDED = Error("limit exceeded", FIX)
"""Too many channels on one connection, or a channel name over max_channel_length."""
NOT_AVAILABLE = Error("not available")
"""Presence or history is not enabled for this channel."""
INTERNAL_ERROR = Error("internal server error")
"""The engine failed, which is not a mistake of the peer. The log has the details."""

CLOSE_INVALID_MESSAGE = Disconnect("invalid message")
"""Not JSON, an empty frame or array, wrong types, a missing `params`, a second connect."""
CLOSE_METHOD_NOT_FOUND = Disconnect("method not found")
"""A command that does not exist in the protocol."""
CLOSE_UNAUTHORIZED = Disconnect("unauthorized")
"""A command before a successful connect."""
CLOSE_INVALID_TOKEN = Disconnect("invalid token")
"""The token of connect or refresh does not match its parameters."""
CLOSE_LIMIT_EXCEEDED = Disconnect("limit exceeded")
"""A request over client_request_max_size, or a user over user_connection_limit."""
CLOSE_INTERNAL_ERROR = Disconnect("internal server error", reconnect=True)
"""An error in the server, not a mistake of the client, which may reconnect."""
CLOSE_STALE = Disconnect("stale")
"""No successful connect within stale_connection_close_delay."""
CLOSE_EXPIRED = Disconnect("expired", reconnect=True)
"""The credentials have expired (option connection_lifetime), and were not refreshed."""
CLOSE_SLOW = Disconnect("slow")
"""More bytes wait for this client than client_queue_max_size allows."""
CLOSE_SHUTDOWN = Disconnect("shutting down", reconnect=True)
"""The server is shutting down; the client should reconnect, to this node or another one."""
CLOSE_INSUFFICIENT_STATE = Disconnect("insufficient state", reconnect=True)
"""Messages of a channel with recovery may be missing; the client recovers them when it reconnects."""
CLOSE_DISCONNECT = Disconnect("disconnect")
"""A backend disconnected the user through the API."""
CLOSE_SEND_ERROR = Disconnect("error sending message", reconnect=True)
"""A write took longer than client_message_write_timeout, or the socket broke."""
CLOSE_PING_ERROR = Disconnect("write ping error", reconnect=True)
"""The client answered no ping within 10/9 of ping_interval."""
