"""Messages: fragments, and valid and invalid UTF-8."""

from __future__ import annotations

import json

from tests.integration.websocket_cases.case import (
    BEGIN_CONNECTED,
    BEGIN_OPEN,
    Case,
    Chopped,
    ClosedWith,
    Expectation,
    Frames,
    Replied,
    Silence,
    close_frame,
    command,
    frame,
    ping_of_size,
    text,
)
from tests.integration.websocket_cases.frames import INVALID, MAX_MESSAGE, MAX_REQUEST, PROTOCOL_ERROR, SMALL, TOO_LARGE
from tests.websocket_client import BINARY, CONTINUATION, PING, PONG, TEXT, Frame

INVALID_DATA = ClosedWith(1007)


def in_fragments(message: bytes, size: int, between: bytes = b"", opcode: int = TEXT) -> bytes:
    """Return a message in fragments of `size` bytes, with the frame `between` after each."""
    parts = [message[start : start + size] for start in range(0, len(message), size)]
    frames = [
        frame(opcode if number == 1 else CONTINUATION, part, fin=number == len(parts))
        for number, part in enumerate(parts, 1)
    ]
    return between.join(frames)


START = frame(TEXT, SMALL[:20], fin=False)
MIDDLE = frame(CONTINUATION, SMALL[20:40], fin=False)
END = frame(CONTINUATION, SMALL[40:])
EMPTY = frame(CONTINUATION, fin=False)
LAST = frame(CONTINUATION)

fragments: dict[str, tuple[bytes, Expectation]] = {
    "two fragments": (in_fragments(SMALL, 40), Replied()),
    "three fragments": (START + MIDDLE + END, Replied()),
    "two fragments of a binary": (in_fragments(SMALL, 40, opcode=BINARY), Replied()),
    "fragments of a byte": (in_fragments(SMALL, 1), Replied()),
    "an empty first fragment": (frame(TEXT, fin=False) + frame(CONTINUATION, SMALL), Replied()),
    "an empty last fragment": (frame(TEXT, SMALL, fin=False) + LAST, Replied()),
    "only empty fragments": (frame(TEXT, fin=False) + EMPTY + LAST, INVALID),
    "5000 empty fragments": (START + EMPTY * 5000 + MIDDLE + EMPTY * 5000 + END, Replied()),
    "64 KB in fragments of 7 bytes": (in_fragments(ping_of_size(MAX_REQUEST), 7), Replied()),
    "two messages in fragments": (
        in_fragments(command("ping", uid="0"), 9) + in_fragments(SMALL, 9),
        Frames((Frame(TEXT, b'{"uid":"0","method":"ping"}'),), Replied()),
    ),
    "a ping between fragments": (START + frame(PING, b"now") + MIDDLE + END, Frames((Frame(PONG, b"now"),), Replied())),
    "a pong between fragments": (in_fragments(SMALL, 40, frame(PONG, b"now")), Replied()),
    "pings between fragments of a byte": (
        in_fragments(SMALL, 1, frame(PING)),
        Frames((Frame(PONG, b""),) * (len(SMALL) - 1), Replied()),
    ),
    "the largest ping in the largest message": (
        in_fragments(ping_of_size(MAX_REQUEST), MAX_REQUEST - 1, frame(PING, b"x" * 125)),
        Frames((Frame(PONG, b"x" * 125),), Replied()),
    ),
    "the largest ping in what is just read": (
        in_fragments(ping_of_size(MAX_MESSAGE), MAX_MESSAGE - 1, frame(PING, b"x" * 125)),
        Frames((Frame(PONG, b"x" * 125),), TOO_LARGE),
    ),
    "a close between fragments": (START + close_frame(1000) + END, ClosedWith(1000)),
    "a fragment and nothing more": (START, Silence()),
    "an endless row of empty fragments": (START + EMPTY * 1000, Silence()),
    "too much in two fragments": (in_fragments(ping_of_size(MAX_MESSAGE + 1), MAX_REQUEST), TOO_LARGE),
    "too much in many fragments": (in_fragments(ping_of_size(MAX_MESSAGE + 500), 1000), TOO_LARGE),
    "too much that does not end": (
        frame(TEXT, b"x" * 60000, fin=False) + frame(CONTINUATION, b"x" * 60000, fin=False) * 2,
        TOO_LARGE,
    ),
    "a request too large in fragments": (in_fragments(ping_of_size(MAX_REQUEST + 1), 1000), TOO_LARGE),
    "a continuation of nothing": (frame(CONTINUATION, SMALL), PROTOCOL_ERROR),
    "a continuation of nothing that goes on": (frame(CONTINUATION, SMALL, fin=False), PROTOCOL_ERROR),
    "a continuation after a whole message": (text(command("ping", uid="0")) + END, PROTOCOL_ERROR),
    "a continuation after the last": (in_fragments(SMALL, 40) + END, PROTOCOL_ERROR),
    "a text between fragments": (START + text(SMALL) + END, PROTOCOL_ERROR),
    "a binary between fragments": (START + frame(BINARY, SMALL) + END, PROTOCOL_ERROR),
    "a text begun between fragments": (START + START + END, PROTOCOL_ERROR),
    "a text begun within a binary": (frame(BINARY, SMALL, fin=False) + START, PROTOCOL_ERROR),
}

