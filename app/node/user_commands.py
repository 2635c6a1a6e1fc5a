"""Commands of backends for the connections of a user on all nodes: the control messages, and their execution.

Connections of protocol v1 can be unsubscribed and closed. The other commands are for connections that the server
controls (`ServerControlled`); on all others they have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias, runtime_checkable

import msgspec

from ..model.errors import CLOSE_DISCONNECT, Disconnect
from ..model.subscription_options import UNCHANGED, SubscriptionOptions
from .hub import Connection

FORCE_DISCONNECT_CODE = 3503
"""The close code if a backend does not set one."""


class UserCommand(msgspec.Struct, omit_defaults=True):
    """Selects connections of `user`, and if `client` or `session` is set, only those with this ID or session."""

    user: str
    client: str = ""
    session: str = ""


class EndSubscriptions(UserCommand, tag="end_subscriptions"):
    """End subscriptions to a channel, or to all channels when `channel` is empty."""

    channel: str = ""


class CloseConnections(UserCommand, tag="close_connections"):
    """Close connections, except those whose IDs are in `kept`. Code 0 means FORCE_DISCONNECT_CODE."""

    kept: list[str] = []
    code: int = 0
    reason: str = ""


class ReplaceConnections(msgspec.Struct, tag="replace_connections"):
    """Close all connections of `user`, which a client that connects replaces (`replacements.py`)."""

    user: str
    id: str
    """Identifies the attempt to connect."""
    code: int
    reason: str


class AddSubscription(UserCommand, tag="add_subscription", kw_only=True):
    """Subscribe connections to a channel."""

    channel: str
    expires_at: int = 0
    """When the subscription expires, in Unix seconds; 0 means never."""
    options: SubscriptionOptions = UNCHANGED
    recover_offset: int = 0
    recover_epoch: str | None = None
    """With `recover_offset`, the position from which to recover; None to recover nothing."""


class RenewConnections(UserCommand, tag="renew_connections", kw_only=True):
    """Change when connections expire, or close them as expired."""

    expired: bool = False
    expires_at: int = 0
    """In Unix seconds; 0 means never."""
    info: bytes = b""
    """The new info that is sent to other clients, as JSON; empty leaves it unchanged."""


class SendMessage(UserCommand, tag="send_message", kw_only=True):
    """Send a message without a channel. With `client` and an empty user, to that client whatever its user is."""

    data: bytes
    """A payload (`app/model/payload.py`)."""


AnyUserCommand: TypeAlias = EndSubscriptions | CloseConnections | AddSubscription | RenewConnections | SendMessage


@runtime_checkable
class ServerControlled(Protocol):
    """A connection whose subscriptions and expiry the server controls. Methods may block; they do not raise."""

    session: str

    def subscribe_from_server(self, command: AddSubscription) -> None:
        """Subscribe to the channel of the command, and notify the client."""

    def renew_from_server(self, command: RenewConnections) -> None:
        """Change when the connection expires, or close it as expired, and notify the client."""

    def send_from_server(self, command: SendMessage) -> None:
        """Send the message of the command to the client."""


def carry_out(command: AnyUserCommand, connections: Iterable[Connection]) -> None:
    """Apply a command to the connections that it selects. May block."""
    for connection in connections:
        if _is_selected(command, connection):
            _apply(command, connection)


def _is_selected(command: UserCommand, connection: Connection) -> bool:
    if command.client and connection.uid != command.client:
        return False
    if command.session:
        return isinstance(connection, ServerControlled) and connection.session == command.session
    return True


def _apply(command: AnyUserCommand, connection: Connection) -> None:
    match command:
        case EndSubscriptions(channel=channel):
            for ended in [channel] if channel else list(connection.channels):
                connection.unsubscribe(ended)
        case CloseConnections(kept=kept, code=code, reason=reason):
            if connection.uid not in kept:
                connection.close(disconnect_of(code, reason))
        case _:
            if isinstance(connection, ServerControlled):
                _apply_controlled(command, connection)


def _apply_controlled(command: AddSubscription | RenewConnections | SendMessage, connection: ServerControlled) -> None:
    match command:
        case AddSubscription():
            connection.subscribe_from_server(command)
        case RenewConnections():
            connection.renew_from_server(command)
        case SendMessage():
            connection.send_from_server(command)


def disconnect_of(code: int, reason: str) -> Disconnect:
    """Build the Disconnect for a close code of a backend. Clients of v1 receive its reason and `reconnect`."""
    if code in (0, FORCE_DISCONNECT_CODE) and not reason:
        return CLOSE_DISCONNECT
    is_final = code == 0 or 3500 <= code < 4000 or 4500 <= code < 5000
    return Disconnect(reason, reconnect=not is_final, backend_code=code or FORCE_DISCONNECT_CODE)
