"""Frames of protocol v2 in Protobuf: truncated and endless numbers, wrong wire types and lengths, deep nesting."""

from __future__ import annotations

from dataclasses import dataclass

from tests.credentials import jwt
from tests.integration.websocket_cases.case import (
    PATH,
    Accepted,
    Case,
    ClosedWith,
    Expectation,
    Peer,
    frame,
    handshake,
    text,
)
from tests.protocol_client_v2 import decode, encode, varint
from tests.websocket_client import BINARY, TEXT

BAD_REQUEST = ClosedWith(3501)
VARINT, FIXED64, LENGTH, GROUP_START, GROUP_END, FIXED32 = range(6)

METHODS = {
    "subscribe": 5,
    "unsubscribe": 6,
    "publish": 7,
    "presence": 8,
    "presence_stats": 9,
    "history": 10,
    "send": 12,
    "rpc": 13,
    "refresh": 14,
    "sub_refresh": 15,
}


def open_binary(peer: Peer) -> None:
    """Complete the WebSocket handshake for Protobuf."""
    peer.send(handshake(target=f"{PATH}?format=protobuf"))
    Accepted().check(peer)


def connect(peer: Peer) -> None:
    """Complete the WebSocket handshake for Protobuf, and connect."""
    open_binary(peer)
    peer.send(frame(BINARY, encode([{"id": 1, "connect": {"token": jwt(sub="mallory")}}], "protobuf")))
    (reply,) = decode(peer.client.recv_frame().payload, "protobuf")
    assert reply["connect"]["client"], reply


def field(number: int, wire_type: int, value: bytes = b"") -> bytes:
    """Return an encoded field; `value` is appended to the key unchanged."""
    return varint(number << 3 | wire_type) + value


def inner(number: int, message: bytes) -> bytes:
    """Return a field that is a message, a text or bytes."""
    return field(number, LENGTH, varint(len(message)) + message)


def whole(message: bytes) -> bytes:
    """Return a message with its length in front."""
    return varint(len(message)) + message


ID = field(1, VARINT, varint(2))
ROOM = inner(1, b"room")


@dataclass(frozen=True)
class RepliedTo:
    """A reply to the command with the id 2; the connection stays open."""

    format: str

    def check(self, peer: Peer) -> None:
        came = peer.client.recv_frame()
        assert came.opcode in (TEXT, BINARY), came
        assert decode(came.payload, self.format)[0]["id"] == 2, came
        peer.assert_alive()


REPLIED = RepliedTo("protobuf")


def _case(name: str, payload: bytes, expected: Expectation = BAD_REQUEST) -> Case:
    return Case(f"v2 protobuf, {name}", [frame(BINARY, payload)], expected, connect)


varints = [
    _case(name, payload)
    for name, payload in {
        "a length without an end": b"\x80",
        "a length of eleven bytes": b"\x80" * 10 + b"\x01",
        "a length of 2**63": varint(2**63) + b"x",
        "a length beyond 64 bits": varint(2**70) + b"x",
        "a length of one too many": varint(3) + b"\x08\x02",
        "a length of four gigabytes": varint(2**32) + ID,
        "an id without an end": whole(b"\x08\x80"),
        "an id of eleven bytes": whole(b"\x08" + b"\x80" * 10 + b"\x01"),
        "a key without an end": whole(ID + b"\x80"),
        "a key of eleven bytes": whole(b"\xff" * 10 + b"\x01"),
        "an offset without an end": whole(ID + inner(5, ROOM + field(7, VARINT, b"\xff"))),
        "a text longer than its message": whole(ID + inner(5, field(1, LENGTH, varint(40) + b"room"))),
        "a message longer than its frame": whole(ID + field(5, LENGTH, varint(400) + ROOM)),
        "a text of 2**63 bytes": whole(ID + inner(5, field(1, LENGTH, varint(2**63 - 1)))),
        "a second message that is cut": whole(ID + inner(8, ROOM)) + b"\x20\x08",
    }.items()
]

wire_types = (
    [
        _case(f"wire type {wire_type} for {method}", whole(ID + field(number, wire_type, b"\x01" * 8)))
        for method, number in METHODS.items()
        for wire_type in (VARINT, FIXED64, GROUP_START, GROUP_END, FIXED32, 6, 7)
    ]
    + [
        _case(f"wire type {wire_type} for {name}", whole(before + field(number, wire_type, b"\x01" * 8)))
        for name, before, number in (("the id", b"", 1),)
        for wire_type in (FIXED64, LENGTH, GROUP_START, GROUP_END, FIXED32, 6, 7)
    ]
    + [
        _case(
            f"wire type {wire_type} for the {name} of {method}",
            whole(ID + inner(METHODS[method], ROOM + field(number, wire_type, b"\x01" * 8))),
        )
        for method, name, number, right in (
            ("subscribe", "token", 2, LENGTH),
            ("subscribe", "recover", 3, VARINT),
            ("subscribe", "epoch", 6, LENGTH),
            ("subscribe", "offset", 7, VARINT),
            ("publish", "data", 2, LENGTH),
            ("history", "limit", 7, VARINT),
            ("history", "since", 8, LENGTH),
        )
        for wire_type in (VARINT, FIXED64, LENGTH, GROUP_START, GROUP_END, FIXED32, 6, 7)
        if wire_type != right
    ]
)

