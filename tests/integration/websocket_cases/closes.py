"""Close frames of peers: valid and invalid codes and reasons, and data after them."""

from __future__ import annotations

from tests.integration.websocket_cases.case import (
    BEGIN_CONNECTED,
    BEGIN_OPEN,
    Case,
    Chopped,
    ClosedWith,
    EndedInTime,
    Expectation,
    Frames,
    close_frame,
    command,
    frame,
    half_close,
    text,
)
from tests.integration.websocket_cases.frames import INVALID, PROTOCOL_ERROR
from tests.websocket_client import CLOSE, CONTINUATION, PING, TEXT, Frame

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4999)
INVALID_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 32768, 65535)
NORMAL = ClosedWith(1000)
PONG_REPLY = Frame(TEXT, b'{"uid":"1","method":"ping"}')

others: dict[str, tuple[bytes, Expectation]] = {
    "no code": (frame(CLOSE), ClosedWith(None)),
    "half a code": (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "a reason": (close_frame(1000, b"bye"), NORMAL),
    "a reason in UTF-8": (close_frame(1000, "\u4f60\u597d".encode()), NORMAL),
    "the longest reason": (close_frame(1000, b"x" * 123), NORMAL),
    "a reason too long": (close_frame(1000, b"x" * 124), PROTOCOL_ERROR),
    "a reason that is not UTF-8": (close_frame(1000, b"\xff\xfe"), ClosedWith(1007)),
    "a reason cut short": (close_frame(1000, b"\xe2\x82"), ClosedWith(1007)),
    "a reason with a surrogate": (close_frame(1000, b"\xed\xa0\x80"), ClosedWith(1007)),
    "two closes": (close_frame(1000) + close_frame(1001), NORMAL),
    "a hundred closes": (close_frame(1000) * 100, NORMAL),
    "a command after the close": (close_frame(1000) + text(command("ping")), NORMAL),
    "a ping after the close": (close_frame(1000) + frame(PING), NORMAL),
    "rubbish after the close": (close_frame(1000) + b"\xff" * 1000, NORMAL),
    "much rubbish after the close": (close_frame(1000) + b"\xff" * 300_000, NORMAL),
    "a command before the close": (text(command("ping")) + close_frame(1000), Frames((PONG_REPLY,), NORMAL)),
    "a hundred commands before the close": (
        text(command("ping")) * 100 + close_frame(1000),
        Frames((PONG_REPLY,) * 100, NORMAL),
    ),
    "a bad command before the close": (text(b"{") + close_frame(1000), INVALID),
    "a close within a message": (
        frame(TEXT, b"{", fin=False) + close_frame(1001) + frame(CONTINUATION),
        ClosedWith(1001),
    ),
    "a frame that breaks the protocol before the close": (frame(3) + close_frame(1000), PROTOCOL_ERROR),
    "much rubbish after an error": (frame(3) + b"\xff" * 300_000, PROTOCOL_ERROR),
}

CASES = [
    *(
        Case(f"code {code}{end}", [close_frame(code, reason)], ClosedWith(code, "bye"), begin)
        for code in VALID_CODES
        for reason, end, begin in ((b"", "", BEGIN_OPEN), (b'{"reason": "bye"}', " with a reason", BEGIN_CONNECTED))
        if reason or code != 3000
    ),
    *(
        Case(f"code {code}{end}", [close_frame(code, reason)], PROTOCOL_ERROR, BEGIN_OPEN)
        for code in INVALID_CODES
        for reason, end in ((b"", ""), (b"bye", " with a reason"))
    ),
    *(Case(name, [data], expected, BEGIN_CONNECTED) for name, (data, expected) in others.items()),
    Case("a close byte by byte", [Chopped(close_frame(1000, b"bye"))], NORMAL, BEGIN_OPEN),
    Case("a close and half of the connection", [close_frame(1000)], NORMAL, BEGIN_OPEN, half_close),
    Case("the answer to the close never comes", [text(b"rubbish")], EndedInTime(3000), BEGIN_CONNECTED),
]
