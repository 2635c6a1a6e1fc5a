"""Requests that come through WSGI, from gevent's pywsgi or a server built on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from ssl import SSLWantReadError
from typing import Any, Protocol
from urllib.parse import quote

from ..http.body import too_large_error, too_slow_error
from ..http.client_address import TrustedProxies
from ..http.head import HTTPError
from ..http.opening_request import NO_HEADERS, Opening
from ..http.outer_address import client_of, forwarded_address, peer_of
from ..http.response import CLOSE_CONNECTION, TEXT_TYPE, HTTPResponse, encode_head, length_header, status_line
from ..http.stripped_handshake import explain_refusal
from ..http.upgrade import open_websocket, socket_of
from ..http.wsgi_body import TimedBody
from . import fd_passing
from .exchange import Exchange, ServeStream, ServeWebSocket

log = logging.getLogger(__name__)

DISCARD_SIZE = 65536
"""Bytes that are read and discarded at a time."""

StartResponse = Callable[..., Callable[[bytes], object]]


class Endpoint(Protocol):
    """An object that serves requests, such as the SockJS endpoint."""

    def serve(self, exchange: Exchange) -> None:
        """Answer one request. Raises OSError or EOFError if the client has closed the connection."""
        ...


def serve_wsgi(endpoint: Endpoint, path: str, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """Serve a WSGI request of one endpoint; `path` is the part below the endpoint, each byte a character."""
    try:
        endpoint.serve(WSGIExchange(path, environ, start_response))
    except HTTPError as error:
        body = f"{error.reason}\n".encode()
        headers = [("Content-Type", TEXT_TYPE), ("Content-Length", str(len(body)))]
        start_response(f"{error.status} Refused", headers)
        return [body]
    except (OSError, EOFError) as error:
        log.debug("connection closed by the client: %s", str(error) or type(error).__name__)
    return []


class WSGIExchange(Exchange):
    """A request from a WSGI server. Raises HTTPError if the server does not provide its socket."""

    def __init__(self, path: str, environ: dict[str, Any], start_response: StartResponse) -> None:
        super().__init__(
            environ["REQUEST_METHOD"],
            path,
            environ["SERVER_PROTOCOL"],
            _headers_of(environ),
            socket_of(environ),
        )
        self._environ = environ
        self._start_response = start_response

    @property
    def query(self) -> str:
        """The query of the target, percent-encoded and without the question mark."""
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    def read_body(self, max_size: int, timeout: float) -> bytes:
        """Read the body. Raises HTTPError if it is larger than `max_size` bytes, or too slow."""
        length = self._environ.get("CONTENT_LENGTH") or ""
        size = int(length) if length.isdecimal() else max_size + 1  # a chunked body: read it to its end
        if length and size > max_size:
            raise too_large_error(max_size, CLOSE_CONNECTION)
        if not length and "transfer-encoding" not in self.headers:
            return b""
        try:
            body = TimedBody(self._environ["wsgi.input"], timeout).read(size)
        except TimeoutError:
            raise too_slow_error(CLOSE_CONNECTION) from None
        if len(body) > max_size:
            raise too_large_error(max_size, CLOSE_CONNECTION)
        return body

    def respond(self, response: HTTPResponse) -> None:
        """Send a complete response. Raises OSError if the client has disconnected."""
        self._write(response, length_header(response), b"" if self.method == "HEAD" else response.body)

    def start(self, response: HTTPResponse) -> None:
        """Begin a stream with the status, headers and first chunk in `response`. Raises OSError."""
        # gunicorn's own worker would wait for idle connections when it stops.
        self._write(response, CLOSE_CONNECTION, response.body)

    def finish(self) -> None:
        """Do nothing, because the server ends the stream."""

    def open_stream(self, response: HTTPResponse, serve: ServeStream) -> None:
        """Begin a stream, and call `serve` to write the rest. Raises OSError."""
        self.start(response)
        serve(self.socket, self.direct.recv)

    @property
    def stream_end(self) -> bytes:
        """The last bytes of a stream, which `serve` must write; empty if the server writes them."""
        return b""

    def upgrade(self, serve: ServeWebSocket) -> None:
        """Open a WebSocket and call `serve` with it. Raises HTTPError if the request is not a WebSocket handshake."""
        try:
            opened = open_websocket(self._environ)
        except HTTPError as error:
            raise explain_refusal(error, self.headers) from None
        serve(*opened)

    def received(self) -> bytes:
        """Return the head of the request and the data received after it, for another process."""
        headers = dict(self.headers)
        if self._environ.get("CONTENT_LENGTH"):
            headers["content-length"] = self._environ["CONTENT_LENGTH"]
        return encode_head(f"{self.method} {self._target()} {self.version}", headers) + self._read_ahead()

    def opening(self, proxies: TrustedProxies, is_whole: bool) -> Opening:
        """Return the request in the form that hooks receive; trusted `proxies` determine the address of the client."""
        environ = self._environ
        forwarded = forwarded_address(peer_of(environ), self.headers, proxies)
        scheme = forwarded.scheme or environ.get("wsgi.url_scheme", "http")
        address = client_of(environ, self.headers, proxies)
        if is_whole:
            return Opening(self.method, self._target(), self.headers, address, scheme)
        return Opening(self.method, self._quoted_path(), NO_HEADERS, address, scheme)

    def _target(self) -> str:
        """Return the target without SCRIPT_NAME, because the receiving process serves paths below the mount point."""
        path = self._quoted_path()
        return f"{path}?{self.query}" if self.query else path

    def _quoted_path(self) -> str:
        return quote(self._environ["PATH_INFO"], encoding="latin-1")

    def _read_ahead(self) -> bytes:
        """Return the data that the server has read beyond the head, without consuming it."""
        usual = self.socket.gettimeout()
        self.socket.settimeout(0)
        try:
            rest: bytes = self._file().peek()
        except SSLWantReadError:
            return b""
        finally:
            self.socket.settimeout(usual)
        return rest

    def release(self) -> None:
        """Stop using the connection, because it was passed to another process."""
        self.is_passed_on = True
        file = self._file()
        # The server continues to read: it must read the end of the stream, and no data of the client.
        fd_passing.replace_with_ended(self.socket)
        while file.read(DISCARD_SIZE):
            pass

    def _file(self) -> Any:
        """Return the file object from which the server reads the connection."""
        body = self._environ["wsgi.input"]
        return getattr(body, "rfile", body)

    def _write(self, response: HTTPResponse, more: Mapping[str, str], body: bytes) -> None:
        headers = {**response.headers, **more}
        self._start_response(status_line(response), list(headers.items()))(body)


def _headers_of(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name.removeprefix("HTTP_").lower().replace("_", "-"): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    return headers
