"""Decodes the most frequent messages of clients of version 1 in one pass: a single command with its parameters.

Other messages, valid or not, are left to the decoders in wire.py, so this decoder has no errors of its own. A message
has the same effect and the same reply in both ways (tests/app/protocol/v1/test_typed_commands.py).
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from ...node.plain_publish import decode_utf8, may_be_nested
from .wire import Command, ConnectParams, Object, PingParams, PublishParams, SubscribeParams, Text, decode_params


class ConnectCommand(Object, tag_field="method", tag="connect"):
    """The command `connect`, and its parameters."""

    method: ClassVar = "connect"
    params: ConnectParams
    uid: Text = None


class SubscribeCommand(Object, tag_field="method", tag="subscribe"):
    """The command `subscribe`, and its parameters."""

    method: ClassVar = "subscribe"
    params: SubscribeParams
    uid: Text = None


class PublishCommand(Object, tag_field="method", tag="publish"):
    """The command `publish` of a client, and its parameters."""

    method: ClassVar = "publish"
    params: PublishParams
    uid: Text = None


class PingCommand(Object, tag_field="method", tag="ping"):
    """The command `ping`, which may have no parameters."""

    method: ClassVar = "ping"
    params: PingParams | UnsetType = UNSET
    uid: Text = None


TypedCommand: TypeAlias = ConnectCommand | SubscribeCommand | PublishCommand | PingCommand
"""A command with decoded parameters."""
ClientCommand: TypeAlias = Command | TypedCommand
"""A command of a client, with or without decoded parameters."""

_command: msgspec.json.Decoder[TypedCommand] = msgspec.json.Decoder(TypedCommand)


def decode_typed(message: bytes) -> TypedCommand | None:
    """Decode a message with a single command. Returns None for a message that is not for this decoder.

    The whole message is checked for nesting: a payload that is given twice counts too, although only the last is used.
    """
    if not message.startswith(b"{") or may_be_nested(message):
        return None
    return decode_utf8(_command, message)


P = TypeVar("P", bound=msgspec.Struct)


def params_of(command: ClientCommand, type_: type[P]) -> P:
    """Return the parameters of a command, of the type for its method. Raises InvalidJSON if they are invalid."""
    if type(command) is Command:
        return decode_params(command, type_)
    return cast(P, command.params)
