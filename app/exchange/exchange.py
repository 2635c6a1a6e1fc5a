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
from ..net.socket_queues import unacknowledged
from ..websocket.compression import Compression, Deflate

ServeWebSocket: TypeAlias = Callable[[Any, Callable[[int], bytes]], None]
"""Serves an open WebSocket, given its socket and recv, until it has ended."""

ServeStream: TypeAlias = ServeWebSocket
"""Writes the rest of a response whose head has been sent, given its socket and recv, until it has ended."""


class ServeRawWebSocket(Protocol):
    """Serves an open raw WebSocket, which may be compressed."""

    def __call__(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        *,
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None: ...


class Exchange(ABC):
    """A request, and the ways to answer it: `respond`, or `start` and `finish` with chunks between, or `upgrade`.

    `path` is what stands below the endpoint, decoded; header names are in lower case. `socket` is gevent's; once
    a stream has started, chunks are written to `direct`, which is the same without gevent, as they are.
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
        """The body. Raises HTTPError for one that is larger than `max_size` bytes, and for one that is too slow.

        It may take `timeout` seconds, and more for what arrives (net/read_allowance.py).
        """

    @abstractmethod
    def respond(self, response: HTTPResponse) -> None:
        """Send this response. Raises OSError if the client has disconnected."""

    @abstractmethod
    def start(self, response: HTTPResponse) -> None:
        """Begin a stream with the status, headers and, as its first chunk, body of `response`. Raises OSError."""

    @abstractmethod
    def finish(self) -> None:
        """End the stream. Raises OSError."""

    @abstractmethod
    def open_stream(self, response: HTTPResponse, serve: ServeStream) -> None:
        """Begin a stream as `start` does, and let `serve` write the rest of it. The connection ends with the stream.

        What `serve` writes at the end is `stream_end`. Raises OSError.
        """

    @property
    @abstractmethod
    def stream_end(self) -> bytes:
        """The last bytes of a stream that `serve` has to write; empty where the server writes them."""

    @abstractmethod
    def upgrade(self, serve: ServeWebSocket) -> None:
        """Open a WebSocket, which `serve` serves. Raises HTTPError for a request that does not ask for one."""

    def upgrade_raw(self, serve: ServeRawWebSocket, compression: Compression | None, subprotocol: str = "") -> None:
        """Open a raw WebSocket, compressed if the client requests it, `compression` is on and the server supports it.

        `subprotocol` is named in the response, if the server supports that.
        """
        self.upgrade(serve)

    @abstractmethod
    def received(self) -> bytes:
        """The request, for another process: its head, and the data that has arrived after it.

        Call it before the body is read.
        """

    @abstractmethod
    def release(self) -> None:
        """Stop using the connection, because it was passed to another process."""

    @abstractmethod
    def opening(self, proxies: TrustedProxies) -> Opening:
        """The request as hooks see it; `proxies` may name the client's address."""

    @property
    def is_chunked(self) -> bool:
        """Whether a stream is cut into chunks; the end of the connection ends it otherwise."""
        return self.version != "HTTP/1.0"

    def chunk(self, data: bytes) -> bytes:
        """A part of a stream as it goes to the socket."""
        return chunk(data) if self.is_chunked else data

    def unacknowledged(self) -> int:
        """Return the number of written bytes that the client's machine has not acknowledged."""
        return unacknowledged(self.socket)

    def abort(self) -> None:
        """End the connection; further writes to it fail."""
        with suppress(OSError):
            self.socket.shutdown(SHUT_RDWR)
