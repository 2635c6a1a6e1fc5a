"""A web application from which client libraries request credentials, as backends of Gentrifugo provide it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Endpoint = Callable[[Any], tuple[int, Any]]
"""Takes the JSON body of a request, gives the status and the JSON body of the answer."""


class Application:
    """An HTTP server with POST endpoints by path, in a thread. `requests` has the requests to each path."""

    def __init__(self, **endpoints: Endpoint) -> None:
        self.endpoints = endpoints
        self.requests: dict[str, list[Any]] = {name: [] for name in endpoints}
        application = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                name = self.path.strip("/")
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                application.requests[name].append(body)
                status, answer = application.endpoints[name](body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Log nothing, so that test output stays readable."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def __enter__(self) -> Application:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
