"""Requests that come straight off a socket, with the head parsed and nothing of WSGI."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

from gevent.ssl import SSLSocket

from ..http.chunked import ChunkedBody
from ..http.client_address import TrustedProxies
from ..http.head import Head, HTTPError, http_date, origin_form
from ..http.opening_request import Opening
from ..http.reader import RequestReader
from ..net.direct_socket import DirectSocket
from ..websocket import handshake
from ..websocket.compression import HEADER, Compression, agree
from . import fd_passing
from .exchange import Exchange, ServeRawWebSocket, ServeWebSocket, address_of, head_of
from .response import WITHOUT_LENGTH, Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class DirectExchange(Exchange):
    """After it was served, `may_follow` says whether the connection can take another request."""

    def __init__(self, socket: Any, direct: DirectSocket, reader: RequestReader, head: Head, path: str) -> None:
        query = origin_form(head.target).partition("?")[2]
        super().__init__(head.method, path, query, head.version, head.headers, socket, direct)
        self.may_follow = False
        self.status = 0
        self.size = 0
        """Bytes of the response's body."""
        self.opened: ServeWebSocket | None = None
        """Who serves the WebSocket that the request has opened."""
        self.has_unread_body = head.content_length not in (None, 0) or "transfer-encoding" in head.headers
        self._direct = direct
        self._head = head
        self._reader = reader

    def read_body(self, max_size: int, timeout: float) -> bytes:
        # The reader has the same limit by itself, as for everything that it reads.
        if not self.has_unread_body:
            return b""
        size = self._head.content_length
        if size is not None and size > max_size:
            raise _too_large(max_size)
        if self._head.waits_for_continue:
            self._direct.sendall(CONTINUE)
        body: bytes
        if size is not None:
            body = self._reader.read_body(size)
        else:
            body = ChunkedBody(self._reader).read(max_size + 1)
            if len(body) > max_size:
                raise _too_large(max_size)
        self.has_unread_body = False
        return body

    def respond(self, response: Response) -> None:
        may_follow = self._head.keep_alive and not self.has_unread_body and "Connection" not in response.headers
        length = {} if response.status in WITHOUT_LENGTH else {"Content-Length": str(len(response.body))}
        kept = self._head.connection_headers if may_follow else {"Connection": "close"}
        self._send(response, {**length, **kept}, b"" if self.method == "HEAD" else response.body)
        self.may_follow = may_follow

    def start(self, response: Response) -> None:
        manner = {"Transfer-Encoding": "chunked"} if self.is_chunked else {"Connection": "close"}
        self._send(response, manner, self.chunk(response.body))

    def finish(self) -> None:
        if self.is_chunked:
            self._direct.sendall(b"0\r\n\r\n")
            self.may_follow = self._head.keep_alive

    def upgrade(self, serve: ServeWebSocket) -> None:
        self._open(serve, "")

    def upgrade_raw(self, serve: ServeRawWebSocket, compression: Compression | None) -> None:
        deflate = agree(compression, self.headers.get(HEADER, ""))
        if deflate is None:
            self.upgrade(serve)
        else:
            self._open(partial(serve, deflate=deflate), deflate.answer)

    def _open(self, serve: ServeWebSocket, extensions: str) -> None:
        accepted = handshake.accept(self.method, self.version, self.headers, extensions)
        self.status = 101
        self._direct.sendall(accepted)
        self.opened = serve

    def received(self) -> bytes:
        return head_of(self.method, self._head.target, self.version, self.headers) + self._reader.peek()

    def opening(self, proxies: TrustedProxies) -> Opening:
        scheme = "https" if isinstance(self.socket, SSLSocket) else "http"
        address = proxies.address(address_of(self.socket), self.headers)
        return Opening(self.method, origin_form(self._head.target), self.headers, address, scheme)

    def let_go(self) -> None:
        self.is_given_away = True
        fd_passing.let_go(self.socket)

    def _send(self, response: Response, manner: Mapping[str, str], data: bytes) -> None:
        self.status, self.size = response.status, len(data)
        headers = {**response.headers, "Date": http_date(int(time.time())), **manner}
        lines = [f"HTTP/1.1 {response.status_line}", *(f"{name}: {value}" for name, value in headers.items())]
        self._direct.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)


def decoded_path(path: str) -> str:
    """A path as WSGI has it in PATH_INFO: decoded, each byte a character."""
    return unquote_to_bytes(path).decode("latin-1")


def _too_large(max_size: int) -> HTTPError:
    return HTTPError(413, f"the request is larger than {max_size} bytes")
