"""A client without WebSocket: reads an endless response from a plain socket, and posts what it sends."""

from __future__ import annotations

import http.client
import json
import socket
import zlib
from types import TracebackType
from typing import Any
from urllib.parse import quote

from tests.waiting import seconds

LONG = seconds(10)
"""Seconds to wait for what must come."""


def request(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], str]:
    """Make one request, and return the status, the headers in lower case and the body of its response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONG)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, _encoded(body), names)
        response = connection.getresponse()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode()
    finally:
        connection.close()


def _encoded(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


class StreamClient:
    """One stream. `first` is the request that opens it: JSON, or bytes in Protobuf. With `get` it is in the query."""

    def __init__(
        self,
        port: int,
        path: str,
        first: Any,
        get: bool = False,
        version: str = "1.1",
        headers: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        self.port = port
        self.session = self.node = ""
        self.last_event_id = ""
        """The id of the last event that had one."""
        self._is_sse = "sse" in path
        body = b"" if get else _encoded(first) or b""
        target = f"{path}{'&' if '?' in path else '?'}cf_connect={quote(json.dumps(first))}" if get else path
        verb = "GET" if get else "POST"
        length = "" if get else f"Content-Length: {len(body)}\r\n"
        head = f"{verb} {target} HTTP/{version}\r\nHost: localhost\r\n{length}{headers}\r\n"
        self.socket = socket.create_connection((host, port), timeout=LONG)
        self.socket.sendall(head.encode() + body)
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        lines = iter(self._file.readline, b"\r\n")
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines)
        }
        self._is_chunked = self.headers.get("transfer-encoding") == "chunked"
        is_compressed = self.headers.get("content-encoding") == "gzip"
        self._inflater = zlib.decompressobj(16 + zlib.MAX_WBITS) if is_compressed else None
        self.size = 0
        """Bytes of the body that have come, compressed or not."""
        self._body = b""

    def __enter__(self) -> StreamClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.socket.close()

    def read_bytes(self) -> bytes:
        """Return the next part of the body; no bytes at its end."""
        if not self._is_chunked:
            return self._file.read1()
        size = int(self._file.readline(), 16)
        data = self._file.read(size)
        assert self._file.readline() == b"\r\n"
        return data

    def read(self) -> Any:
        """Return the next message, with pings; None at the end of the response."""
        while True:
            line, found, rest = self._body.partition(b"\n")
            if found:
                self._body = rest
                message = self._message(line.strip(b"\r"))
                if message is not None:
                    return message
                continue
            data = self.read_bytes()
            if not data:
                return None
            self.size += len(data)
            self._body += data if self._inflater is None else self._inflater.decompress(data)

    def _message(self, line: bytes) -> Any:
        if self._is_sse:
            if line.startswith(b"id: "):
                self.last_event_id = line[4:].decode()
            line = line.removeprefix(b"data: ") if line.startswith(b"data: ") else b""
        if not line:
            return None
        message = json.loads(line)
        result = message.get("connect", {})
        self.session, self.node = result.get("session", self.session), result.get("node", self.node)
        return message

    def next(self) -> Any:
        """Return the next message that is not a ping."""
        while (message := self.read()) == {}:
            pass
        return message

    def post(self, *commands: Any, port: int = 0) -> int:
        """Post commands, possibly to another node, and return the status."""
        data = "\n".join(json.dumps(command) for command in commands)
        body = {"session": self.session, "node": self.node, "data": data}
        return request(port or self.port, "POST", "/emulation", body)[0]
