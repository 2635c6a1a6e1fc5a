"""A server that echoes every WebSocket message, on the handler and the WebSocket of Gentrifugo and nothing above them.

`python -m tests.echo_server` listens on a free port, prints host and port, and serves until it is terminated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gevent.pywsgi import WSGIServer

from gentrifugo.app.handler import Handler
from gentrifugo.app.http_head import HTTPError
from gentrifugo.app.outbox import Flusher
from gentrifugo.app.timers import Timers
from gentrifugo.app.websocket import WebSocket

MAX_SIZE = 16 << 20
"""Largest message in bytes: what the largest cases of the Autobahn suite send."""


@dataclass(frozen=True)
class EchoLimits:
    """No pings, and room for a few of the largest messages on their way out."""

    client_queue_max_size: int = 4 * MAX_SIZE
    client_message_write_timeout: float = 0
    ping_interval: float = 0


class Echo:
    """The WSGI application."""

    def __init__(self) -> None:
        self._flusher = Flusher(rest=0)  # one peer that waits for each echo has nothing of frames that gather
        self._timers = Timers()
        self._timers.start()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        try:
            socket, recv = environ["gentrifugo.handler"].upgrade()
        except HTTPError as error:
            start_response(f"{error.status} Refused", [("Content-Type", "text/plain"), *error.headers.items()])
            return [error.reason.encode()]
        websocket = WebSocket(socket, recv, self._flusher, self._timers, EchoLimits(), MAX_SIZE)
        try:
            while (message := websocket.receive()) is not None:
                websocket.send(message)
        finally:
            websocket.finish()
        return []


def main() -> None:
    server = WSGIServer(("127.0.0.1", 0), Echo(), handler_class=Handler, log=None)
    server.start()
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
