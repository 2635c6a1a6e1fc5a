"""One HTTP request and its answer, however the server that took it works."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any, Protocol, TypeAlias

from ..http.client_address import TrustedProxies
from ..http.opening_request import Opening
from ..net.direct_socket import DirectSocket
from ..net.direct_tls import direct as direct_of
from ..net.socket_queues import unacknowledged
from ..websocket.compression import Compression, Deflate
from .response import Response

ServeWebSocket: TypeAlias = Callable[[Any, Callable[[int], bytes]], None]
"""Serves an open WebSocket, given its socket and recv, until it has ended."""


class ServeRawWebSocket(Protocol):
    """Serves one that may be compressed."""

    def __call__(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
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
        query: str,
        version: str,
        headers: Mapping[str, str],
        socket: Any,
        direct: DirectSocket | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.version = version
        self.headers = headers
        self.socket = socket
        self.direct = direct or direct_of(socket)
        self.is_given = False
        """Whether another process gave it to this one, to be served here and nowhere else."""
        self.is_given_away = False
        """Whether another process serves it."""

    @abstractmethod
    def read_body(self, max_size: int, timeout: float) -> bytes:
        """The body. Raises HTTPError for one that is larger, or too slow for `timeout`, the option."""

    @abstractmethod
    def respond(self, response: Response) -> None:
        """Answer with this. Raises OSError when the client has gone."""

    @abstractmethod
    def start(self, response: Response) -> None:
        """Begin a stream with the status, headers and, as its first chunk, body of `response`. Raises OSError."""

    @abstractmethod
    def finish(self) -> None:
        """End the stream. Raises OSError."""

    @abstractmethod
    def upgrade(self, serve: ServeWebSocket) -> None:
        """Answer with a WebSocket, for `serve`. Raises HTTPError for a request that does not ask for one."""

    def upgrade_raw(self, serve: ServeRawWebSocket, compression: Compression | None) -> None:
        """The same, compressed if both want it and the server can do that."""
        self.upgrade(serve)

    @abstractmethod
    def received(self) -> bytes:
        """The request, for another process: its head, and what has come after that. Before the body is read."""

    @abstractmethod
    def let_go(self) -> None:
        """The connection was given to another process: nothing more is read or written here."""

    @abstractmethod
    def opening(self, proxies: TrustedProxies) -> Opening:
        """The request, to be remembered, with its client's address, of which these proxies may tell."""

    @property
    def is_chunked(self) -> bool:
        """Whether a stream is cut into chunks; the end of the connection ends it otherwise."""
        return self.version != "HTTP/1.0"

    def chunk(self, data: bytes) -> bytes:
        """A part of a stream as it goes to the socket."""
        return b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data

    def unacknowledged(self) -> int:
        """How many bytes that were written the client's machine has not confirmed."""
        return unacknowledged(self.socket)

    def abort(self) -> None:
        """End the connection; whoever writes to it fails."""
        with suppress(OSError):
            self.socket.shutdown(SHUT_RDWR)


def address_of(socket: Any) -> str:
    """Who is at the other end; empty for a local socket, or when it has gone."""
    with suppress(OSError):
        peer = socket.getpeername()
        return str(peer[0]) if isinstance(peer, tuple) else ""
    return ""


def head_of(method: str, target: str, version: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request as it comes over the network, to its end."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
