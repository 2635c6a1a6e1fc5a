"""A backend for hooks, which receives events of a server over real HTTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.credentials import SECRET, sign

Reply = tuple[int, Any]
"""Status and JSON of an answer; text stays as it is."""


class Backend:
    """Records requests in `events` and their headers in `headers`, and answers with the result of `answer`."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.unsigned = 0
        """Requests whose sign was wrong."""
        self.secret = SECRET
        self.answer: Callable[[dict[str, Any]], Reply] = lambda event: (200, {})
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/hooks?app=1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

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

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, said = backend.take(body, {name.lower(): value for name, value in self.headers.items()})
                data = (said if isinstance(said, str) else json.dumps(said)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                """Log nothing, because tests check the recorded requests."""

        return Handler


@contextmanager
def hook_backend() -> Iterator[Backend]:
    """Provide a backend in a `with` block."""
    backend = Backend()
    try:
        yield backend
    finally:
        backend.close()


class SlowBackend:
    """Answers each request with one byte after the other, without end; `asked` records the requests."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._ends = threading.Event()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

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


@contextmanager
def slow_backend() -> Iterator[SlowBackend]:
    """Provide a slow backend in a `with` block."""
    backend = SlowBackend()
    try:
        yield backend
    finally:
        backend.close()


class EndlessBackend:
    """Answers each request with `first`, and then with up to `most` bytes of `repeated`, as fast as they are read."""

    def __init__(self, first: bytes, repeated: bytes, most: int) -> None:
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler(first, repeated, most))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

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


@contextmanager
def endless_backend(kind: str, most: int = 1 << 26) -> Iterator[EndlessBackend]:
    """Provide a backend with one of ENDLESS_ANSWERS in a `with` block."""
    first, repeated = ENDLESS_ANSWERS[kind]
    backend = EndlessBackend(first, repeated * 1000, most)
    try:
        yield backend
    finally:
        backend.close()
