"""The fast path for requests of the API of version 1 that contain only `publish` commands."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta, Raw

from ...node.commands import PLAIN_PUBLISH, PublishOptions
from ...node.plain_publish import are_plain, decode_plain, decode_utf8, may_be_nested

MAX_PUBLISH_REPLY_SIZE = 160
"""Bytes of the largest reply to `publish`, without its uid, which is a part of the request."""


class PlainParams(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The parameters of a command to publish."""

    channel: Annotated[str, Meta(min_length=1)]
    data: Raw
    client: str = ""
    uid: str = ""
    options: ClassVar[PublishOptions] = PLAIN_PUBLISH


class PlainCommand(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A command to publish. The reply repeats its uid, if it is not empty."""

    method: Literal["publish"]
    params: PlainParams
    uid: str = ""


class PlainCommands(NamedTuple):
    """The commands, one or more, of a request that only publishes."""

    publishes: list[PlainParams]
    uids: list[str]
    """The uid of each command, which its reply repeats; empty for a command without one."""


_command = msgspec.json.Decoder(PlainCommand)
_commands = msgspec.json.Decoder(list[PlainCommand])


def decode_plain_command(request: bytes) -> PlainCommand | None:
    """Decode a request that is a single command. Returns None for a request that is not for the fast path."""
    command = decode_utf8(_command, request) if request.startswith(b"{") else None
    return None if command is None or may_be_nested(bytes(command.params.data)) else command


def decode_plain_commands(request: bytes, max_replies: int) -> PlainCommands | None:
    """Decode an array of commands. Returns None for a request that is not for the fast path.

    A request whose replies could be larger than `max_replies` bytes is not for the fast path.
    """
    commands = decode_plain(_commands, request, b"method") if request.startswith(b"[") else None
    if not commands or len(commands) * MAX_PUBLISH_REPLY_SIZE + len(request) > max_replies:
        return None
    publishes = [command.params for command in commands]
    return PlainCommands(publishes, [command.uid for command in commands]) if are_plain(publishes) else None
