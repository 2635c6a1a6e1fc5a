"""Protocol version 2 in Protobuf, as far as a benchmark needs it; backends send JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

from benchmarks.frames import BINARY
from benchmarks.protobuf import Fields, fields, length_delimited, number, read_varint, varint
from benchmarks.protocols.base import Published, other_push, reply_error
from benchmarks.protocols.v2 import IDS, V2, token

ID = 1
ERROR, PUSH = 2, 4
"""Fields of a reply, besides those of METHODS."""
METHODS = {"connect": (4, 5), "subscribe": (5, 6)}
"""Field of the request in a command, and of the result in a reply."""
TOKEN, CHANNEL_OF_REQUEST = 1, 1
CHANNEL, PUBLICATION = 2, 4
"""Fields of a push."""
DATA = 4
"""Field of a publication."""


class V2Protobuf(V2):
    """Protobuf messages with their length in front."""

    name = "v2-protobuf"
    subprotocol = "centrifuge-protobuf"
    opcode = BINARY
    ping = b"\x00"

    def connect(self, user: str, secret: str) -> bytes:
        """Encode the first command of a client, with its token."""
        return _command("connect", length_delimited(TOKEN, token(user, secret).encode()))

    def subscribe(self, channel: str) -> bytes:
        """Encode the command that subscribes to a channel."""
        return _command("subscribe", length_delimited(CHANNEL_OF_REQUEST, channel.encode()))

    def is_reply(self, payload: bytes, method: str) -> bool:
        """Return whether a frame contains the reply to `method`. Raises BenchmarkError if the reply is an error."""
        for reply in _messages(payload):
            if reply.get(ID) == IDS[method]:
                if ERROR in reply:
                    raise reply_error(method, _error(reply[ERROR]))
                return True
        return False

    def publications(self, payload: bytes) -> Iterable[Published]:
        """Return the publications in a frame. Raises BenchmarkError for anything else."""
        return [_publication(reply) for reply in _messages(payload) if reply]


def _command(method: str, request: bytes) -> bytes:
    command = number(ID, IDS[method]) + length_delimited(METHODS[method][0], request)
    return varint(len(command)) + command


def _messages(payload: bytes) -> list[Fields]:
    """Return the messages of a frame."""
    found = []
    position = 0
    while position < len(payload):
        size, position = read_varint(payload, position)
        found.append(fields(payload[position : position + size]))
        position += size
    return found


def _publication(reply: Fields) -> Published:
    push = fields(_bytes(reply.get(PUSH, b"")))
    if PUBLICATION not in push:
        raise other_push(f"push with the fields {sorted(push)}")
    data = _bytes(fields(_bytes(push[PUBLICATION])).get(DATA, b""))
    return Published(_bytes(push[CHANNEL]).decode(), json.loads(data.decode()))


def _error(error: int | bytes) -> dict[str, object]:
    found = fields(_bytes(error))
    return {"code": found.get(1, 0), "message": _bytes(found.get(2, b"")).decode()}


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value
