"""Frames of protocol v2 in JSON: text that is not a command, numbers that are too large, wrong types in all fields."""

from __future__ import annotations

import json
from typing import Any

from tests.credentials import jwt
from tests.integration.websocket_cases.case import (
    BEGIN_OPEN,
    Case,
    ClosedWith,
    Expectation,
    Peer,
    frame,
    text,
)
from tests.integration.websocket_cases.v2_protobuf import RepliedTo
from tests.websocket_client import BINARY

BAD_REQUEST = ClosedWith(3501)
INVALID_TOKEN = ClosedWith(3500)
NOT_UTF_8 = ClosedWith(1007)

WRONG: dict[str, Any] = {"a number": 42, "a text": "x", "a boolean": True, "an array": [1], "an object": {"x": 1}}
TYPES = {str: "a text", bool: "a boolean", int: "a number", dict: "an object"}

PARAMS: dict[str, dict[str, type]] = {
    "connect": {"token": str, "name": str, "version": str, "subs": dict, "headers": dict},
    "subscribe": {
        "channel": str,
        "token": str,
        "recover": bool,
        "epoch": str,
        "offset": int,
        "positioned": bool,
        "recoverable": bool,
        "join_leave": bool,
        "delta": str,
        "tf": dict,
        "flag": int,
    },
    "unsubscribe": {"channel": str},
    "publish": {"channel": str},
    "presence": {"channel": str},
    "presence_stats": {"channel": str},
    "history": {"channel": str, "limit": int, "since": dict, "reverse": bool},
    "refresh": {"token": str},
    "sub_refresh": {"channel": str, "token": str},
}


def command(method: str, id_: Any = 2, **request: Any) -> bytes:
    return json.dumps({"id": id_, method: request}).encode()


def connect(peer: Peer) -> None:
    """Complete the WebSocket handshake and connect."""
    peer.open()
    peer.send(text(command("connect", 1, token=jwt(sub="mallory"))))
    reply = peer.client.recv_json()
    assert reply["connect"]["client"], reply


def _raw(name: str, line: str | bytes, expected: Expectation = BAD_REQUEST) -> Case:
    return Case(f"v2 json, {name}", [text(line)], expected, connect)


wrong_types = [
    Case(
        f"v2 json, {name} for the {param} of {method}",
        [text(command(method, **{**({"channel": "room"} if "channel" in params else {}), param: value}))],
        BAD_REQUEST,
        BEGIN_OPEN if method == "connect" else connect,
    )
    for method, params in PARAMS.items()
    for param, type_ in params.items()
    for name, value in WRONG.items()
    if name != TYPES[type_] and not (param == "tf" and name == "an object")
]

no_commands = [
    _raw(name, line)
    for name, line in {
        "an empty frame": "",
        "white space": "  ",
        "a newline": "\n",
        "a word": "hello",
        "half an object": '{"id":2',
        "half a text": '{"id":2,"subscribe":{"channel":"ro',
        "half an escape": '{"id":2,"subscribe":{"channel":"\\u00',
        "a number": "42",
        "a text": '"subscribe"',
        "null": "null",
        "an array": "[]",
        "an array of commands": '[{"id":2,"subscribe":{"channel":"room"}}]',
        "a comment": '{"id":2} // hello',
        "single quotes": "{'id':2}",
        "NaN": '{"id":NaN}',
        "a command over two lines": '{"id":2,\n"subscribe":{"channel":"room"}}',
        "an empty line first": '\n{"id":2,"subscribe":{"channel":"room"}}',
        "the method as a text": '{"id":2,"subscribe":"room"}',
        "the method as an array": '{"id":2,"subscribe":["room"]}',
        "a command of v1": '{"uid":"1","method":"subscribe","params":{"channel":"room"}}',
        "an unknown method": '{"id":2,"dance":{}}',
        "ping as a command": '{"id":2,"ping":{}}',
        "no method": '{"id":2}',
        "no id": '{"subscribe":{"channel":"room"}}',
        "an empty object": "{}",
        "a second connect": '{"id":2,"connect":{}}',
        "a token that is null": '{"id":2,"refresh":{"token":""}}',
    }.items()
]

