"""A small blocking HTTP and SockJS client that shows everything that a server sends: chunks, headers and ends."""

from __future__ import annotations

import json
import re
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import seconds
from tests.websocket_client import WebSocketClient

PATIENCE = 5
"""Seconds to wait for expected data."""


@dataclass
class Answer:
    """A whole response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    version: str = "1.1"

    @property
    def text(self) -> str:
        return self.body.decode()


class Connection:
    """One connection to an HTTP server."""

    def __init__(self, host: str, port: int) -> None:
        self.sock = socket.create_connection((host, port), timeout=seconds(PATIENCE))
        self._host = f"{host}:{port}"
        self._buffer = b""

    def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        version: str = "1.1",
    ) -> None:
        fields = {"Host": self._host, **(headers or {})}
        if method == "POST" or body is not None:
            fields.setdefault("Content-Length", str(len(body or b"")))
        lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.sock.sendall("\r\n".join(lines).encode("latin-1") + (body or b""))

    def head(self) -> Answer:
        """Status and headers of the next response."""
        head = self._until(b"\r\n\r\n").decode("latin-1")
        first, *lines = head.split("\r\n")
        match = re.fullmatch(r"HTTP/(1\.[01]) (\d{3}) .*", first)
        assert match, first
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        return Answer(int(match[2]), headers, version=match[1])

    def answer(self) -> Answer:
        """Return the next response, whole."""
        answer = self.head()
        headers = answer.headers
        if headers.get("transfer-encoding") == "chunked":
            while chunk := self.chunk():
                answer.body += chunk
        elif "content-length" in headers:
            answer.body = self.read(int(headers["content-length"]))
        elif answer.status not in (101, 204, 304):
            assert headers.get("connection") == "close", headers
            answer.body = self.rest()
        return answer

    def chunk(self) -> bytes:
        """Return the next chunk; the last is empty."""
        size = int(self._until(b"\r\n"), 16)
        chunk = self.read(size)
        assert self.read(2) == b"\r\n"
        return chunk

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            assert self._fill(), f"the connection ended after {self._buffer!r}"
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def rest(self) -> bytes:
        """Return all data until the server closes the connection."""
        while self._fill():
            pass
        data, self._buffer = self._buffer, b""
        return data

    def has_ended(self) -> bool:
        """Return whether the server closes the connection without sending more data."""
        try:
            return not self._buffer and not self._fill()
        except ConnectionResetError:
            return True

    def is_quiet(self, duration: float = 0.2) -> bool:
        """Return whether no data arrives for some time."""
        self.sock.settimeout(seconds(duration))
        try:
            return not self._buffer and self._fill() is None
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(seconds(PATIENCE))

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            assert self._fill(), f"the connection ended after {self._buffer!r}"
        data, _, self._buffer = self._buffer.partition(end)
        return data

    def _fill(self) -> bool:
        data = self.sock.recv(65536)
        self._buffer += data
        return bool(data)


@dataclass
class Service:
    """A SockJS endpoint at `prefix`; `close` closes all open connections."""

    host: str
    port: int
    prefix: str
    _open: list[Connection | WebSocketClient] = field(default_factory=list)

    def connect(self) -> Connection:
        connection = Connection(self.host, self.port)
        self._open.append(connection)
        return connection

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answer:
        """Send one request over a new connection, and return the response."""
        with Connection(self.host, self.port) as connection:
            connection.send(method, self.prefix + path, headers, body)
            return connection.answer()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers)

    def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", path, headers, body)

    def options(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("OPTIONS", path, headers)

    def start(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Connection:
        """Send a request, and return the connection before the response is read."""
        connection = self.connect()
        connection.send(method, self.prefix + path, headers, body or None)
        return connection

    def websocket(self, path: str, headers: Mapping[str, str] | None = None) -> WebSocketClient:
        client = WebSocketClient.connect(self.host, self.port, self.prefix + path, headers)
        self._open.append(client)
        return client

    def session(self) -> Session:
        return Session(self, f"/000/{uuid.uuid4()}")

    def close(self) -> None:
        for connection in self._open:
            if isinstance(connection, WebSocketClient):
                connection.drop()
            else:
                connection.close()


@dataclass
class Session:
    """A SockJS session; `url` is its path below the service."""

    service: Service
    url: str

    def poll(self) -> str:
        """Return the frame that answers a poll."""
        answer = self.service.post(f"{self.url}/xhr")
        assert answer.status == 200, answer
        assert answer.body.endswith(b"\n"), answer
        return answer.text[:-1]

    def opened(self) -> Session:
        """Return the session, once it is open."""
        assert self.poll() == "o"
        return self

    def messages(self) -> list[Any]:
        """Return the decoded messages of a poll."""
        frame = self.poll()
        assert frame[0] == "a", frame
        return [json.loads(message) for message in json.loads(frame[1:])]

    def send(self, *messages: str) -> Answer:
        return self.send_raw(json.dumps(messages).encode())

    def send_raw(self, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        return self.service.post(f"{self.url}/xhr_send", body, headers)

    def start_poll(self, pause: float = 0.1) -> Connection:
        """Start a poll that waits for messages."""
        connection = self.service.start("POST", f"{self.url}/xhr")
        time.sleep(seconds(pause))
        return connection

    def stream(self) -> Stream:
        return Stream(self.service.start("POST", f"{self.url}/xhr_streaming"))


class Stream:
    """A streaming response, past its prelude."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.head = connection.head()
        self.prelude = connection.chunk()

    def frame(self) -> str:
        """Return the next chunk; empty at the end."""
        return self.connection.chunk().decode()

    def close(self) -> None:
        self.connection.close()
