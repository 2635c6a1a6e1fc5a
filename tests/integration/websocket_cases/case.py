"""The parts of a case: the bytes that a peer sends, how it disconnects, and the expected answer."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from tests.credentials import connect_params
from tests.waiting import seconds
from tests.websocket_client import BINARY, CLOSE, PATIENCE, PING, PONG, QUIET, TEXT, Closed, Frame, WebSocketClient

PATH = "/connection/websocket"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The answer to KEY, from RFC 6455 1.3."""
MASK = b"\x1b\x02\xf7\x40"
PAUSE = 0.001
"""Seconds between two pieces of a chopped write."""


# -- what is sent


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length_size: int | None = None,
    length: int | None = None,
) -> bytes:
    """Return a valid or invalid frame.

    `length_size` is 0, 2 or 8 bytes (the shortest by default), `length` the length in the header.
    """
    size = len(payload) if length is None else length
    if length_size is None:
        length_size = 0 if size < 126 else 2 if size < 65536 else 8
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    code = {0: size, 2: 126, 8: 127}[length_size]
    head = bytes((first, (0 if mask is None else 0x80) | code))
    if length_size:
        head += size.to_bytes(length_size, "big")
    return head + payload if mask is None else head + mask + _masked(payload, mask)


def _masked(payload: bytes, key: bytes) -> bytes:
    pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(len(payload), "big")


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack("!H", code) + reason)


def command(method: str, params: Any = None, uid: str = "1") -> bytes:
    """Return a command in JSON."""
    return json.dumps({"uid": uid, "method": method, "params": params or {}}).encode()


def text(payload: bytes | str) -> bytes:
    """Return a whole text frame."""
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload)


def ping_of_size(size: int) -> bytes:
    """Return a ping command with this number of bytes, at least 60."""
    empty = command("ping", {"data": ""})
    return empty.replace(b'""', b'"' + b"x" * (size - len(empty)) + b'"')


def handshake(
    method: str = "GET",
    target: str = PATH,
    version: str = "HTTP/1.1",
    without: Sequence[str] = (),
    extra: Sequence[str] = (),
    **replaced: str,
) -> bytes:
    """Return the request that opens a WebSocket, with header lines left out, added, or given other values."""
    fields = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in replaced.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if name not in without]
    return "\r\n".join([f"{method} {target} {version}", *lines, *extra, "", ""]).encode("latin-1")


@dataclass(frozen=True)
class Chopped:
    """Bytes that are written in pieces of `size`, each of them a segment of its own."""

    data: bytes
    size: int = 1
    pause: float = PAUSE


Step = bytes | Chopped


# -- how a peer leaves before anything is expected


def disconnect_abruptly(sock: socket.socket) -> None:
    sock.close()