ids = [
    _raw(f"the id {id_}", '{"id":' + id_ + ',"subscribe":{"channel":"room"}}')
    for id_ in (
        "-1",
        "0",
        "4294967296",
        "18446744073709551616",
        "1e3",
        "1.5",
        '"2"',
        "[]",
        "{}",
        "true",
        "1e400",
        "9" * 3000,
    )
]

numbers = [
    _raw(f"{number} for the {name}", f'{{"id":2,"{method}":{{"channel":"room","{name}":{number}}}}}')
    for method, name in (("subscribe", "offset"), ("history", "limit"), ("subscribe", "flag"))
    for number in ("1.5", "1e400", "9" * 40, '"1"')
] + [_raw("a negative offset", '{"id":2,"subscribe":{"channel":"room","offset":-1}}')]

deep = [
    _raw(f"{depth} {what} in {where}", line % (opening * depth + closing * depth), expected)
    for what, opening, closing in (("arrays", "[", "]"), ("objects", '{"a":', "}"))
    for depth, where, line, expected in (
        (8_000, "the data", '{"id":2,"publish":{"channel":"room","data":%s}}', BAD_REQUEST),
        (8_000, "an unknown field", '{"id":2,"more":%s,"subscribe":{"channel":"room"}}', BAD_REQUEST),
        (8_000, "place of a command", "%s", BAD_REQUEST),
    )
]

not_utf_8 = [
    Case(f"v2 json, {name}", [text(b'{"id":2,"subscribe":{"channel":"' + data + b'"}}')], NOT_UTF_8, connect)
    for name, data in {
        "a lone continuation byte": b"\x80",
        "an overlong slash": b"\xc0\xaf",
        "a surrogate in UTF-8": b"\xed\xa0\x80",
        "beyond Unicode": b"\xf4\x90\x80\x80",
        "half a letter": b"\xe2\x82",
        "the byte FF": b"\xff",
    }.items()
]

tokens = [
    Case(f"v2 json, the token {name}", [text(command("connect", 1, token=token))], INVALID_TOKEN, BEGIN_OPEN)
    for name, token in {
        "of two parts": "a.b",
        "of four parts": "a.b.c.d",
        "of empty parts": "..",
        "with bytes that are no base64": "!!.!!.!!",
        "that is no JSON": "aGVsbG8.aGVsbG8.aGVsbG8",
        "whose header is an array": "W10.e30.",
        "without a signature": jwt(sub="mallory").rpartition(".")[0] + ".",
        "with a cut signature": jwt(sub="mallory")[:-2],
        "with a subject that is a number": jwt(sub=42),
        "with a subject that is an object": jwt(sub={}),
        "with channels that are a text": jwt(sub="mallory", channels="room"),
        "with channels that are numbers": jwt(sub="mallory", channels=[1]),
        "with subs that are an array": jwt(sub="mallory", subs=[]),
        "with an expiry that is a text": jwt(sub="mallory", exp="soon"),
    }.items()
]

mixed = [
    Case("v2 json, a binary frame", [frame(BINARY, command("subscribe", channel="room"))], RepliedTo("json"), connect),
    Case(
        "v2 json, a good command before nonsense",
        [text(command("subscribe", channel="room") + b"\nnonsense")],
        BAD_REQUEST,
        connect,
    ),
    Case(
        "v2 json, a hundred commands and an end in the middle",
        [text(b"\n".join([command("presence", channel="room")] * 100) + b'\n{"id"')],
        BAD_REQUEST,
        connect,
    ),
    Case("v2 json, a command before connect", [text(command("subscribe", channel="room"))], BAD_REQUEST, BEGIN_OPEN),
    Case("v2 json, connect without a token", [text(command("connect", 1))], BAD_REQUEST, BEGIN_OPEN),
    Case("v2 json, a message for nobody", [text('{"send":{"data":1}}')], ClosedWith(3508), connect),
    Case("v2 json, an unknown delta", [text(command("subscribe", channel="room", delta="x"))], BAD_REQUEST, connect),
    Case("v2 json, more than is allowed", [text(command("publish", data="x" * 70_000))], ClosedWith(1009), connect),
]

CASES = [*wrong_types, *no_commands, *ids, *numbers, *deep, *not_utf_8, *tokens, *mixed]
