"""A server between a client and a real server that fails in a given way, over real HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.threaded_server import QuietHandler, ThreadedServer, closing, http_server
from tests.waiting import seconds

Reply = tuple[int, str]
"""Status and body of a response."""
LOST = "carry out the request, and close the connection without a response"
SILENT = "carry out the request, and send no response"
Failure = Reply | str


class FlakyServer(ThreadedServer):
    """Fails for as many requests as there are `failures`, and passes all others to the server at `target`."""

    def __init__(self, target: str, failures: Sequence[Failure]) -> None:
        self._target = target
        self._failures = list(failures)
        self._stopped = threading.Event()
        self.bodies: list[bytes] = []
        """What was received, request by request."""
        self.connections = 0
        super().__init__(http_server(self._handler()))
        self.url = self.address

    def close(self) -> None:
        """Stop waiting, and stop serving."""
        self._stopped.set()
        super().close()

    def reply_to(self, path: str, body: bytes, headers: dict[str, str]) -> Reply | None:
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

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                flaky.connections += 1

            def do_POST(self) -> None:
                body = self.read_body()
                kept = {
                    name: value for name, value in self.headers.items() if name.lower().startswith(("x-", "content-t"))
                }
                reply = flaky.reply_to(self.path, body, kept)
                if reply is None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                status, text = reply
                self.answer(status, text.encode())

        return Handler


def flaky(target: str, *failures: Failure) -> AbstractContextManager[FlakyServer]:
    """Provide a flaky server in a `with` block."""
    return closing(FlakyServer(target, failures))
