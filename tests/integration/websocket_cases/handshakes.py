"""Handshakes: accepted ones, refused ones with their status, and incomplete requests."""

from __future__ import annotations

from tests.credentials import connect_params
from tests.integration.websocket_cases.case import (
    PATH,
    Accepted,
    Answered,
    Case,
    Chopped,
    ClosedWith,
    Ended,
    Expectation,
    Frames,
    Refused,
    Replied,
    Step,
    close_frame,
    command,
    frame,
    handshake,
    text,
)
from tests.websocket_client import PING, PONG, TEXT, Frame

WHOLE = handshake()
LINES = WHOLE[:-2]
"""The request without the empty line that ends it."""


def _many(count: int) -> list[str]:
    return [f"X-{number}: {number}" for number in range(count)]


ACCEPTED: dict[str, Step] = {
    "plain": WHOLE,
    "lower-case names": WHOLE.replace(b"Host", b"host").replace(b"Upgrade:", b"upgrade:").replace(b"Sec-", b"sec-"),
    "upper-case names": WHOLE.replace(b"Host", b"HOST").replace(b"WebSocket-", b"WEBSOCKET-"),
    "Upgrade: WebSocket": handshake(Upgrade="WebSocket"),
    "Upgrade: WEBSOCKET": handshake(Upgrade="WEBSOCKET"),
    "Upgrade in a list": handshake(Upgrade="h2c, websocket"),
    "Upgrade in two lines": handshake(extra=["Upgrade: h2c"]),
    "Connection: upgrade": handshake(Connection="upgrade"),
    "Connection: UPGRADE": handshake(Connection="UPGRADE"),
    "Connection in a list": handshake(Connection="keep-alive, Upgrade"),
    "Connection in a list without spaces": handshake(Connection="keep-alive,Upgrade"),
    "Connection in a list with tabs": handshake(Connection="keep-alive\t,\tUpgrade"),
    "Connection in two lines": handshake(extra=["Connection: keep-alive"]),
    "query": handshake(target=f"{PATH}?token=abc&x=1"),
    "odd query": handshake(target=f"{PATH}?a=%00%ff&b=/../?#&c=[{{'\"<>"),
    "long query": handshake(target=f"{PATH}?{'q' * 7000}"),
    "absolute target": handshake(target=f"http://localhost{PATH}"),
    "absolute target with another case": handshake(target=f"HTTP://LOCALHOST:8000{PATH}"),
    "absolute target with a query": handshake(target=f"https://localhost{PATH}?x=1"),
    "escaped path": handshake(target="/connection/web%73ocket"),
    "HTTP/1.2 counts as 1.1": handshake(version="HTTP/1.2"),
    "an empty line before": b"\r\n" + WHOLE,
    "three empty lines before": b"\r\n\r\n\r\n" + WHOLE,
    "spaces around the key": WHOLE.replace(b"Key: ", b"Key:  \t ").replace(b"==\r\n", b"== \t\r\n"),
    "no space after the colon": WHOLE.replace(b": ", b":"),
    "Origin": handshake(extra=["Origin: https://elsewhere.example"]),
    "large cookie": handshake(extra=[f"Cookie: {'c' * 4000}"]),
    "subprotocols offered": handshake(extra=["Sec-WebSocket-Protocol: chat, superchat"]),
    "extensions offered": handshake(extra=["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"]),
    "malformed extensions": handshake(extra=["Sec-WebSocket-Extensions: ;;;=,,"]),
    "unknown headers": handshake(extra=["X-Forwarded-For: 10.0.0.1", "DNT: 1", "!#$%&'*+-.^_`|~: x"]),
    "empty header value": handshake(extra=["X-Empty:"]),
    "Latin-1 in a header value": handshake(extra=["X-Name: Zo\xeb"]),
    "the same header twice": handshake(extra=["X-Twice: 1", "X-Twice: 2"]),
    "as many headers as may be": handshake(extra=_many(99 - 5)),
    "a head as large as may be": handshake(extra=[f"X-Large: {'x' * (32768 - len(WHOLE) + 4 - len('X-Large: ') - 2)}"]),
    "Content-Length: 0": handshake(extra=["Content-Length: 0"]),
    "empty Host": handshake(Host=""),
    "Host with a port": handshake(Host="localhost:8000"),
    "Host in IPv6": handshake(Host="[::1]:8000"),
    "byte by byte": Chopped(WHOLE),
    "in pieces of 7 bytes": Chopped(WHOLE, 7),
    "in two halves": Chopped(WHOLE, len(WHOLE) // 2, 0.1),
    "the last byte late": Chopped(WHOLE, len(WHOLE) - 1, 0.1),
    "the last two bytes late": Chopped(WHOLE, len(WHOLE) - 2, 0.1),
    "the last three bytes late": Chopped(WHOLE, len(WHOLE) - 3, 0.1),
    "many spaces in a header": handshake(extra=[f"X-Spaces: a{' ' * 30000}b"]),
}

NOT_ALLOWED = ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "FOO-BAR!"]

