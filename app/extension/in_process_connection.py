"""The part of a client for tests that both versions of the protocol share: a connection without a socket."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

from flask.testing import EnvironBuilder, FlaskClient
from werkzeug.test import Client

from ..config.endpoints import WEBSOCKET_PATH
from ..http.head import HTTPError
from ..http.opening_request import Opening
from ..net.flusher import Flusher
from ..net.outbox import Queue
from .in_process import InProcessServer

RECEIVE_TIMEOUT = 1.0
"""Seconds that `receive` waits by default."""

DISCONNECTED = "the client has disconnected"
"""The error for a command of a client that has disconnected itself."""

PushT = TypeVar("PushT")


class ConnectionClosed(Exception):
    """The server has closed the connection, or has not accepted it.

    `reason` is the text of the protocol, such as `disconnect`. `reconnect` is true if client libraries reconnect.
    `code` is the close code of protocol v2, and 0 in v1, where only the reason matters.
    """

    def __init__(self, reason: str, reconnect: bool = False, code: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reconnect = reconnect
        self.code = code


def _empty_response(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    start_response("204 No Content", [])
    return []


def _message_of_frame(message: bytes) -> bytes:
    return message


class FrameInbox(Queue):
    """Stores the frames for one client separately."""

    __slots__ = ("received",)

    def __init__(self, flusher: Flusher, limit: int) -> None:
        super().__init__(flusher, limit, lambda: None)
        self.received: deque[bytes] = deque()

    def write(self, data: bytes) -> None:
        """Move the waiting frames to `received`, and count them as sent."""
        self.received += self.frames
        self.counts.frames_sent += len(self.frames)
        self.counts.bytes_sent += self.size
        self.drop_waiting()

    def drop_waiting(self) -> None:
        """Discard the frames that wait."""
        self.frames, self.size = [], 0

    def fail(self, reason: str) -> None:
        """Discard the frames that wait, because writing has failed."""
        self.drop_waiting()


class InProcessTransport:
    """A transport that stores frames instead of sending them."""

    frame = staticmethod(_message_of_frame)
    binary_frame = None
    name = "websocket"
    """Hooks and backends see what they would see of the WebSocket that this transport replaces."""

    def stop_pings(self) -> None:
        """Do nothing, because this transport has no pings."""

    def __init__(self, server: InProcessServer) -> None:
        node = server.service.node
        self.outbox = FrameInbox(node.flusher, node.config.client_queue_max_size)
        self.closed: tuple[int, str] | None = None
        """Code and reason of the close frame."""

    def close(self, code: int, reason: str) -> None:
        """Move the waiting frames to the inbox, and record the close code and the reason."""
        self.outbox.write(b"")
        self.closed = code, reason


class ProtocolClient(Protocol):
    """The server's object for a client, of either version of the protocol."""

    closed: bool

    def handle(self, frame: bytes, /) -> None:
        """Carry out the commands of one frame."""

    def close(self) -> None:
        """Close the connection, in the same way as if the peer had closed it."""


class SimulatedPage(NamedTuple):
    """The web page that a client for tests stands for: hooks receive the cookies of `http`, and the `headers`."""

    server: InProcessServer
    http: FlaskClient
    headers: Mapping[str, str]


class InProcessConnection(ABC, Generic[PushT]):
    """A connection to the server of an application under test. Each version of the protocol has a subclass."""

    def __init__(self, page: SimulatedPage) -> None:
        self.id = ""
        """The client ID of the connection; empty before `connect`."""
        self._server, self._http, self._headers = page
        self._client: ProtocolClient | None = None
        self._transport = InProcessTransport(self._server)
        self._pushes: deque[PushT] = deque()

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.disconnect()

    @abstractmethod
    def connect(self) -> Self:
        """Connect, and return the client. A second call after the end of a connection opens another one."""

    @property
    def is_connected(self) -> bool:
        """Whether the connection is open."""
        return self._client is not None and not self._client.closed

    @property
    @abstractmethod
    def closed(self) -> ConnectionClosed | None:
        """Why the server has closed the connection; None if it has not."""

    def disconnect(self) -> None:
        """Disconnect, like a browser that closes the page. A second call does nothing."""
        if self._client is not None:
            with self._server.running():
                self._client.close()

    # -- what the server sends by itself

    def receive(self, timeout: float = RECEIVE_TIMEOUT) -> PushT:
        """Return the next push. Raises TimeoutError if none arrives within `timeout` seconds."""
        self._server.wait_for(lambda: self._has_push() or not self.is_connected, timeout)
        if self._pushes:
            return self._pushes.popleft()
        if not self.is_connected:
            raise self.closed or ConnectionClosed(DISCONNECTED)
        raise TimeoutError(f"the server has sent nothing within {timeout:g} s")

    def receive_all(self) -> list[PushT]:
        """Return all pushes that have arrived and have not been returned yet. Does not wait."""
        with self._server.running():
            pass
        self._sort()
        pushes = list(self._pushes)
        self._pushes.clear()
        return pushes

    def wait_closed(self, timeout: float = RECEIVE_TIMEOUT) -> ConnectionClosed:
        """Wait until the server closes the connection, and return the reason.

        Raises TimeoutError if that does not happen within `timeout` seconds.
        """
        if not self._server.wait_for(lambda: self.closed, timeout):
            raise TimeoutError(f"the server has not closed the connection within {timeout:g} s")
        assert self.closed is not None
        return self.closed

    # -- for the subclasses

    @abstractmethod
    def _sort(self) -> None:
        """Separate the received frames into pushes and replies."""

    def _has_push(self) -> bool:
        self._sort()
        return bool(self._pushes)

    def _open(self, create: Callable[[InProcessTransport, Opening], ProtocolClient]) -> None:
        """Open a connection. Raises ConnectionClosed if the origin of the page is not allowed."""
        if self.is_connected:
            raise RuntimeError("the client is already connected")
        with self._server.running():
            opening = self._opening()
            try:
                self._server.service.origins.check(opening.headers.get("origin"), opening.headers.get("host", ""))
            except HTTPError as error:
                raise ConnectionClosed(error.reason) from None
            self._transport = InProcessTransport(self._server)
            self._pushes.clear()
            self._client = create(self._transport, opening)

    def _send(self, message: bytes) -> None:
        """Let the server carry out one message, and store its answers."""
        client = self._client
        if client is None:
            raise RuntimeError("the client is not connected: call connect()")
        with self._server.running():
            client.handle(message)
        self._sort()

    def _opening(self) -> Opening:
        """Return the handshake of a WebSocket, with the cookies and headers that the HTTP client sends."""
        path = self._server.service.config.http_prefix + WEBSOCKET_PATH
        # Flask's test client adds its cookies only to a request. This request must not reach the application, because
        # handshakes do not reach it in a real server either.
        client = copy(self._http)
        client.application = _empty_response  # type: ignore[assignment]
        environ = EnvironBuilder(
            self._http.application, path, headers=self._headers, environ_base=self._http.environ_base
        )
        request = Client.open(client, environ).request
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Opening("GET", path, headers, request.remote_addr or "", request.scheme)
