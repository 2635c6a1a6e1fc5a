"""Requests that come through WSGI, from gevent's pywsgi or a server built on it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import gevent

from ..http.client_address import TrustedProxies
from ..http.head import HTTPError
from ..http.opening_request import Opening
from ..http.upgrade import open_websocket, socket_of
from . import fd_passing
from .endpoint import SockJS
from .exchange import Exchange, ServeWebSocket, head_of
from .response import WITHOUT_LENGTH, Response

log = logging.getLogger(__name__)

BODY_STEP = 65536
"""Bytes of a body that may take the timeout, each time."""

StartResponse = Callable[..., Callable[[bytes], object]]


def serve(endpoint: SockJS, path: str, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """A WSGI application for the requests of one endpoint; `path` is what stands below it, each byte a character."""
    try:
        endpoint.serve(WSGIExchange(path, environ, start_response))
    except HTTPError as error:
        start_response(f"{error.status} Refused", [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{error.reason}\n".encode()]
    except (OSError, EOFError) as error:
        log.debug("a SockJS client has gone: %s", error or type(error).__name__)
    return []


class WSGIExchange(Exchange):
    """Raises HTTPError for a server that cannot do this."""

    def __init__(self, path: str, environ: dict[str, Any], start_response: StartResponse) -> None:
        super().__init__(
            environ["REQUEST_METHOD"],
            path,
            environ.get("QUERY_STRING", ""),
            environ["SERVER_PROTOCOL"],
            _headers(environ),
            socket_of(environ),
        )
        self._environ = environ
        self._start_response = start_response

    def read_body(self, max_size: int, timeout: float) -> bytes:
        length = self._environ.get("CONTENT_LENGTH") or ""
        size = int(length) if length.isdecimal() else max_size + 1  # in chunks: until there is no more
        if length and size > max_size:
            raise self._too_large(max_size)
        if not length and "transfer-encoding" not in self.headers:
            return b""
        seconds = timeout * (1 + size // BODY_STEP)
        with gevent.Timeout(seconds, HTTPError(408, "the request took too long to arrive", {"Connection": "close"})):
            body: bytes = self._environ["wsgi.input"].read(size)
        if len(body) > max_size:
            raise self._too_large(max_size)
        return body

    def _too_large(self, max_size: int) -> HTTPError:
        return HTTPError(413, f"the request is larger than {max_size} bytes", {"Connection": "close"})

    def respond(self, response: Response) -> None:
        length = {} if response.status in WITHOUT_LENGTH else {"Content-Length": str(len(response.body))}
        self._write(response, length, b"" if self.method == "HEAD" else response.body)

    def start(self, response: Response) -> None:
        # The stock worker waits for idle connections when it should stop.
        self._write(response, {"Connection": "close"}, response.body)

    def finish(self) -> None:
        pass  # the server does that

    def upgrade(self, serve: ServeWebSocket) -> None:
        serve(*open_websocket(self._environ))

    def received(self) -> bytes:
        headers = dict(self.headers)
        if self._environ.get("CONTENT_LENGTH"):
            headers["content-length"] = self._environ["CONTENT_LENGTH"]
        return head_of(self.method, self._target(), self.version, headers) + self._read_ahead()

    def opening(self, proxies: TrustedProxies) -> Opening:
        environ = self._environ
        scheme = environ.get("wsgi.url_scheme", "http")
        address = proxies.address(environ.get("REMOTE_ADDR", ""), self.headers)
        return Opening(self.method, self._target(), self.headers, address, scheme)

    def _target(self) -> str:
        """Without SCRIPT_NAME, wherever the application is mounted in a larger one: it serves these paths itself."""
        path = quote(self._environ["PATH_INFO"], encoding="latin-1")
        return f"{path}?{self.query}" if self.query else path

    def _read_ahead(self) -> bytes:
        """What the server has read of the connection beyond the head; it stays where it is."""
        usual = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            rest: bytes = self._file().peek()
        except BlockingIOError:
            return b""
        finally:
            self.socket.settimeout(usual)
        return rest

    def let_go(self) -> None:
        self.is_given_away = True
        file = self._file()
        fd_passing.cut(self.socket)  # the server goes on reading: it must find the end, and nothing of what came
        while file.read(BODY_STEP):
            pass

    def _file(self) -> Any:
        """Where the server reads the connection."""
        body = self._environ["wsgi.input"]
        return getattr(body, "rfile", body)

    def _write(self, response: Response, manner: dict[str, str], body: bytes) -> None:
        headers = {**response.headers, **manner}
        self._start_response(response.status_line, list(headers.items()))(body)


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers
