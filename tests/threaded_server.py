"""Servers for tests that run in a thread of the test's own process: backends, applications, sources of keys."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class ThreadedServer:
    """Serves on a free port of the loopback interface, from its creation until `close`; `address` is its URL."""

    def __init__(self, server: socketserver.TCPServer) -> None:
        self._server = server
        self.port = int(server.server_address[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and close the port; a second call does nothing."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class QuietHandler(BaseHTTPRequestHandler):
    """Answers requests without a line for each on standard error."""

    def read_body(self) -> bytes:
        """Return the body of the request, whose length must be given."""
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        """Send a response with these headers, `_` in their names standing for `-`, and its length."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Print nothing, since tests look at what the server has recorded."""


def http_server(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Return an HTTP server on a free port, which does not serve yet."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


S = TypeVar("S", bound=ThreadedServer)


@contextmanager
def closing(server: S) -> Iterator[S]:
    """Provide a server in a `with` block, and close it at the end."""
    try:
        yield server
    finally:
        server.close()