REFUSED: dict[str, tuple[int, Step]] = {
    # Versions of HTTP.
    "HTTP/1.0": (400, handshake(version="HTTP/1.0")),
    "HTTP/0.9": (505, handshake(version="HTTP/0.9")),
    "HTTP/2.0": (505, handshake(version="HTTP/2.0")),
    "HTTP/9.9": (505, handshake(version="HTTP/9.9")),
    "HTTP/1": (400, handshake(version="HTTP/1")),
    "HTTP/1.10": (400, handshake(version="HTTP/1.10")),
    "lower-case http/1.1": (400, handshake(version="http/1.1")),
    "HTTPS/1.1": (400, handshake(version="HTTPS/1.1")),
    "no version": (400, b"GET " + PATH.encode() + b"\r\nHost: x\r\n\r\n"),
    "preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    # Headers that are missing, or wrong.
    "no Host": (400, handshake(without=["Host"])),
    "Host twice": (400, handshake(extra=["Host: localhost"])),
    "Host with spaces": (400, handshake(Host="local host")),
    "Host with a path": (400, handshake(Host="localhost/path")),
    "Host with a user": (400, handshake(Host="me@localhost")),
    "no Upgrade": (400, handshake(without=["Upgrade"])),
    "empty Upgrade": (400, handshake(Upgrade="")),
    "Upgrade: h2c": (400, handshake(Upgrade="h2c")),
    "Upgrade: websockets": (400, handshake(Upgrade="websockets")),
    "Upgrade: websocket/13": (400, handshake(Upgrade="websocket/13")),
    "no Connection": (400, handshake(without=["Connection"])),
    "Connection: close": (400, handshake(Connection="close")),
    "Connection: keep-alive": (400, handshake(Connection="keep-alive")),
    "Connection: upgraded": (400, handshake(Connection="upgraded")),
    "nothing of a WebSocket": (400, b"GET " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    # Versions of WebSocket.
    "no version of WebSocket": (426, handshake(without=["Sec-WebSocket-Version"])),
    "version 0": (426, handshake(Sec_WebSocket_Version="0")),
    "version 8": (426, handshake(Sec_WebSocket_Version="8")),
    "version 12": (426, handshake(Sec_WebSocket_Version="12")),
    "version 14": (426, handshake(Sec_WebSocket_Version="14")),
    "version 013": (426, handshake(Sec_WebSocket_Version="013")),
    "version abc": (426, handshake(Sec_WebSocket_Version="abc")),
    "versions in a list": (426, handshake(Sec_WebSocket_Version="13, 8")),
    "version twice": (400, handshake(extra=["Sec-WebSocket-Version: 13"])),
    # Keys.
    "no key": (400, handshake(without=["Sec-WebSocket-Key"])),
    "empty key": (400, handshake(Sec_WebSocket_Key="")),
    "key of 15 bytes": (400, handshake(Sec_WebSocket_Key="YWFhYWFhYWFhYWFhYWFh")),
    "key of 17 bytes": (400, handshake(Sec_WebSocket_Key="YWFhYWFhYWFhYWFhYWFhYWE=")),
    "key without padding": (400, handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ")),
    "key that is not base64": (400, handshake(Sec_WebSocket_Key="the sample nonce, as text")),
    "key with a letter of another alphabet": (400, handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j_Q==")),
    "key that is not ASCII": (
        400,
        handshake(Sec_WebSocket_Key="\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9=="),
    ),
    "the same key twice": (400, handshake(extra=["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])),
    "two keys": (400, handshake(extra=["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="])),
    # A body, or what two parsers could take for one.
    "a body": (400, handshake(extra=["Content-Length: 5"]) + b"hello"),
    "a body that does not come": (400, handshake(extra=["Content-Length: 5"])),
    "a body in chunks": (400, handshake(extra=["Transfer-Encoding: chunked"]) + b"0\r\n\r\n"),
    "Content-Length twice": (400, handshake(extra=["Content-Length: 0", "Content-Length: 0"])),
    "Content-Length in a list": (400, handshake(extra=["Content-Length: 0, 0"])),
    "Content-Length: -1": (400, handshake(extra=["Content-Length: -1"])),
    "Content-Length: +1": (400, handshake(extra=["Content-Length: +1"])),
    "Content-Length: 0x10": (400, handshake(extra=["Content-Length: 0x10"])),
    "empty Content-Length": (400, handshake(extra=["Content-Length:"])),
    "Content-Length of 16 digits": (400, handshake(extra=["Content-Length: 1000000000000000"])),
    "Content-Length and Transfer-Encoding": (400, handshake(extra=["Content-Length: 0", "Transfer-Encoding: chunked"])),
    "Transfer-Encoding: gzip": (501, handshake(extra=["Transfer-Encoding: gzip"])),
    "Transfer-Encoding: identity": (501, handshake(extra=["Transfer-Encoding: identity"])),
    "Transfer-Encoding: chunked, chunked": (501, handshake(extra=["Transfer-Encoding: chunked, chunked"])),
    "Transfer-Encoding twice": (400, handshake(extra=["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"])),
    # Lines that are malformed.
    "bare line feeds": (400, WHOLE.replace(b"\r\n", b"\n")),
    "one bare line feed": (400, WHOLE.replace(b"\r\nUpgrade", b"\nUpgrade")),
    "a bare line feed in a value": (400, handshake(extra=["X-Value: a\nb"])),
    "a bare carriage return": (400, handshake(extra=["X-Value: a\rb"])),
    "two carriage returns": (400, WHOLE.replace(b"\r\nUpgrade", b"\r\r\nUpgrade")),
    "a folded header": (400, handshake(extra=["X-Folded: a", " b"])),
    "a header folded with a tab": (400, handshake(extra=["X-Folded: a", "\tb"])),
    "a space before the colon": (400, handshake(extra=["X-Space : a"])),
    "a space in a header name": (400, handshake(extra=["X Space: a"])),
    "a header without a colon": (400, handshake(extra=["X-None"])),
    "a header without a name": (400, handshake(extra=[": a"])),
    "NUL in a header value": (400, handshake(extra=["X-Nul: a\0b"])),
    "NUL in a header name": (400, handshake(extra=["X-N\0ul: a"])),
    "BEL in a header value": (400, handshake(extra=["X-Bel: a\x07b"])),
    "DEL in a header value": (400, handshake(extra=["X-Del: a\x7fb"])),
    "Latin-1 in a header name": (400, handshake(extra=["X-Zo\xeb: a"])),
    "a quoted header name": (400, handshake(extra=['"X": a'])),
    "a space before the method": (400, b" " + WHOLE),
    "two spaces before the target": (400, WHOLE.replace(b"GET ", b"GET  ")),
    "a tab for a space": (400, WHOLE.replace(b"GET ", b"GET\t")),
    "a space in the target": (400, handshake(target=f"{PATH} x")),
    "a space after the version": (400, handshake(version="HTTP/1.1 ")),
    "Latin-1 in the target": (400, handshake(target=f"{PATH}?\xeb")),
    "NUL in the target": (400, handshake(target=f"{PATH}?\0")),
    "NUL in the method": (400, handshake("G\0ET")),
    "a method of 33 letters": (400, handshake("G" * 33)),
    "no target": (400, handshake(target="")),
    "a target without a slash": (400, handshake(target=PATH[1:])),
    "a target with a scheme we do not know": (400, handshake(target=f"ftp://localhost{PATH}")),
    "a target with a host alone": (400, handshake(target="localhost:80")),
    "CONNECT": (400, handshake("CONNECT", "localhost:80")),
    # Sizes.
    "more headers than may be": (431, handshake(extra=_many(100))),
    "a head larger than may be": (431, handshake(extra=[f"X-Large: {'x' * 32768}"])),
    "a head without an end": (431, b"GET / HTTP/1.1\r\nX: " + b"x" * 40000),
    "a line without an end": (431, b"x" * 40000),
    "a target longer than may be": (414, handshake(target=f"{PATH}?{'q' * 8000}")),
    # What is no HTTP at all.
    "TLS": (400, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(range(14, 160)) + b"\r\n\r\n"),
    "SSH": (400, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "SMTP": (400, b"EHLO me\r\n\r\n"),
    "Redis": (400, b"*1\r\n$4\r\nPING\r\n\r\n"),
    "line feeds": (400, b"\n\n\n\n"),
    "NULs": (400, b"\0" * 100 + b"\r\n\r\n"),
    "all bytes": (400, bytes(range(256)) * 4),
    "a frame without a handshake": (400, text(command("ping")) + b"\r\n\r\n"),
    # Slow ones: http_header_timeout is over before the head is whole.
    "the first byte and silence": (408, b"G"),
    "half a request line and silence": (408, b"GET /conn"),
    "half a head and silence": (408, WHOLE[: len(WHOLE) // 2]),
    "no empty line and silence": (408, LINES),
    "a carriage return and silence": (408, LINES + b"\r"),
    "an empty line and silence": (408, b"\r\n"),
    "a byte now and then": (408, Chopped(WHOLE[:50], 1, 0.05)),
}

NOT_FOUND = {
    "root": "/",
    "another path": "/connections",
    "a slash too many": f"{PATH}/",
    "dots in the path": "/connection/./x/../websocket",
    "upper-case path": PATH.upper(),
    "a fragment": f"{PATH}#x",
    "NUL in the path": f"{PATH}%00",
    "a bad escape": f"{PATH}%zz",
    "a byte that is not UTF-8": f"{PATH}%ff",
    "a star": "*",
}

FOLLOWED: dict[str, tuple[bytes, Expectation]] = {
    "a ping": (frame(PING, b"early"), Frames((Frame(PONG, b"early"),))),
    "a command": (text(command("connect", connect_params("mallory"))), Replied()),
    "two commands": (
        text(command("connect", connect_params("mallory"), uid="0")) + text(command("ping")),
        Frames((), Replied()),
    ),
    "a frame that breaks the protocol": (frame(TEXT, b"{}", mask=None), ClosedWith(1002)),
    "a close frame": (close_frame(1000), ClosedWith(1000)),
    "another request": (WHOLE, ClosedWith(1002)),
}


CASES = [
    *(Case(f"accepted: {name}", [step], Accepted()) for name, step in ACCEPTED.items()),
    *(Case(f"refused: {name}", [step], Refused(status)) for name, (status, step) in REFUSED.items()),
    *(Case(f"not found: {name}", [handshake(target=target)], Answered(404)) for name, target in NOT_FOUND.items()),
    Case("elsewhere: two slashes", [handshake(target=PATH.replace("/web", "//web"))], Answered(404)),
    *(Case(f"refused: {name}", [handshake(name)], Refused(405, has_body=False)) for name in NOT_ALLOWED),
    *(
        Case(f"in one write with {name}", [WHOLE + rest], Accepted(expected))
        for name, (rest, expected) in FOLLOWED.items()
    ),
    *(
        Case(f"byte by byte with {name}", [Chopped(WHOLE + rest)], Accepted(expected))
        for name, (rest, expected) in FOLLOWED.items()
    ),
    Case("silence from the start", [], Ended()),
]
