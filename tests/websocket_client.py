"""A small blocking WebSocket client that shows everything that a server sends: frames, close codes and bytes.

It reads and writes plain RFC 6455 frames, without extensions, and sends invalid frames if a test wants that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.waiting import seconds

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

PATIENCE = 5
"""Seconds to wait for expected data."""
QUIET = 0.2
"""Seconds without data after which a connection counts as quiet."""

_ACCEPT_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class HandshakeRefused(Exception):
    """The server answered the handshake with something other than 101."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"{status}: {body[:200]!r}")
        self.status = status
        self.headers = headers
        self.body = body


class Closed(Exception):
    """The server ended the connection. `code` is None when it did so without a close frame or without a code."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(f"closed: {code} {reason}")
        self.code = code
        self.reason = reason

    @property
    def advice(self) -> Any:
        """The reason as Centrifugo clients read it: an object with `reason` and `reconnect`."""
        return json.loads(self.reason)


@dataclass(frozen=True)
class Frame:
    """One received frame."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


class WebSocketClient:
    """A connection to a WebSocket endpoint; open it with `connect`."""

    def __init__(self, sock: socket.socket, headers: Mapping[str, str], rest: bytes) -> None:
        self.sock = sock
        self.headers = headers
        self.closed: Closed | None = None
        self._buffer = bytearray(rest)

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        path: str = "/connection/websocket",
        headers: Mapping[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> WebSocketClient:
        """Shake hands. `headers` add to, or replace, the usual ones. Raises HandshakeRefused on any answer but 101."""
        sock = socket.create_connection((host, port), timeout=seconds(PATIENCE))
        if ssl_context is not None:
            sock = ssl_context.wrap_socket(sock, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {
            "Host": f"{host}:{port}",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        status, answer, rest = _read_head(sock)
        if status != 101:
            raise HandshakeRefused(status, answer, _read_body(sock, answer, rest))
        accept = base64.b64encode(hashlib.sha1(fields["Sec-WebSocket-Key"].encode() + _ACCEPT_SALT).digest()).decode()
        assert answer.get("sec-websocket-accept") == accept, f"wrong Sec-WebSocket-Accept in {answer}"
        return cls(sock, answer, rest)

    # -- sending

    def send_text(self, text: str | bytes) -> None:
        self.send_frame(TEXT, text.encode() if isinstance(text, str) else text)

    def send_json(self, value: Any) -> None:
        self.send_text(json.dumps(value))

    def send_frame(
        self, opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0, masked: bool = True
    ) -> None:
        """Send one valid or invalid frame."""
        first = (0x80 if fin else 0) | rsv << 4 | opcode
        mask_bit = 0x80 if masked else 0
        if len(payload) < 126:
            head = struct.pack("!BB", first, mask_bit | len(payload))
        elif len(payload) < 1 << 16:
            head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
        else:
            head = struct.pack("!BBQ", first, mask_bit | 127, len(payload))
        if masked:
            key = os.urandom(4)
            head += key
            payload = _masked(payload, key)
        self.send_bytes(head + payload)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes outside any frame."""
        self.sock.sendall(data)

    # -- receiving

    def recv_frame(self, timeout: float = PATIENCE) -> Frame:
        """Return the next frame, control frames too. Raises TimeoutError, or Closed at the end of the connection."""
        return self._next_frame(time.monotonic() + seconds(timeout))

    def recv_text(self, timeout: float = PATIENCE) -> str:
        """Return the next text message. Pings on the way are answered; Closed is raised when a close frame comes."""
        deadline = time.monotonic() + seconds(timeout)
        parts: list[bytes] = []
        while True:
            frame = self._next_frame(deadline)
            if frame.opcode == PING:
                self.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                self._closed_by(frame)
            elif frame.opcode in (TEXT, CONTINUATION):
                parts.append(frame.payload)
                if frame.fin:
                    return b"".join(parts).decode()
            else:
                assert frame.opcode == PONG, f"unexpected {frame}"

    def recv_json(self, timeout: float = PATIENCE) -> Any:
        return json.loads(self.recv_text(timeout))

    def wait_closed(self, timeout: float = PATIENCE) -> Closed:
        """Wait until the server closes the connection, and return how. A message before that is an error."""
        try:
            text = self.recv_text(timeout)
        except Closed as closed:
            return closed
        raise AssertionError(f"a message instead of the close: {text}")

    def assert_quiet(self, duration: float = QUIET) -> None:
        """Check that no message arrives for a while, and that the connection stays open."""
        try:
            text = self.recv_text(duration)
        except TimeoutError:
            return
        raise AssertionError(f"unexpected message: {text}")

    # -- ending

    def close(self, code: int = 1000) -> None:
        """Send a close frame and close the connection."""
        try:
            self.send_frame(CLOSE, struct.pack("!H", code))
        except OSError:
            pass  # The server hung up first.
        self.drop()

    def drop(self) -> None:
        """Close the connection without a close frame."""
        self.sock.close()

    def __enter__(self) -> WebSocketClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the wire

    def _next_frame(self, deadline: float) -> Frame:
        while (frame := self._take_frame()) is None:
            self._fill(deadline)
        return frame

    def _take_frame(self) -> Frame | None:
        """Remove one whole frame from the buffer, if there is one."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        assert not buffer[1] & 0x80, "a server must not mask its frames (RFC 6455 5.1)"
        length, start = buffer[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            start += size
            if len(buffer) < start:
                return None
            length = int.from_bytes(buffer[2:start], "big")
        end = start + length
        if len(buffer) < end:
            return None
        first = buffer[0]
        frame = Frame(first & 0x0F, bytes(buffer[start:end]), fin=bool(first & 0x80), rsv=first >> 4 & 0x07)
        del buffer[:end]
        return frame

    def _fill(self, deadline: float) -> None:
        if self.closed:
            raise self.closed
        # A zero timeout would make the socket non-blocking and its error another one.
        self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = Closed(None)
            raise self.closed
        self._buffer += data

    def _closed_by(self, frame: Frame) -> None:
        code = int.from_bytes(frame.payload[:2], "big") if frame.payload else None
        self.closed = Closed(code, frame.payload[2:].decode())
        self.close(1000)
        raise self.closed


def _masked(payload: bytes, key: bytes) -> bytes:
    pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
    xor = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return xor.to_bytes(len(payload), "big")


def _read_head(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers with names in lower case, and the bytes that came after them."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        assert more, f"the connection ended within the handshake: {data!r}"
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    return int(first.split(" ")[1]), headers, rest


def _read_body(sock: socket.socket, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the body of the length in Content-Length."""
    wanted = int(headers.get("content-length", len(body)))
    while len(body) < wanted and (more := sock.recv(65536)):
        body += more
    sock.close()
    return body