field_numbers = [
    _case("the field 0", whole(b"\x00\x01")),
    _case("the field 0 in a message", whole(ID + inner(5, ROOM + b"\x02\x01x"))),
    _case("the largest field", whole(ID + inner(8, ROOM) + field(2**29 - 1, VARINT, b"\x01")), REPLIED),
    _case("a field beyond the largest", whole(ID + inner(8, ROOM) + field(2**29, VARINT, b"\x01"))),
    _case(
        "unknown fields of all kinds",
        whole(
            ID
            + inner(8, ROOM)
            + field(99, VARINT, b"\x05")
            + field(98, FIXED64, b"12345678")
            + inner(97, b"x" * 9)
            + field(96, FIXED32, b"1234")
        ),
        REPLIED,
    ),
    _case("an unknown field that is cut", whole(ID + inner(8, ROOM) + field(98, FIXED64, b"123"))),
    _case("an unknown group", whole(ID + inner(8, ROOM) + field(96, GROUP_START) + field(96, GROUP_END)), BAD_REQUEST),
    _case("a group that does not end", whole(ID + inner(8, ROOM) + field(96, GROUP_START))),
    _case("a group that another ends", whole(ID + inner(8, ROOM) + field(96, GROUP_START) + field(95, GROUP_END))),
    _case("an end without a group", whole(ID + inner(8, ROOM) + field(96, GROUP_END))),
]

ids = [
    _case("the id 0", whole(field(1, VARINT, b"\x00") + inner(5, ROOM))),
    _case("the id 0 and nothing else", whole(field(1, VARINT, b"\x00"))),
    _case("no id", whole(inner(5, ROOM))),
    _case("no method", whole(ID)),
    _case("two methods", whole(ID + inner(8, ROOM) + inner(9, ROOM)), REPLIED),
    _case("ping as a command", whole(ID + inner(11, b""))),
    _case("a second connect", whole(ID + inner(4, b""))),
    _case("an answer to no ping", b"\x00"),
    _case("a hundred answers to no ping", b"\x00" * 100),
    _case("an empty frame", b""),
    _case("an empty channel", whole(ID + inner(5, b""))),
]

texts = [
    _case(f"{name} in a channel", whole(ID + inner(5, inner(1, data))))
    for name, data in {
        "a lone continuation byte": b"\x80",
        "an overlong slash": b"\xc0\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "the byte FF": b"room\xff",
        "half a letter": b"room\xe2\x82",
    }.items()
]


def _nested(depth: int) -> bytes:
    """Return a filter with this number of levels."""
    node = inner(2, b"key")
    for _ in range(depth):
        node = inner(1, b"and") + inner(6, node)
    return whole(ID + inner(5, ROOM + inner(13, node)))


deep = [
    _case("a filter of 2,000 levels", _nested(2000)),
    _case(
        "2,000 groups in groups",
        whole(ID + inner(8, ROOM) + field(96, GROUP_START) * 2000 + field(96, GROUP_END) * 2000),
    ),
    _case("20,000 groups that do not end", whole(ID + inner(8, ROOM) + field(96, GROUP_START) * 20_000)),
]

mixed = [
    _case("JSON in a binary frame", b'{"id":2,"subscribe":{"channel":"room"}}'),
    _case("bytes from 0 to 255", bytes(range(256))),
    _case("a thousand bytes FF", b"\xff" * 1000),
    _case("a good command before nonsense", whole(ID + inner(8, ROOM)) + b"\xff\xff"),
    _case("more than is allowed", whole(ID + inner(7, ROOM + inner(2, b"x" * 70_000))), ClosedWith(1009)),
    _case("a message for nobody", whole(inner(12, inner(1, b"1"))), ClosedWith(3508)),
    Case(
        "v2 protobuf, a command before connect", [frame(BINARY, whole(ID + inner(5, ROOM)))], BAD_REQUEST, open_binary
    ),
    Case("v2 protobuf, JSON in a text frame", [text('{"id":2,"presence":{"channel":"room"}}')], BAD_REQUEST, connect),
]

CASES = [*varints, *wire_types, *field_numbers, *ids, *texts, *deep, *mixed]
