"""Peers that disconnect without a close frame, at every stage: by closing, with a reset, or by half-closing."""

from __future__ import annotations

import json

from tests.credentials import sign
from tests.integration.websocket_cases.case import (
    BEGIN_CONNECTED,
    BEGIN_OPEN,
    BEGIN_RAW,
    Case,
    Ended,
    EndedAfterAll,
    Whatever,
    close_frame,
    command,
    disconnect_abruptly,
    frame,
    half_close,
    handshake,
    ping_of_size,
    reset,
    text,
)
from tests.websocket_client import CONTINUATION, PING, TEXT

WHOLE = handshake()
MESSAGE = text(ping_of_size(1000))
FRAGMENTS = frame(TEXT, b'{"method":', fin=False) + frame(CONTINUATION, b"", fin=False)
BODY = json.dumps({"method": "publish", "params": {"channel": "room", "data": 1}}).encode()
SUBSCRIBED = text(command("subscribe", {"channel": "room"}))
PUBLISHED = text(command("publish", {"channel": "room", "data": "x" * 1000}))


def _api_request(body: bytes) -> bytes:
    return (
        b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"X-API-Sign: %b\r\nContent-Length: %d\r\n\r\n" % (sign(body.decode()).encode(), len(body))
    )


HEAD = _api_request(BODY)
FORM = HEAD.replace(b"application/json", b"application/x-www-form-urlencoded")
CHUNKED = HEAD.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked")

stages = {
    "after the TCP connect": (BEGIN_RAW, []),
    "in the request line": (BEGIN_RAW, [WHOLE[:7]]),
    "in the headers": (BEGIN_RAW, [WHOLE[:60]]),
    "before the last line feed of the head": (BEGIN_RAW, [WHOLE[:-1]]),
    "right after the request": (BEGIN_RAW, [WHOLE]),
    "right after a request that is refused": (BEGIN_RAW, [handshake("POST")]),
    "with the first frame": (BEGIN_RAW, [WHOLE + text(command("ping"))]),
    "once it is open": (BEGIN_OPEN, []),
    "after half a header": (BEGIN_OPEN, [MESSAGE[:1]]),
    "in the length": (BEGIN_OPEN, [MESSAGE[:3]]),
    "in the mask": (BEGIN_OPEN, [MESSAGE[:6]]),
    "in the payload": (BEGIN_CONNECTED, [MESSAGE[:-1]]),
    "between fragments": (BEGIN_CONNECTED, [FRAGMENTS]),
    "once it is connected": (BEGIN_CONNECTED, []),
    "after a subscription": (BEGIN_CONNECTED, [SUBSCRIBED]),
    "after a ping": (BEGIN_CONNECTED, [frame(PING, b"x" * 125) * 1000]),
    "with many answers on their way": (BEGIN_CONNECTED, [SUBSCRIBED + PUBLISHED * 500]),
    "after a frame that breaks the protocol": (BEGIN_CONNECTED, [frame(3)]),
    "after a command that closes": (BEGIN_CONNECTED, [text(b"rubbish")]),
    "after a close": (BEGIN_CONNECTED, [close_frame(1000)]),
    "in the middle of an API request": (BEGIN_RAW, [HEAD + BODY[:10]]),
    "in the middle of a form": (BEGIN_RAW, [FORM + BODY[:10]]),
    "in the middle of a chunk": (BEGIN_RAW, [CHUNKED + b"50\r\n" + BODY[:10]]),
    "in the middle of a form in chunks": (
        BEGIN_RAW,
        [CHUNKED.replace(b"application/json", b"multipart/form-data; boundary=x") + b"50\r\n--x\r\n"],
    ),
    "right after an API request": (BEGIN_RAW, [HEAD + BODY]),
}

HALF_CLOSED_BUT_ANSWERED = {
    "right after the request",
    "right after a request that is refused",
    "with the first frame",
    "after a ping",
    "with many answers on their way",
    "after a subscription",
    "after a frame that breaks the protocol",
    "after a command that closes",
    "after a close",
    "in the middle of a form",
    "in the middle of a chunk",
    "in the middle of a form in chunks",
    "right after an API request",
}
"""Where something may still come, which the peer could read."""

CASES = [
    *(
        Case(f"{name}, {kind}", steps, Whatever(), begin, leave)
        for name, (begin, steps) in stages.items()
        for kind, leave in (("hangs up", disconnect_abruptly), ("resets", reset))
    ),
    *(
        Case(f"{name}, closes its half", steps, Ended(), begin, half_close)
        for name, (begin, steps) in stages.items()
        if name not in HALF_CLOSED_BUT_ANSWERED
    ),
    *(
        Case(f"{name}, closes its half and waits", stages[name][1], EndedAfterAll(), stages[name][0], half_close)
        for name in sorted(HALF_CLOSED_BUT_ANSWERED)
    ),
]
