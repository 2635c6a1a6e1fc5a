"""A request that was read directly from the socket, without WSGI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from gevent.ssl import SSLSocket

from ..http.body import read_body
from ..http.client_address import TrustedProxies
from ..http.head import Head, HTTPError
from ..http.opening_request import Opening, opening_of
from ..http.reader import RequestReader
from ..http.response import (
    CLOSE_CONNECTION,
    LAST_CHUNK,
    HTTPResponse,
    current_date,
    encode_head,
    encode_response_head,
    length_header,
)
from ..http.stripped_handshake import explain_refusal
from ..net.direct_socket import DirectSocket
from ..websocket import handshake
from ..websocket.compression import EXTENSIONS_HEADER, Compression, agree
from . import fd_passing
from .exchange import Exchange, NegotiatedWebSocket, ServeStream, ServeWebSocket


class DirectExchange(Exchange):
    """A request from the socket. `may_follow` says afterwards whether another request may follow on the connection.

    `peer` is the address of the other end of the socket; empty for a Unix socket.
    """

    def __init__(
        self,
        socket: Any,
        direct: DirectSocket,
        reader: RequestReader,
        head: Head,
        path: str,
        peer: str,
        was_passed: bool = False,
    ) -> None:
        super().__init__(head.method, path, head.version, head.headers, socket, direct, was_passed)
        self.may_follow = False
        self.status = 0
        self.size = 0
        """The size in bytes of the response's body."""
        self.opened: Callable[..., None] | None = None
        """The function that serves the WebSocket or stream which the request has opened, with its socket and recv."""
        self._is_body_read = False
        self._direct = direct
        self._head = head
        self._peer = peer
        self._reader = reader

    @property
    def query(self) -> str:
        """The query of the target, percent-encoded and without the question mark."""
        return self._head.query

    @property
    def _has_unread_body(self) -> bool:
        return not self._is_body_read and self._head.has_body

    def read_body(self, max_size: int, timeout: float) -> bytes:
        """Read the body. Raises HTTPError if it is larger than `max_size` bytes, or too slow."""
        # `timeout` is not used, because the reader applies the same timeout to everything that it reads.
        if not self._has_unread_body:
            return b""
        body = read_body(self._head, self._reader, self._direct.sendall, max_size)
        self._is_body_read = True
        return body

    def respond(self, response: HTTPResponse) -> None:
        """Send a complete response. Raises OSError if the client has disconnected."""
        may_follow = self._head.keep_alive and not self._has_unread_body and "Connection" not in response.headers
        connection = self._head.connection_headers if may_follow else CLOSE_CONNECTION
        self._send(response, {**length_header(response), **connection}, b"" if self.method == "HEAD" else response.body)
        self.may_follow = may_follow

    def start(self, response: HTTPResponse) -> None:
        """Begin a stream with the status, headers and first chunk in `response`. Raises OSError."""
        framing = {"Transfer-Encoding": "chunked"} if self.is_chunked else CLOSE_CONNECTION
        # A chunk without data would end the stream.
        self._send(response, framing, self.chunk(response.body) if response.body else b"")

    def finish(self) -> None:
        """End the stream. Raises OSError."""
        if self.is_chunked:
            self._direct.sendall(LAST_CHUNK)
            self.may_follow = self._head.keep_alive

    def open_stream(self, response: HTTPResponse, serve: ServeStream) -> None:
        """Begin a stream, and call `serve` to write the rest. Raises OSError."""
        self.start(response._replace(headers={**response.headers, **CLOSE_CONNECTION}))
        self.opened = serve

    @property
    def stream_end(self) -> bytes:
        """The last bytes of a stream, which `serve` must write; empty if the server writes them."""
        return LAST_CHUNK if self.is_chunked else b""

    def upgrade(self, serve: ServeWebSocket) -> None:
        """Open a WebSocket and call `serve` with it. Raises HTTPError if the request is not a WebSocket handshake."""
        self._open(serve)

    def upgrade_raw(self, websocket: NegotiatedWebSocket, compression: Compression | None) -> None:
        """Open a WebSocket without SockJS, compressed if the client and `compression` allow it. Raises HTTPError."""
        websocket.deflate = agree(compression, self.headers.get(EXTENSIONS_HEADER, ""))
        self._open(websocket.serve, websocket.extensions, websocket.subprotocol)

    def _open(self, serve: Callable[..., None], extensions: str = "", subprotocol: str = "") -> None:
        try:
            accepted = handshake.accept(self.method, self.version, self.headers, extensions, subprotocol)
        except HTTPError as error:
            raise explain_refusal(error, self.headers) from None
        self.status = 101
        self._direct.sendall(accepted)
        self.opened = serve

    def received(self) -> bytes:
        """Return the head of the request and the data received after it, for another process."""
        return encode_head(f"{self.method} {self._head.target} {self.version}", self.headers) + self._reader.peek()

    def opening(self, proxies: TrustedProxies, is_whole: bool) -> Opening:
        """Return the request in the form that hooks receive; trusted `proxies` determine the address of the client."""
        scheme = "https" if isinstance(self.socket, SSLSocket) else "http"
        return opening_of(self._head, self._peer, scheme, proxies, is_whole)

    def release(self) -> None:
        """Stop using the connection, because it was passed to another process."""
        self.is_passed_on = True
        fd_passing.stop_watching(self.socket)

    def _send(self, response: HTTPResponse, more: Mapping[str, str], data: bytes) -> None:
        self.status, self.size = response.status, len(data)
        headers = {**response.headers, "Date": current_date(), **more}
        self._direct.sendall(encode_response_head(response.status, headers) + data)


def decoded_path(path: str) -> str:
    """Decode a path to the form of PATH_INFO in WSGI: each byte is a character."""
    return unquote_to_bytes(path).decode("latin-1")
