"""A backend for hooks, which receives events of a server over real HTTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.credentials import SECRET, sign
from tests.threaded_server import QuietHandler, ThreadedServer, closing, http_server

Reply = tuple[int, Any]
"""Status and JSON of an answer; text stays as it is."""


class Backend(ThreadedServer):
    """Records requests in `events` and their headers in `headers`, and answers with the result of `answer`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.unsigned = 0
        """Requests whose sign was wrong."""
        self.secret = SECRET
        self.answer: Callable[[dict[str, Any]], Reply] = lambda event: (200, {})
        self._lock = threading.Lock()
        super().__init__(http_server(self._handler()))
        self.url = f"{self.address}/hooks?app=1"

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return the requests for one event."""
        return [told for told in self.events if told["event"] == event]

    def take(self, body: bytes, headers: dict[str, str]) -> Reply:
        event = json.loads(body)
        with self._lock:
            self.events.append(event)
            self.headers.append(headers)
            self.unsigned += headers.get("x-hook-sign") != sign(body.decode(), secret=self.secret)
        return self.answer(event)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        backend = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, said = backend.take(self.read_body(), headers)
                self.answer(status, (said if isinstance(said, str) else json.dumps(said)).encode())

        return Handler


def hook_backend() -> AbstractContextManager[Backend]:
    """Provide a backend in a `with` block."""
    return closing(Backend())


class SlowBackend(ThreadedServer):
    """Answers each request with one byte after the other, without end; `asked` records the requests."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._ends = threading.Event()
        super().__init__(socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler()))
        self.url = f"{self.address}/"

    def close(self) -> None:
        """Stop sending, and stop serving."""
        self._ends.set()
        super().close()

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        backend = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                backend.asked.append(self.request.recv(65536))
                try:
                    self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    while not backend._ends.wait(0.05):
                        self.request.sendall(b" ")
                except OSError:
                    pass  # nobody listens any more

        return Handler


def slow_backend() -> AbstractContextManager[SlowBackend]:
    """Provide a slow backend in a `with` block."""
    return closing(SlowBackend())


class EndlessBackend(ThreadedServer):
    """Answers each request with `first`, and then with up to `most` bytes of `repeated`, as fast as anybody reads."""

    def __init__(self, first: bytes, repeated: bytes, most: int) -> None:
        super().__init__(socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler(first, repeated, most)))
        self.url = f"{self.address}/"

    @staticmethod
    def _handler(first: bytes, repeated: bytes, most: int) -> type[socketserver.BaseRequestHandler]:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65536)
                try:
                    self.request.sendall(first)
                    for _ in range(most // len(repeated)):
                        self.request.sendall(repeated)
                except OSError:
                    pass  # nobody listens any more

        return Handler


ENDLESS_ANSWERS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "trailers": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", b"X-Trailer: more\r\n"),
    "tiny chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}
"""Responses without an end, which a library reads without ever waiting."""


def endless_backend(kind: str, most: int = 1 << 26) -> AbstractContextManager[EndlessBackend]:
    """One of ENDLESS_ANSWERS for the length of a `with` block."""
    first, repeated = ENDLESS_ANSWERS[kind]
    return closing(EndlessBackend(first, repeated * 1000, most))
