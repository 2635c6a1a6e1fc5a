"""Valid frames of protocol v2 with random changes: most are invalid, and the server handles all of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.credentials import jwt
from tests.integration.websocket_cases import v2_json, v2_protobuf
from tests.integration.websocket_cases.case import Case, Peer, frame
from tests.protocol_client_v2 import encode
from tests.websocket_client import BINARY, CLOSE, PING, PONG, TEXT, Frame

COUNT = 150
"""Cases of each format."""
INTERNAL_ERRORS = (1011, 3004)


def _commands(room: str) -> list[dict[str, Any]]:
    """Commands for a channel that no other client uses, because changed data may be invalid JSON."""
    return [
        {"id": 2, "subscribe": {"channel": room, "recover": True, "offset": 7, "epoch": "abcd", "recoverable": True}},
        {"id": 3, "publish": {"channel": room, "data": {"text": "hello", "n": [1, 2.5, None]}}},
        {"id": 4, "history": {"channel": room, "limit": 5, "since": {"offset": 3, "epoch": "x"}, "reverse": True}},
        {"id": 5, "presence": {"channel": room}},
        {"id": 6, "presence_stats": {"channel": room}},
        {
            "id": 7,
            "subscribe": {"channel": f"{room}-a", "tf": {"op": "and", "nodes": [{"key": "k", "vals": ["a", "b"]}]}},
        },
        {"id": 8, "sub_refresh": {"channel": room, "token": jwt(sub="mallory", channel=room)}},
        {"id": 9, "refresh": {"token": jwt(sub="mallory")}},
        {"id": 10, "unsubscribe": {"channel": room}},
        {"id": 11, "connect": {"token": "a.b.c", "subs": {room: {"recover": True}}, "headers": {"k": "v"}}},
    ]


@dataclass(frozen=True)
class Survived:
    """The connection stays open, or is closed with a code for an error of the peer."""

    def check(self, peer: Peer) -> None:
        peer.send(frame(PING, b"still there?"))
        while (came := peer.client.recv_frame()) != Frame(PONG, b"still there?"):
            if came.opcode == CLOSE:
                code = int.from_bytes(came.payload[:2], "big")
                assert code not in INTERNAL_ERRORS, came
                return
            assert came.opcode in (TEXT, BINARY), f"unexpected {came}"


def _mutated(frame_: bytes, chance: random.Random) -> bytes:
    """Return the frame with up to four changes."""
    changed = bytearray(frame_)
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(changed) + 1)
        end = min(len(changed), start + chance.randint(1, 8))
        chance.choice(_CHANGES)(changed, start, end, chance)
    return bytes(changed)


def _flip(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    if start < end:
        data[start] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    data[start:end] = chance.randbytes(end - start)


def _insert(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    data[start:start] = chance.choice((b"\x00", b"\xff", b"{", b"}", b'"', b"\n", b"[", b"0", b"\x80\x80", b"\\"))


def _delete(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    del data[start:end]


def _repeat(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    data[start:start] = data[start:end] * chance.randint(1, 50)


def _cut(data: bytearray, start: int, end: int, chance: random.Random) -> None:
    del data[start:]


_CHANGES: list[Callable[[bytearray, int, int, random.Random], None]] = [
    _flip,
    _overwrite,
    _insert,
    _delete,
    _repeat,
    _cut,
]


def _case(format_: str, number: int) -> Case:
    chance = random.Random(f"{format_} {number}")
    commands = chance.sample(_commands(f"{format_}-room"), chance.randint(1, 3))
    if format_ == "json":
        payload = b"\n".join(json.dumps(command).encode() for command in commands)
        begin, opcode = v2_json.connect, TEXT
    else:
        payload = encode(commands, format_)
        begin, opcode = v2_protobuf.connect, BINARY
    return Case(f"v2 {format_}, change {number}", [frame(opcode, _mutated(payload, chance))], Survived(), begin)


CASES = [_case(format_, number) for format_ in ("json", "protobuf") for number in range(COUNT)]
