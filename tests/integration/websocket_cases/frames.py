"""Frames: lengths and how they are written, masks, reserved bits and codes, control frames."""

from __future__ import annotations

from tests.integration.websocket_cases.case import (
    BEGIN_CONNECTED,
    BEGIN_OPEN,
    Alive,
    Case,
    Chopped,
    ClosedWith,
    Frames,
    Replied,
    Silence,
    command,
    frame,
    ping_of_size,
    text,
)
from tests.websocket_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame

MAX_REQUEST = 65536
"""client_request_max_size."""
MAX_MESSAGE = 2 * MAX_REQUEST
"""What is read, so that the client learns that its request was too large."""

PROTOCOL_ERROR = ClosedWith(1002)
TOO_LARGE = ClosedWith(3000, "limit exceeded")
INVALID = ClosedWith(3000, "invalid message")

NAMES = {CONTINUATION: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
SMALL = ping_of_size(80)
LENGTH_SIZES = {0: "7 bits", 2: "16 bits", 8: "64 bits"}

sizes = [
    *(
        Case(f"a {NAMES[opcode]} of {size} bytes", [frame(opcode, ping_of_size(size))], Replied(), BEGIN_CONNECTED)
        for opcode in (TEXT, BINARY)
        for size in (124, 125, 126, 127, 128, 255, 256, 4096, 65534, 65535, 65536)
    ),
    *(
        Case(f"a text of {size} bytes", [text(ping_of_size(size))], TOO_LARGE, BEGIN_CONNECTED)
        for size in (MAX_REQUEST + 1, MAX_MESSAGE, MAX_MESSAGE + 1, MAX_MESSAGE + 200, 1_000_000)
    ),
    *(
        Case(f"a {NAMES[opcode]} of nothing{when}", [frame(opcode)], INVALID, begin)
        for opcode in (TEXT, BINARY)
        for begin, when in ((BEGIN_CONNECTED, ""), (BEGIN_OPEN, " before connect"))
    ),
    *(
        Case(f"a text that claims {length} bytes", [frame(TEXT, b"", length=length)], TOO_LARGE, BEGIN_OPEN)
        for length in (1 << 20, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
    ),
    *(
        Case(f"a binary that claims {length} bytes", [frame(BINARY, b"", length=length)], TOO_LARGE, BEGIN_CONNECTED)
        for length in (1 << 20, 1 << 63, (1 << 64) - 1)
    ),
]

# RFC 6455 5.2 wants the shortest form of a length. Others are understood, as Centrifugo understands them.
long_lengths = [
    *(
        Case(
            f"{len(message)} bytes with their length in {LENGTH_SIZES[length_size]}",
            [frame(TEXT, message, length_size=length_size)],
            Replied(),
            BEGIN_CONNECTED,
        )
        for message, length_size in (
            (SMALL, 2),
            (SMALL, 8),
            (ping_of_size(125), 2),
            (ping_of_size(126), 8),
            (ping_of_size(65535), 8),
        )
    ),
    *(
        Case(
            f"a ping of {len(payload)} bytes with its length in {LENGTH_SIZES[length_size]}",
            [frame(PING, payload, length_size=length_size)],
            Frames((Frame(PONG, payload),)),
            BEGIN_OPEN,
        )
        for payload in (b"", b"x" * 125)
        for length_size in (2, 8)
    ),
]

pieces = [
    *(
        Case(f"a text of {size} bytes, byte by byte", [Chopped(text(ping_of_size(size)))], Replied(), BEGIN_CONNECTED)
        for size in (80, 125, 126, 300)
    ),
    Case(
        "a text of 65536 bytes, 1000 at a time", [Chopped(text(ping_of_size(65536)), 1000)], Replied(), BEGIN_CONNECTED
    ),
    Case(
        "a thousand frames in one write",
        [text(command("ping", uid="0")) * 999 + text(SMALL)],
        Replied(),
        BEGIN_CONNECTED,
    ),
    *(
        Case(f"the first {count} bytes of a frame", [text(ping_of_size(300))[:count]], Silence(), BEGIN_CONNECTED)
        for count in (1, 2, 3, 4, 7, 8, 9, 100, 307)
    ),
]

masks = [
    *(
        Case(f"a {name} without a mask", [frame(opcode, b"", mask=None)], PROTOCOL_ERROR, BEGIN_OPEN)
        for opcode, name in NAMES.items()
    ),
    Case("a command without a mask", [frame(TEXT, SMALL, mask=None)], PROTOCOL_ERROR, BEGIN_CONNECTED),
    Case("a large text without a mask", [frame(TEXT, SMALL * 1000, mask=None)], PROTOCOL_ERROR, BEGIN_CONNECTED),
    *(
        Case(f"mask {mask.hex()}", [frame(TEXT, SMALL, mask=mask)], Replied(), BEGIN_CONNECTED)
        for mask in (bytes(4), b"\xff" * 4, b"\0\0\0\1", b"\x7b\x7b\x7b\x7b")
    ),
    Case("an unmasked frame after a good one", [text(SMALL) + frame(TEXT, mask=None)], PROTOCOL_ERROR, BEGIN_CONNECTED),
]

reserved = [
    *(
        Case(f"a {NAMES[opcode]} with reserved bits {rsv:03b}", [frame(opcode, SMALL, rsv=rsv)], PROTOCOL_ERROR, begin)
        for opcode, begin in (
            (TEXT, BEGIN_CONNECTED),
            (BINARY, BEGIN_CONNECTED),
            (PING, BEGIN_OPEN),
            (PONG, BEGIN_OPEN),
        )
        for rsv in range(1, 8)
    ),
    Case("a close with a reserved bit", [frame(CLOSE, rsv=4)], PROTOCOL_ERROR, BEGIN_OPEN),
    Case(
        "a continuation with a reserved bit",
        [frame(TEXT, SMALL[:10], fin=False) + frame(CONTINUATION, SMALL[10:], rsv=4)],
        PROTOCOL_ERROR,
        BEGIN_CONNECTED,
    ),
    *(
        Case(f"opcode {opcode}{end}", [frame(opcode, payload, fin=fin)], PROTOCOL_ERROR, BEGIN_OPEN)
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for fin, payload, end in ((True, b"", ""), (True, SMALL, " with a payload"), (False, b"", " that goes on"))
    ),
]

controls = [
    *(
        Case(
            f"a ping of {size} bytes",
            [frame(PING, bytes(range(size)))],
            Frames((Frame(PONG, bytes(range(size))),)),
            begin,
        )
        for size, begin in ((0, BEGIN_OPEN), (1, BEGIN_CONNECTED), (124, BEGIN_OPEN), (125, BEGIN_CONNECTED))
    ),
    Case("a ping byte by byte", [Chopped(frame(PING, b"slow"))], Frames((Frame(PONG, b"slow"),)), BEGIN_OPEN),
    *(
        Case(f"{count} pings", [frame(PING, b"x") * count], Frames((Frame(PONG, b"x"),) * count), BEGIN_OPEN)
        for count in (10, 1000)
    ),
    *(
        Case(f"{name} nobody asked for", [frame(PONG, payload) * count], Alive(), BEGIN_OPEN)
        for name, payload, count in (
            ("a pong", b"", 1),
            ("a pong with a payload", b"x" * 125, 1),
            ("1000 pongs", b"", 1000),
        )
    ),
    *(
        Case(
            f"a {NAMES[opcode]} of {size} bytes", [frame(opcode, b"\x03\xe8" * (size // 2))], PROTOCOL_ERROR, BEGIN_OPEN
        )
        for opcode in (PING, PONG, CLOSE)
        for size in (126, 65534, 65536)
    ),
    *(
        Case(f"a {NAMES[opcode]} in fragments", [frame(opcode, b"\x03\xe8", fin=False)], PROTOCOL_ERROR, BEGIN_OPEN)
        for opcode in (PING, PONG, CLOSE)
    ),
    Case("a command before a ping", [text(SMALL) + frame(PING)], Replied(), BEGIN_CONNECTED),
]

CASES = [*sizes, *long_lengths, *pieces, *masks, *reserved, *controls]
