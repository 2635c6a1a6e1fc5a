"""The four services that the published SockJS test suite expects: `python -m tests.sockjs_testserver`."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer

from gentrifugo.app.exchange.wsgi_exchange import serve_wsgi
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.runtime.timers import Timers
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.sockjs.endpoint import SockJS
from gentrifugo.app.sockjs.options import SockJSOptions
from gentrifugo.app.sockjs.peer import Connect, SockJSTransport
from gentrifugo.app.websocket.compression import Compression, Deflate
from gentrifugo.app.websocket.connection import WebSocket
from gentrifugo.app.websocket.frame_reader import WebSocketMessage

RESPONSE_LIMIT = 4096
RAW_MAX_SIZE = 16 << 20
"""Largest message in bytes over the raw WebSocket: what the largest cases of the Autobahn suite send."""
RAW_OPTIONS = SockJSOptions(client_queue_max_size=4 * RAW_MAX_SIZE, ping_interval=0)
GO_AWAY = (3000, "Go away!")
FLUSH_DELAY = 0.0
"""No delay of flushes, because a client that waits for each echo does not benefit from it."""


class Echo:
    """A peer that sends every message back."""

    def __init__(self, transport: SockJSTransport, opening: Opening | None = None) -> None:
        self._transport = transport

    def handle_text(self, message: str) -> None:
        self._transport.send(message)

    def close(self) -> None:
        """Do nothing, because there is nothing to release."""

    def close_slow(self) -> None:
        self._transport.close(1008, "slow")

    def close_silent(self) -> None:
        self._transport.close(1008, "silent")

    def close_failed(self, reason: str) -> None:
        self._transport.close(1008, reason)

    def close_too_large(self) -> None:
        self._transport.close(1009, "message too big")

    def close_broken(self, error: Exception) -> None:
        self._transport.close(1011, "broken")


class Close(Echo):
    """A peer that closes every connection."""

    def __init__(self, transport: SockJSTransport, opening: Opening | None = None) -> None:
        super().__init__(transport, opening)
        transport.close(*GO_AWAY)

    def handle_text(self, message: str) -> None:
        """Do nothing, because the connection is being closed."""


class StandardServices:
    """The WSGI application; HTTPConnection finds the endpoints in `sockjs` and serves them without WSGI."""

    def __init__(self, disconnect_delay: float = SockJSOptions.disconnect_delay) -> None:
        self._flusher = Flusher(rest=FLUSH_DELAY)
        self._timers = Timers()
        self._timers.start()
        options = SockJSOptions(
            response_limit=RESPONSE_LIMIT, disconnect_delay=disconnect_delay, compression=Compression()
        )
        self.sockjs = (
            self._endpoint("/echo", Echo, self._echo, options),
            self._endpoint("/disabled_websocket_echo", Echo, self._echo, replace(options, websocket=False)),
            self._endpoint("/cookie_needed_echo", Echo, self._echo, replace(options, cookie=True)),
            self._endpoint("/close", Close, self._close, options),
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        for endpoint in self.sockjs:
            below = endpoint.path_below(path)
            if below is not None:
                return serve_wsgi(endpoint, below, environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
        return []

    def stop(self) -> None:
        """Stop the timers of the services."""
        self._timers.stop()

    def _endpoint(
        self, prefix: str, connect: Connect, raw: Callable[[WebSocket], None], options: SockJSOptions
    ) -> SockJS:
        serve = partial(self._serve_raw, raw)
        return SockJS(prefix, connect, serve, self._flusher, self._timers, lambda: options)

    def _serve_raw(
        self,
        serve: Callable[[WebSocket], None],
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None:
        websocket = WebSocket(socket, recv, self._flusher, self._timers, RAW_OPTIONS, RAW_MAX_SIZE, deflate=deflate)
        try:
            serve(websocket)
        finally:
            websocket.finish()

    @staticmethod
    def _echo(websocket: WebSocket) -> None:
        message: WebSocketMessage | None
        while (message := websocket.receive()) is not None:
            websocket.send(message)

    @staticmethod
    def _close(websocket: WebSocket) -> None:
        websocket.close(*GO_AWAY)
        while websocket.receive() is not None:
            pass


def main() -> None:
    """Serve until INT or TERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.sockjs_testserver", description=__doc__)
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8081, help="port to listen on, 0 picks one (default: %(default)s)")
    arguments = parser.parse_args()
    server = WSGIServer((arguments.address, arguments.port), StandardServices(), handler_class=HTTPConnection, log=None)
    try:
        server.start()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(": (")[0]  # gevent appends the address
        parser.exit(1, f"cannot listen on {arguments.address}, port {arguments.port}: {reason}\n")
    for number in (signal.SIGINT, signal.SIGTERM):
        gevent.signal_handler(number, partial(server.stop, timeout=0))
    print(f"listening on http://{arguments.address}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