def reset(sock: socket.socket) -> None:
    """Close the connection with a reset, like a crashed peer."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


# -- a peer


class Peer:
    """One TCP connection to the server under test."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), timeout=seconds(PATIENCE))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = WebSocketClient(self.sock, {}, b"")

    def send(self, step: Step) -> None:
        """Send all data that the server accepts; the expectation checks whether it may refuse the rest."""
        pieces = [step] if isinstance(step, bytes) else _pieces(step)
        pause = 0.0 if isinstance(step, bytes) else step.pause
        try:
            for piece in pieces:
                self.sock.settimeout(seconds(PATIENCE))
                self.sock.sendall(piece)
                time.sleep(seconds(pause))
        except ConnectionError:
            pass

    def open(self) -> None:
        """Complete the WebSocket handshake."""
        self.send(handshake())
        Accepted().check(self)

    def connect(self) -> None:
        """Complete the WebSocket handshake and send `connect`."""
        self.open()
        self.send(text(command("connect", connect_params("mallory"), uid="connect")))
        reply = self.client.recv_json()
        assert reply["uid"] == "connect", reply
        assert "error" not in reply, reply

    def read_response(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers with names in lower case, and the body as far as Content-Length says."""
        head, rest = self._read_until(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status = int(first.split(" ")[1])
        size = int(headers.get("content-length", 0))
        while len(rest) < size and (more := self._recv()):
            rest += more
        self.client = WebSocketClient(self.sock, headers, rest[size:])
        return status, headers, rest[:size]

    def assert_ended(self, within: float = PATIENCE) -> None:
        """Check that the server closes the connection without sending more data."""
        try:
            unexpected = self.client.recv_frame(within)
        except Closed:
            return
        raise AssertionError(f"a frame after the end: {unexpected}")

    def assert_alive(self) -> None:
        """Check that the connection still answers a ping."""
        self.send(frame(PING, b"still there?"))
        while (answer := self.client.recv_frame()) != Frame(PONG, b"still there?"):
            assert answer.opcode in (TEXT, BINARY), f"unexpected {answer}"

    def recv_close(self) -> tuple[int | None, str]:
        """Code and reason of the server's close frame; messages before it are skipped. Answers it."""
        while (came := self.client.recv_frame()).opcode != CLOSE:
            pass
        if not came.payload:
            return None, ""
        self.send(frame(CLOSE, came.payload[:2]))
        return int.from_bytes(came.payload[:2], "big"), came.payload[2:].decode()

    def _read_until(self, mark: bytes) -> tuple[bytes, bytes]:
        data = b""
        while mark not in data:
            more = self._recv()
            assert more, f"the server ended the connection after {data!r}"
            data += more
        head, _, rest = data.partition(mark)
        return head, rest

    def _recv(self) -> bytes:
        self.sock.settimeout(seconds(PATIENCE))
        return self.sock.recv(65536)


def _pieces(step: Chopped) -> list[bytes]:
    return [step.data[start : start + step.size] for start in range(0, len(step.data), step.size)]


# -- what must come


class Expectation(Protocol):
    """The expected result of a case."""

    def check(self, peer: Peer) -> None:
        """Raise AssertionError for another result."""


@dataclass(frozen=True)
class Accepted:
    """The handshake succeeds; then `then` is checked, or only the answer to a ping."""

    then: Expectation | None = None

    def check(self, peer: Peer) -> None:
        status, headers, body = peer.read_response()
        assert status == 101, (status, body)
        assert headers["sec-websocket-accept"] == ACCEPT
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & headers.keys()
        (self.then or Alive()).check(peer)


@dataclass(frozen=True)
class Refused:
    """An HTTP response with the reason, and the end of the connection."""

    status: int
    has_body: bool = True

    def check(self, peer: Peer) -> None:
        status, headers, body = peer.read_response()
        assert status == self.status, (status, body)
        assert headers["connection"] == "close"
        if self.has_body:
            assert headers["content-type"].startswith("text/plain")
            assert len(body.strip().splitlines()) == 1, body
        else:
            assert not body
        peer.assert_ended()


@dataclass(frozen=True)
class Answered:
    """An HTTP response after which another request may follow."""

    status: int

    def check(self, peer: Peer) -> None:
        status, _, body = peer.read_response()
        assert status == self.status, (status, body)


@dataclass(frozen=True)
class ClosedWith:
    """A close frame with this code, and the end of the connection; for 3000 also the reason for v1 clients."""

    code: int | None
    reason: str = ""

    def check(self, peer: Peer) -> None:
        code, reason = peer.recv_close()
        assert code == self.code, (code, reason)
        if code == 3000:
            assert json.loads(reason)["reason"] == self.reason
        peer.assert_ended()


@dataclass(frozen=True)
class Replied:
    """A reply to the command with the uid `1`, with these fields; the connection stays open."""

    error: str | None = None
    body: Any = None

    def check(self, peer: Peer) -> None:
        reply = _find_reply(peer.client)
        assert reply.get("error") == self.error, reply
        if self.body is not None:
            assert reply.get("body") == self.body
        peer.assert_alive()


def _find_reply(client: WebSocketClient) -> dict[str, Any]:
    """Return the reply to the command with the uid `1`; earlier messages are skipped."""
    while True:
        came = client.recv_json()
        if isinstance(came, dict) and came.get("uid") == "1":
            return came


@dataclass(frozen=True)
class Frames:
    """Exactly these frames, in this order; then `then` is checked, if given."""

    frames: tuple[Frame, ...]
    then: Expectation | None = None

    def check(self, peer: Peer) -> None:
        for expected in self.frames:
            came = peer.client.recv_frame()
            assert came == expected
        (self.then or Alive()).check(peer)


@dataclass(frozen=True)
class Alive:
    """No answer; a ping is still answered."""

    def check(self, peer: Peer) -> None:
        peer.assert_alive()


@dataclass(frozen=True)
class Silence:
    """No answer for some time: the server waits for the rest."""

    def check(self, peer: Peer) -> None:
        peer.client.assert_quiet(QUIET)


@dataclass(frozen=True)
class Ended:
    """The end of the connection, without an answer."""

    def check(self, peer: Peer) -> None:
        peer.assert_ended()


@dataclass(frozen=True)
class EndedAfterAll:
    """The end of the connection, after any messages."""

    def check(self, peer: Peer) -> None:
        peer.sock.settimeout(seconds(2 * PATIENCE))
        with suppress(ConnectionError):
            while peer.sock.recv(65536):
                pass


@dataclass(frozen=True)
class EndedInTime:
    """The end of the connection some time after a close frame that the peer does not answer."""

    code: int

    def check(self, peer: Peer) -> None:
        came = peer.client.recv_frame()
        assert (came.opcode, int.from_bytes(came.payload[:2], "big")) == (CLOSE, self.code)
        peer.assert_ended(within=3 * PATIENCE)


@dataclass(frozen=True)
class Whatever:
    """Any result, because the peer has disconnected; other tests check that the server continues."""

    def check(self, peer: Peer) -> None:
        """Check nothing, because there is no answer."""


# -- the whole


def nothing(peer: Peer) -> None:
    """Begin with a bare TCP connection."""


BEGIN_RAW: Callable[[Peer], None] = nothing
BEGIN_OPEN: Callable[[Peer], None] = Peer.open
BEGIN_CONNECTED: Callable[[Peer], None] = Peer.connect


@dataclass(frozen=True)
class Case:
    """One misbehaving or unusual peer, from its connection to its end."""

    name: str
    steps: Sequence[Step]
    expected: Expectation
    begin: Callable[[Peer], None] = BEGIN_RAW
    leave: Callable[[socket.socket], None] | None = None
    """How the peer goes before it looks at what came."""

    def play(self, host: str, port: int) -> None:
        """Run the case, and raise AssertionError for an unexpected result."""
        peer = Peer(host, port)
        try:
            self.begin(peer)
            for step in self.steps:
                peer.send(step)
            if self.leave is not None:
                self.leave(peer.sock)
            self.expected.check(peer)
        finally:
            peer.sock.close()
