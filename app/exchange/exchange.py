"""One HTTP request and its response, independent of the server that has received it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, Protocol, TypeAlias

from ..http.client_address import TrustedProxies
from ..http.opening_request import Opening
from ..http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from ..http.response import HTTPResponse, chunk
from ..net.direct_socket import DirectSocket
from ..net.direct_tls import direct as direct_of
from ..net.socket_queues import unacknowledged_bytes
from ..websocket.compression import Compression, Deflate

ServeWebSocket: TypeAlias = Callable[[Any, Callable[[int], bytes]], None]
"""Serves an open WebSocket until its end; called with its socket and recv."""

ServeStream: TypeAlias = ServeWebSocket
"""Writes the rest of a response whose head has been sent; called with its socket and recv."""


class ServeRawWebSocket(Protocol):
    """Serves an open WebSocket without SockJS, which may be compressed."""

    def __call__(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None: ...


class NegotiatedWebSocket:
    """A raw WebSocket that `serve_raw` will serve as its handshake has negotiated.

    A functools.partial would do the same. But it lives as long as the connection and takes 300 bytes more, and its
    call takes 0.5 KB of the C stack, of which a greenlet that waits has a copy.
    """

    __slots__ = ("deflate", "_opening", "_requested", "_serve_raw")

    def __init__(
        self, serve_raw: ServeRawWebSocket, opening: Opening | None, requested: RequestedProtocol = DEFAULT_PROTOCOL
    ) -> None:
        self.deflate: Deflate | None = None
        """The compression that the exchange has agreed on with the client; None for no compression."""
        self._serve_raw = serve_raw
        self._opening = opening
        self._requested = requested

    @property
    def subprotocol(self) -> str:
        """The subprotocol for the response to the handshake; empty for none."""
        return self._requested.subprotocol

    @property
    def extensions(self) -> str:
        """The extensions for the response to the handshake; empty for none."""
        return "" if self.deflate is None else self.deflate.answer

    def negotiated_alike(self, opening: Opening | None) -> NegotiatedWebSocket:
        """Return the WebSocket for the same handshake of another client, with the Opening of that client."""
        other = NegotiatedWebSocket(self._serve_raw, opening, self._requested)
        other.deflate = self.deflate
        return other

    def serve(self, socket: Any, recv: Callable[[int], bytes], request: str = "") -> None:
        """Serve the open WebSocket until its end. `request` is the ID of the handshake in the log."""
        self._serve_raw(socket, recv, self.deflate, self._opening, request, self._requested)


class Exchange(ABC):
    """A request, and the ways to answer it: `respond`, or `start`, chunks and `finish`, or `upgrade`.

    `path` is the decoded part of the path below the endpoint. Header names are in lower case. `socket` is a socket of
    gevent. After `start`, chunks are written to `direct`, which is the same socket without gevent.
    """

    def __init__(
        self,
        method: str,
        path: str,
        version: str,
        headers: Mapping[str, str],
        socket: Any,
        direct: DirectSocket | None = None,
        was_passed: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.version = version
        self.headers = headers
        self.socket = socket
        self.direct = direct or direct_of(socket)
        self.was_passed = was_passed
        """Whether another process has passed the connection to this one, which must serve the request itself."""
        self.is_passed_on = False
        """Whether the connection was passed to another process, which serves the request."""

    @property
    @abstractmethod
    def query(self) -> str:
        """The query of the target, percent-encoded and without the question mark."""

    @abstractmethod
    def read_body(self, max_size: int, timeout: float) -> bytes:
        """Return the body. Raises HTTPError if it is larger than `max_size` bytes, or too slow.

        It may take `timeout` seconds, and more if data arrives steadily (net/read_allowance.py).
        """

    @abstractmethod
    def respond(self, response: HTTPResponse) -> None:
        """Send a complete response. Raises OSError if the client has disconnected."""

    @abstractmethod
    def start(self, response: HTTPResponse) -> None:
        """Begin a stream with the status, headers and, as its first chunk, body of `response`. Raises OSError."""

    @abstractmethod
    def finish(self) -> None:
        """End the stream. Raises OSError."""

    @abstractmethod
    def open_stream(self, response: HTTPResponse, serve: ServeStream) -> None:
        """Begin a stream like `start`, and call `serve` to write the rest. The connection is closed after the stream.

        `serve` writes `stream_end` at the end. Raises OSError.
        """

    @property
    @abstractmethod
    def stream_end(self) -> bytes:
        """The last bytes of a stream, which `serve` must write; empty if the server writes them."""

    @abstractmethod
    def upgrade(self, serve: ServeWebSocket) -> None:
        """Open a WebSocket and call `serve` with it. Raises HTTPError if the request is not a WebSocket handshake."""

    def upgrade_raw(self, websocket: NegotiatedWebSocket, compression: Compression | None) -> None:
        """Open a WebSocket without SockJS, compressed if the client, `compression` and the server allow it.

        The response contains the subprotocol of `websocket`, if the server supports subprotocols.
        """
        self.upgrade(websocket.serve)

    @abstractmethod
    def received(self) -> bytes:
        """Return the bytes of the request for another process: its head, and the data that has arrived after it.

        Call it before the body is read.
        """

    @abstractmethod
    def release(self) -> None:
        """Stop using the connection, because it was passed to another process."""

    @abstractmethod
    def opening(self, proxies: TrustedProxies, is_whole: bool) -> Opening:
        """Return the request in the form that hooks receive; trusted `proxies` determine the client's address.

        If not `is_whole`, it has no headers and no query, so that it takes little memory.
        """

    @property
    def is_chunked(self) -> bool:
        """Whether a stream is sent in chunks; if not, the end of the connection ends it."""
        return self.version != "HTTP/1.0"

    def chunk(self, data: bytes) -> bytes:
        """Encode a part of a stream for the socket, as a chunk if the stream is sent in chunks."""
        return chunk(data) if self.is_chunked else data

    def unacknowledged_bytes(self) -> int:
        """Return the number of written bytes that the client's machine has not acknowledged."""
        return unacknowledged_bytes(self.socket)

    def abort(self) -> None:
        """Shut the connection down, so that further writes to it fail."""
        with suppress(OSError):
            self.socket.shutdown(SHUT_RDWR)
