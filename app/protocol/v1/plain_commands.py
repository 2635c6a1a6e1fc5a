"""The fast path for requests of the API of version 1 that contain only `publish` commands."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from ...node.commands import PublishRequest
from ...node.plain_publish import PlainPublish, decode_plain, plain_payloads, plain_request

MAX_PUBLISH_REPLY_SIZE = 160
"""Bytes of the largest reply to `publish`, without its uid, which is a part of the request."""


class _Params(PlainPublish, forbid_unknown_fields=True, gc=False):
    client: str = ""
    uid: str = ""


class _Command(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    method: Literal["publish"]
    params: _Params
    uid: str = ""


class PlainCommands(NamedTuple):
    """The commands, one or more, of a request that only publishes."""

    publishes: list[PublishRequest]
    uids: list[str]
    """The uid of each command, which its reply repeats; empty for a command without one."""


_commands = msgspec.json.Decoder(list[_Command])


def decode_plain_commands(request: bytes, max_replies: int) -> PlainCommands | None:
    """Decode an array of commands. Returns None for a request that is not for the fast path.

    A request whose replies could be larger than `max_replies` bytes is not for the fast path.
    """
    commands = decode_plain(_commands, request, b"method") if request.startswith(b"[") else None
    if not commands or len(commands) * MAX_PUBLISH_REPLY_SIZE + len(request) > max_replies:
        return None
    params = [command.params for command in commands]
    payloads = plain_payloads(params)
    if payloads is None:
        return None
    publishes = [
        plain_request(publish.channel, data, publish.client, publish.uid)
        for publish, data in zip(params, payloads, strict=True)
    ]
    return PlainCommands(publishes, [command.uid for command in commands])
