"""A server between a client and a real server that fails in a given way, over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.waiting import seconds

Reply = tuple[int, str]
"""Status and body of a response."""
LOST = "carry out the request, and close the connection without a response"
SILENT = "carry out the request, and send no response"
Failure = Reply | str


class FlakyServer:
    """Fails for as many requests as there are `failures`, and passes all others to the server at `target`."""

    def __init__(self, target: str, failures: Sequence[Failure]) -> None:
        self._target = target
        self._failures = list(failures)
        self._stopped = threading.Event()
        self.bodies: list[bytes] = []
        """What was received, request by request."""
        self.connections = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> Reply | None:
        """Return the response to a request, or None for none."""
        self.bodies.append(body)
        failure = self._failures.pop(0) if self._failures else None
        if isinstance(failure, tuple):
            return failure
        reply = self._pass_on(path, body, headers)
        if failure is None:
            return reply
        if failure == SILENT:
            self._stopped.wait(seconds(30))
        return None

    def _pass_on(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            with urlopen(Request(self._target + path, body, headers), timeout=seconds(10)) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        flaky = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                flaky.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kept = {
                    name: value for name, value in self.headers.items() if name.lower().startswith(("x-", "content-t"))
                }
                reply = flaky.answer(self.path, body, kept)
                if reply is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, text = reply
                data = text.encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments: Any) -> None:
                """Print nothing, since tests look at `bodies`."""

        return Handler


@contextmanager
def flaky(target: str, *failures: Failure) -> Iterator[FlakyServer]:
    """Provide a flaky server in a `with` block."""
    server = FlakyServer(target, failures)
    try:
        yield server
    finally:
        server.close()
