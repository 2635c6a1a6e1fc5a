"""Many clients in one process, each in a greenlet: they subscribe, reconnect when told to, and store messages.

They work like client libraries: after `shutting down` they wait for a random time, connect to the next server, and
recover from their last message.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import gevent
from gevent import socket
from gevent.pool import Group

from benchmarks.frames import CLOSE, PING, PONG_FRAME, TEXT, FrameReader, close_reason, masked_frame
from tests.credentials import connect_params
from tests.waiting import seconds

HANDSHAKE = (
    "GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MAX_DELAY = 0.3
"""Maximum seconds before a client reconnects."""


class Ended(Exception):
    """The server has closed the connection, or is not running."""


class Member:
    """One client; `got` has the data of each message in the order in which they came."""

    def __init__(self, ports: Sequence[int], channel: str, user: str) -> None:
        self.got: list[Any] = []
        self.is_subscribed = False
        self.closed_at: list[float] = []
        self.closes: list[str] = []
        """How each connection has ended: the code and the reason of the close frame, or "cut" without one."""
        self.incomplete = 0
        """Times that the server could not say that nothing is missing."""
        self._ports = ports
        self._channel = channel
        self._user = user
        self._last = ""
        self._recovers = False

    def run(self) -> None:
        """Stay subscribed until the end, and reconnect to one of the ports."""
        port = self._ports[0]
        while True:
            try:
                self._stay(port)
            except (Ended, OSError) as end:
                self.is_subscribed = False
                self.closes.append(str(end) if isinstance(end, Ended) and str(end) else "cut")
                port = random.choice([other for other in self._ports if other != port] or [port])
                gevent.sleep(random.uniform(0, MAX_DELAY))

    def disconnect_abruptly(self) -> None:
        """End the connection without a close frame. The client reconnects by itself."""
        if self.is_subscribed:
            self.is_subscribed = False
            self._socket.shutdown(socket.SHUT_RDWR)

    def _stay(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds(20)) as self._socket:
            self._frames = FrameReader()
            self._socket.sendall(HANDSHAKE.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += self._read()
            if b" 101 " not in head:
                raise Ended
            self._frames.rest = head.partition(b"\r\n\r\n")[2]
            self._send("connect", connect_params(self._user))
            params = {"channel": self._channel}
            self._recovers = bool(self._last)
            if self._last:
                params |= {"recover": True, "last": self._last}  # type: ignore[dict-item]
            self._send("subscribe", params)
            data = b""
            while True:
                for frame in self._frames.feed(data):
                    if frame.opcode == CLOSE:
                        self.closed_at.append(gevent.get_hub().loop.now())
                        raise Ended(close_reason(frame.payload))
                    if frame.opcode == PING:
                        self._socket.sendall(PONG_FRAME)
                    if frame.opcode == TEXT:
                        self._take(json.loads(frame.message))
                data = self._read()

    def _take(self, message: Any) -> None:
        if message["method"] == "message":
            self._note(message["body"])
        elif message["method"] == "subscribe":
            body = message["body"]
            self.is_subscribed = True
            for missed in reversed(body.get("messages") or []):
                self._note(missed)
            if self._recovers and not body["recovered"]:
                self.incomplete += 1
            self._last = self._last or body["last"]

    def _note(self, body: Any) -> None:
        self.got.append(body["data"])
        self._last = body["uid"]

    def _send(self, method: str, params: Any) -> None:
        command = json.dumps({"uid": method, "method": method, "params": params})
        self._socket.sendall(masked_frame(TEXT, command.encode()))

    def _read(self) -> bytes:
        data: bytes = self._socket.recv(65536)
        if not data:
            raise Ended
        return data


class Swarm:
    """Runs `size` clients in a `with` block."""

    def __init__(self, ports: Sequence[int], channel: str, size: int) -> None:
        self.members = [Member(ports, channel, f"user{number}") for number in range(size)]
        self._group = Group()

    def __enter__(self) -> Swarm:
        for member in self.members:
            self._group.spawn(member.run)
        return self

    def __exit__(self, *_: object) -> None:
        self._group.kill()

    @property
    def received_messages(self) -> list[list[Any]]:
        """Return the messages that each client has received."""
        return [member.got for member in self.members]

    @property
    def closes(self) -> list[str]:
        """The close codes and reasons of all closed connections."""
        return [close for member in self.members for close in member.closes]

    @property
    def subscribed(self) -> int:
        """The number of subscribed members."""
        return sum(member.is_subscribed for member in self.members)