characters = {
    "ASCII": "hello",
    "two bytes": "\u00e9\u0416\u05d0",
    "three bytes": "\u20ac\u4f60\u0939",
    "four bytes": "\U0001f600\U00010348",
    "the last of two bytes": "\u07ff",
    "the first of three bytes": "\u0800",
    "the last before the surrogates": "\ud7ff",
    "the first after the surrogates": "\ue000",
    "the replacement character": "\ufffd",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "the last of all": "\U0010ffff",
    "a byte order mark within": "\ufeff",
    "line separators": "\u2028\u2029\x85",
    "DEL": "\x7f",
}

not_utf8 = {
    "ff": b"\xff",
    "fe": b"\xfe",
    "a lone continuation byte": b"\x80",
    "the last continuation byte": b"\xbf",
    "overlong slash in two bytes": b"\xc0\xaf",
    "overlong NUL": b"\xc0\x80",
    "c1": b"\xc1\xbf",
    "overlong in three bytes": b"\xe0\x80\xaf",
    "the last overlong in three bytes": b"\xe0\x9f\xbf",
    "overlong in four bytes": b"\xf0\x80\x80\xaf",
    "the last overlong in four bytes": b"\xf0\x8f\xbf\xbf",
    "a high surrogate": b"\xed\xa0\x80",
    "the last low surrogate": b"\xed\xbf\xbf",
    "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond the last": b"\xf4\x90\x80\x80",
    "f5": b"\xf5\x80\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "two bytes cut short": b"\xc3",
    "three bytes cut short": b"\xe2\x82",
    "four bytes cut short": b"\xf0\x9f\x98",
    "a character begun twice": b"\xe2\xe2\x82\xac",
    "Latin-1": "d\xe9j\xe0 vu".encode("latin-1"),
    "UTF-16": "ping".encode("utf-16"),
}


def _ping_with(data: bytes) -> bytes:
    return command("ping", {"data": "-"}).replace(b'"-"', b'"' + data + b'"')


def _subscribe(channel: str) -> bytes:
    return text(command("subscribe", {"channel": channel}, uid="subscribe"))


def _publish(channel: str, data: bytes) -> bytes:
    return command("publish", {"channel": channel, "data": "-"}).replace(b'"-"', b'"' + data + b'"')


def _echoed(string: str) -> Replied:
    return Replied(body={"data": string})


CASES = [
    *(Case(name, [data], expected, BEGIN_CONNECTED) for name, (data, expected) in fragments.items()),
    Case("fragments byte by byte", [Chopped(in_fragments(SMALL, 9, frame(PONG)))], Replied(), BEGIN_CONNECTED),
    Case("a continuation before connect", [frame(CONTINUATION)], PROTOCOL_ERROR, BEGIN_OPEN),
    *(
        Case(f"UTF-8, {how}: {name}", [sent(_ping_with(string.encode()))], _echoed(string), BEGIN_CONNECTED)
        for name, string in characters.items()
        for how, sent in (("whole", text), ("in fragments of a byte", lambda message: in_fragments(message, 1)))
    ),
    *(
        Case(f"escaped: {name}", [text(command("ping", {"data": string}))], _echoed(string), BEGIN_CONNECTED)
        for name, string in characters.items()
    ),
    *(
        Case(f"not UTF-8, {how}: {name}", [sent(_ping_with(data))], INVALID_DATA, BEGIN_CONNECTED)
        for name, data in not_utf8.items()
        for how, sent in (("whole", text), ("in fragments of a byte", lambda message: in_fragments(message, 1)))
    ),
    *(
        Case(f"not UTF-8, in a binary: {name}", [frame(BINARY, _ping_with(data))], INVALID, BEGIN_CONNECTED)
        for name, data in not_utf8.items()
    ),
    *(
        Case(
            f"not UTF-8, published: {name}",
            [_subscribe("room"), frame(BINARY, _publish("room", data))],
            INVALID,
            BEGIN_CONNECTED,
        )
        for name, data in not_utf8.items()
    ),
    Case("not UTF-8, the rest never comes", [frame(TEXT, b'{"\xff', fin=False)], INVALID_DATA, BEGIN_CONNECTED),
    Case("not UTF-8, before connect", [text(b"\xff")], INVALID_DATA, BEGIN_OPEN),
    Case("a byte order mark before the command", [text(b"\xef\xbb\xbf" + SMALL)], INVALID, BEGIN_CONNECTED),
    Case(
        "UTF-16 in a binary", [frame(BINARY, json.dumps({"method": "ping"}).encode("utf-16"))], INVALID, BEGIN_CONNECTED
    ),
]
