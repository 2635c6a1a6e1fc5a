"""Many clients without WebSocket in one process, each a greenlet: they recover whenever their stream has ended.

They work as client libraries do: each opens a stream, subscribes from the position that it has reached, and posts what
it sends. One-way clients work as an `EventSource` does: they reconnect with the id of the last event.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Group

from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.waiting import seconds

MAX_DELAY = 0.05
"""Seconds before a client comes back."""
RECV_SIZE = 65536


class Ended(Exception):
    """The stream has ended, or was refused."""


class StreamMember:
    """One client of `channel`; `got` has the data of all messages in the order in which they came."""

    is_one_way = False

    def __init__(self, port: int, key: str, user: str, channel: str) -> None:
        self.got: list[Any] = []
        self.incomplete = 0
        """Times that the server could not say that nothing is missing."""
        self.streams = 0
        """Streams that were opened."""
        self.is_subscribed = Event()
        self.user = user
        self.nodes: set[str] = set()
        """The nodes that have served it."""
        self._channel = channel
        self._key = key
        self._port = port
        self._rest = b""
        self._socket: Any = None

    def run(self) -> None:
        """Listen until it is killed."""
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=seconds(40)) as self._socket:
                    self._socket.sendall(self._request())
                    self._read_head()
                    self.streams += 1
                    for line in _lines(_chunks(self._read)):
                        self._take(line)
            except (Ended, OSError, ValueError):
                pass
            self.is_subscribed.clear()
            gevent.sleep(random.uniform(0, MAX_DELAY))

    def cut(self) -> None:
        """Close the stream without notice; the client reconnects by itself."""
        if self._socket is not None:
            self._socket.close()

    def _read(self) -> bytes:
        """Return the next bytes of the body, beginning with those received with the head."""
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        data: bytes = self._socket.recv(RECV_SIZE)
        if not data:
            raise Ended
        return data

    def _read_head(self) -> None:
        head, self._rest = b"", b""
        while b"\r\n\r\n" not in head:
            head += self._read()
        head, _, self._rest = head.partition(b"\r\n\r\n")
        if b" 200 " not in head:
            raise Ended

    def _request(self) -> bytes:
        raise NotImplementedError

    def _take(self, line: bytes) -> None:
        raise NotImplementedError


class TwoWayMember(StreamMember):
    """A client over HTTP streaming or Server-Sent Events, which can also send."""

    def __init__(self, port: int, key: str, user: str, channel: str, path: str) -> None:
        super().__init__(port, key, user, channel)
        self._path = path
        self._position: dict[str, Any] = {}
        self._address = {"session": "", "node": ""}
        self.replies: list[int] = []
        """The ids of all replies to what it has sent, in the order in which they came."""

    def send(self, command: dict[str, Any]) -> int:
        """Post a command, and return the status."""
        body = json.dumps({**self._address, "data": json.dumps(command)}).encode()
        head = f"POST /emulation HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self._port), timeout=seconds(20)) as posting:
            posting.sendall(head.encode() + body)
            return int(posting.recv(RECV_SIZE).split()[1])

    def _request(self) -> bytes:
        recovery = {"recover": True, **self._position} if self._position else {}
        commands = [
            {"id": 1, "connect": {"token": connection_token(self._key, self.user)}},
            {"id": 2, "subscribe": {"channel": self._channel, **recovery}},
        ]
        body = "\n".join(map(json.dumps, commands))
        if self._path.endswith("sse"):
            return f"GET {self._path}?cf_connect={quote(body)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        return f"POST {self._path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    def _take(self, line: bytes) -> None:
        text = line.removeprefix(b"data: ").strip()
        if not text:
            return
        message = json.loads(text)
        if not message:
            gevent.spawn(self._answer_ping)
        elif "connect" in message:
            self._address = {name: message["connect"][name] for name in ("session", "node")}
            self.nodes.add(self._address["node"])
        elif "subscribe" in message:
            self._take_subscription(message["subscribe"])
        elif "push" in message and "pub" in message["push"]:
            self._note(message["push"]["pub"])
        elif message.get("id", 0) > 2:
            self.replies.append(message["id"])

    def _answer_ping(self) -> None:
        with suppress(OSError, IndexError):  # the stream may have ended meanwhile, and the test with it
            self.send({})

    def _take_subscription(self, result: dict[str, Any]) -> None:
        if self._position and not result.get("recovered"):
            self.incomplete += 1
        self._position = {"epoch": result["epoch"], "offset": result.get("offset", 0)}
        for publication in result.get("publications", ()):
            self._note(publication)
        self.is_subscribed.set()

    def _note(self, publication: dict[str, Any]) -> None:
        self.got.append(publication["data"])
        self._position["offset"] = publication["offset"]


class OneWayMember(StreamMember):
    """A client like an `EventSource`, which also listens to a channel without messages."""

    is_one_way = True

    def __init__(self, port: int, key: str, user: str, channel: str) -> None:
        super().__init__(port, key, user, channel)
        self._id = self._last = ""

    def _request(self) -> bytes:
        channels = [self._channel, f"{self._channel}-{self.user}"]
        request = quote(json.dumps({"token": connection_token(self._key, self.user, channels=channels)}))
        last = f"Last-Event-ID: {self._last}\r\n" if self._last else ""
        self._id = self._last
        return f"GET /connection/uni_sse?cf_connect={request} HTTP/1.1\r\nHost: a\r\n{last}\r\n".encode()

    def _take(self, line: bytes) -> None:
        name, _, value = line.decode().strip().partition(": ")
        if name == "id":
            self._id = value
        elif name == "data":
            self._take_message(json.loads(value))
            self._last = self._id

    def _take_message(self, message: dict[str, Any]) -> None:
        if "connect" in message:
            subscription = message["connect"]["subs"][self._channel]
            self.incomplete += bool(subscription.get("was_recovering") and not subscription.get("recovered"))
            self.is_subscribed.set()
        elif "pub" in message:
            self.got.append(message["pub"]["data"])


class StreamSwarm:
    """Runs the clients `members` in a `with` block."""

    def __init__(self, members: Sequence[StreamMember]) -> None:
        self.members = members
        self._group = Group()

    def __enter__(self) -> StreamSwarm:
        for member in self.members:
            self._group.spawn(member.run)
        return self

    def __exit__(self, *_: object) -> None:
        self._group.kill()

    def wait(self, condition: Callable[[StreamMember], bool], within: float = 20) -> list[StreamMember]:
        """Wait until all members meet a condition; returns those that do not before the timeout."""
        ends = time.monotonic() + seconds(within)
        while not all(map(condition, self.members)) and time.monotonic() < ends:
            gevent.sleep(0.05)
        return [member for member in self.members if not condition(member)]


def _chunks(read: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield the received data of a body that is sent in chunks."""
    data = b""
    while True:
        line, found, rest = data.partition(b"\r\n")
        size = int(line, 16) if found else 0
        if found and not size:
            raise Ended
        if found and len(rest) >= size + 2:
            yield rest[:size]
            data = rest[size + 2 :]
        else:
            data += read()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The complete lines of a body."""
    data = b""
    for chunk in chunks:
        *lines, data = (data + chunk).split(b"\n")
        yield from lines
