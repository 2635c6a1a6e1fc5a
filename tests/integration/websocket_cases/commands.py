"""Contents of frames: invalid JSON, extreme JSON, and wrong types in all fields."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.websocket_cases.case import (
    BEGIN_CONNECTED,
    BEGIN_OPEN,
    Case,
    ClosedWith,
    Expectation,
    Replied,
    command,
    text,
)
from tests.integration.websocket_cases.frames import INVALID, MAX_REQUEST

UNAUTHORIZED = ClosedWith(3000, "unauthorized")
METHOD_NOT_FOUND = ClosedWith(3000, "method not found")
INVALID_TOKEN = ClosedWith(3000, "invalid token")

WRONG_FOR_TEXT: dict[str, Any] = {"a number": 42, "a boolean": True, "an array": [], "an object": {}}
WRONG_FOR_BOOLEAN: dict[str, Any] = {"a text": "true", "a number": 1, "an array": [], "an object": {}}

TEXT_PARAMS = {
    "connect": ("user", "timestamp", "info", "token"),
    "refresh": ("user", "timestamp", "info", "token"),
    "subscribe": ("channel", "client", "last", "info", "sign"),
    "unsubscribe": ("channel",),
    "publish": ("channel", "client"),
    "presence": ("channel",),
    "history": ("channel",),
    "ping": ("data",),
}


def _deep(opening: str, closing: str, depth: int) -> str:
    return opening * depth + closing * depth


def _publish(data: str) -> bytes:
    """Return a subscribe command, and a publish command with this data into a channel that other clients receive."""
    subscribe = text(command("subscribe", {"channel": "room"}, uid="subscribe"))
    return subscribe + text('{"uid":"1","method":"publish","params":{"channel":"room","data":' + data + "}}")


wrong_types = [
    *(
        Case(
            f"{name} for the {param} of {method}",
            [text(command(method, {param: value}))],
            INVALID,
            BEGIN_OPEN if method == "connect" else BEGIN_CONNECTED,
        )
        for method, params in TEXT_PARAMS.items()
        for param in params
        for name, value in WRONG_FOR_TEXT.items()
    ),
    *(
        Case(f"{name} for the recover of subscribe", [text(command("subscribe", params))], INVALID, BEGIN_CONNECTED)
        for name, value in WRONG_FOR_BOOLEAN.items()
        for params in ({"channel": "room", "recover": value},)
    ),
    *(
        Case(
            f"{name} for the params of {method}",
            [text(json.dumps({"method": method, "params": value}))],
            INVALID,
            BEGIN_CONNECTED,
        )
        for method in TEXT_PARAMS
        if method != "connect"
        for name, value in {"a text": "x", "a number": 1, "a boolean": False, "an array": [1]}.items()
    ),
    *(
        Case(f"{name} for {field}", [text(json.dumps({"method": "ping"} | {field: value}))], INVALID, BEGIN_CONNECTED)
        for field in ("uid", "method")
        for name, value in WRONG_FOR_TEXT.items()
    ),
]

not_commands: dict[str, tuple[str | bytes, Expectation]] = {
    "nothing": ("", INVALID),
    "a space": (" ", INVALID),
    "NUL": (b"\0", INVALID),
    "a thousand NULs": (b"\0" * 1000, INVALID),
    "a brace": ("{", INVALID),
    "a bracket": ("[", INVALID),
    "a command cut short": (command("ping")[:-1], INVALID),
    "a command and a brace": (command("ping") + b"}", INVALID),
    "a command and NUL": (command("ping") + b"\0", INVALID),
    "a space and a command": (b" " + command("ping"), INVALID),
    "two commands in a row": (command("ping") * 2, INVALID),
    "two commands in two lines": (command("ping") + b"\n" + command("ping"), INVALID),
    "null": ("null", INVALID),
    "true": ("true", INVALID),
    "a number": ("1", INVALID),
    "a text": ('"ping"', INVALID),
    "an empty array": ("[]", INVALID),
    "an array of a number": ("[1]", INVALID),
    "an array of a text": ('["ping"]', INVALID),
    "an array of an array": ('[[{"method":"ping"}]]', INVALID),
    "an array with a comma too many": ('[{"method":"ping"},]', INVALID),
    "an empty object": ("{}", METHOD_NOT_FOUND),
    "no method": ('{"uid":"1"}', METHOD_NOT_FOUND),
    "an empty method": ('{"method":""}', METHOD_NOT_FOUND),
    "an unknown method": ('{"method":"shutdown","params":{}}', METHOD_NOT_FOUND),
    "a method in upper case": ('{"method":"PING"}', METHOD_NOT_FOUND),
    "a method of the API": ('{"method":"broadcast","params":{}}', METHOD_NOT_FOUND),
    "a method with NUL": ('{"method":"ping\\u0000"}', METHOD_NOT_FOUND),
    "a method of Python": ('{"method":"__init__"}', METHOD_NOT_FOUND),
    "a method of 60000 letters": ('{"method":"' + "p" * 60000 + '"}', METHOD_NOT_FOUND),
    "a second connect": (command("connect", {"user": "x"}), INVALID),
    "a refresh without a token": (command("refresh", {"user": "x"}), INVALID_TOKEN),
    "a token of another length": (command("refresh", {"user": "x", "token": "x"}), INVALID_TOKEN),
    "a token that is not ASCII": (command("refresh", {"user": "x", "token": "\u4f60" * 64}), INVALID_TOKEN),
    "a token with a lone surrogate": (b'{"method":"refresh","params":{"token":"\\ud800"}}', INVALID_TOKEN),
    "arrays, 30000 deep": (_deep("[", "]", 30000), INVALID),
    "arrays, 60000 deep, never closed": ("[" * 60000, INVALID),
    "objects, 10000 deep": (_deep('{"a":', "}", 10000).replace(":}", ":1}"), INVALID),
    "objects, 10000 deep, never closed": ('{"a":' * 10000, INVALID),
    "deep params": ('{"method":"ping","params":' + _deep("[", "]", 30000) + "}", INVALID),
    "a deep unknown field": ('{"method":"ping","x":' + _deep("[", "]", 30000) + "}", INVALID),
    "deep lone surrogates": ('{"method":"ping","x":' + "[" * 20000 + '"\\ud800"' + "]" * 20000 + "}", INVALID),
    "a bad escape": ('{"method":"ping","params":{"data":"\\q"}}', INVALID),
    "half an escape": ('{"method":"ping","params":{"data":"\\u12"}}', INVALID),
    "a raw line feed in a text": ('{"method":"ping","params":{"data":"a\nb"}}', INVALID),
    "a raw NUL in a text": ('{"method":"ping","params":{"data":"a\0b"}}', INVALID),
    "single quotes": ("{'method':'ping'}", INVALID),
    "no quotes": ("{method:ping}", INVALID),
    "a comment": ('{"method":"ping"/**/}', INVALID),
    "a trailing comma": ('{"method":"ping",}', INVALID),
    "NaN for params": ('{"method":"ping","params":NaN}', INVALID),
    "HTTP": ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", INVALID),
    "XML": ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', INVALID),
    "an empty channel": (command("subscribe", {"channel": ""}), INVALID),
    "a command without params": ('{"uid":"1","method":"subscribe"}', INVALID),
}

odd_but_right: dict[str, tuple[bytes, Replied]] = {
    "duplicate methods: the last counts": (text('{"method":"x","uid":"1","method":"ping"}'), Replied()),
    "duplicate uids: the last counts": (text('{"uid":"0","method":"ping","uid":"1"}'), Replied()),
    "duplicate data: the last counts": (
        text('{"uid":"1","method":"ping","params":{"data":"a","data":"b"}}'),
        Replied(body={"data": "b"}),
    ),
    "null for params": (text('{"uid":"1","method":"ping","params":null}'), Replied()),
    "null for data": (text('{"uid":"1","method":"ping","params":{"data":null}}'), Replied()),
    "escaped names": (text('{"\\u0075id":"1","m\\u0065thod":"ping"}'), Replied()),
    "white space all over": (text('{ "uid"\t:\r\n"1" ,\n"method" : "ping" }  \n'), Replied()),
    "unknown fields": (text('{"uid":"1","method":"ping","x":{"y":[1,2,{"z":null}]}}'), Replied()),
    "a huge number in an unknown field": (text('{"uid":"1","method":"ping","x":' + "9" * 60000 + "}"), Replied()),
    "1e999999 in an unknown field": (text('{"uid":"1","method":"ping","x":1e999999}'), Replied()),
    "escaped NUL": (text('{"uid":"1","method":"ping","params":{"data":"\\u0000"}}'), Replied(body={"data": "\0"})),
    "a lone surrogate": (
        text('{"uid":"1","method":"ping","params":{"data":"\\ud800"}}'),
        Replied(body={"data": "\ufffd"}),
    ),
    "a thousand unknown fields": (
        text(json.dumps({"uid": "1", "method": "ping"} | {f"x{number}": number for number in range(1000)})),
        Replied(),
    ),
    "a channel with NUL": (text(command("subscribe", {"channel": "a\0b"})), Replied()),
    "a channel of 255 bytes": (text(command("subscribe", {"channel": "c" * 255})), Replied()),
    "a channel of 256 bytes": (text(command("subscribe", {"channel": "c" * 256})), Replied("limit exceeded")),
    "a channel of 128 characters in 256 bytes": (
        text(
            json.dumps({"uid": "1", "method": "subscribe", "params": {"channel": "\u00e9" * 128}}, ensure_ascii=False)
        ),
        Replied("limit exceeded"),
    ),
    "a channel with a lone surrogate": (
        text('{"uid":"1","method":"subscribe","params":{"channel":"a\\udfffb"}}'),
        Replied(),
    ),
    "a channel of nothing but boundaries": (
        text(command("subscribe", {"channel": "$:#,&"})),
        Replied("permission denied"),
    ),
    "a publish without a subscription": (
        text(command("publish", {"channel": "elsewhere", "data": 1})),
        Replied("permission denied"),
    ),
    "a publish without data": (text(command("publish", {"channel": "room"})), Replied("invalid message")),
    **{
        f"published: {name}": (_publish(data), Replied())
        for name, data in {
            "null": "null",
            "a number of 4000 digits": "1" * 4000,
            "1e999999": "1e999999",
            "-0.0": "-0.0",
            "a lone surrogate": '"\\ud800"',
            "escaped NUL": '"\\u0000"',
            "line separators": '"\u2028\u2029"',
            "noncharacters": '"\ufffe\uffff"',
            "duplicate keys": '{"a":1,"a":2}',
            "an empty key": '{"":{"":[]}}',
            "arrays, 100 deep": _deep("[", "]", 100),
            "markup": '"</script><!--"',
        }.items()
    },
}

not_published = {
    "a comma too many": "[1,]",
    "a leading zero": "01",
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "hexadecimal": "0x10",
    "a raw line feed": '"a\nb"',
    "a brace too many": "{}}",
    "an unclosed array": "[1",
    "an unclosed text": '"a',
    "two values": "1 2",
    "a name that is no text": "{1:2}",
    "arrays, 30000 deep": _deep("[", "]", 30000),
    "nothing": "",
}

CASES = [
    *wrong_types,
    *(Case(name, [text(message)], expected, BEGIN_CONNECTED) for name, (message, expected) in not_commands.items()),
    *(Case(name, [data], expected, BEGIN_CONNECTED) for name, (data, expected) in odd_but_right.items()),
    *(
        Case(f"not published: {name}", [_publish(data)], INVALID, BEGIN_CONNECTED)
        for name, data in not_published.items()
    ),
    *(
        Case(f"{method} before connect", [text(command(method, {"channel": "room"}))], UNAUTHORIZED, BEGIN_OPEN)
        for method in ("refresh", "subscribe", "unsubscribe", "publish", "presence", "history", "ping", "shutdown")
    ),
    Case("no JSON before connect", [text("hello")], INVALID, BEGIN_OPEN),
    Case("a connect without a token", [text(command("connect", {"user": "x"}))], INVALID_TOKEN, BEGIN_OPEN),
    Case("an array with a command before connect", [text(b"[%b]" % command("ping"))], UNAUTHORIZED, BEGIN_OPEN),
    Case(
        "an array of thousands of commands",
        [text(b"[%b]" % b",".join([b'{"method":"ping"}'] * 3000)), text(command("ping"))],
        Replied(),
        BEGIN_CONNECTED,
    ),
    Case(
        "an array as large as may be",
        [text(b"[%b]" % (b"{}," * (MAX_REQUEST // 3 - 1) + b"{}"))],
        METHOD_NOT_FOUND,
        BEGIN_CONNECTED,
    ),
]
