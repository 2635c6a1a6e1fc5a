"""A connection whose last request has opened a WebSocket or a stream."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..net.direct_socket import DirectSocket
from ..node.metrics import Metrics

log = logging.getLogger(__name__)


class OpenedConnection:
    """A connection without the state of HTTP requests, which would take memory for as long as the connection lives.

    `serve_opened` is called once, with `socket` and `recv`, which first returns data that was already read. `peer` is
    the address of the peer for the log. `metrics` are those of the service, if there is one.
    """

    __slots__ = ("_direct", "_metrics", "_peer", "_recv", "_serve_opened", "_socket")

    def __init__(
        self,
        serve_opened: Callable[[Any, Callable[[int], bytes]], None],
        socket: Any,
        recv: Callable[[int], bytes],
        direct: DirectSocket,
        peer: str,
        metrics: Metrics | None,
    ) -> None:
        self._serve_opened = serve_opened
        self._socket = socket
        self._recv = recv
        self._direct = direct
        self._peer = peer
        self._metrics = metrics

    def serve(self) -> None:
        """Serve until the connection ends, and close it. Never raises an exception."""
        if self._metrics is not None:
            self._metrics.greenlets += 1
        try:
            self._serve_opened(self._socket, self._recv)
        except Exception as error:
            log_end(self._peer, error)
        finally:
            if self._metrics is not None:
                self._metrics.greenlets -= 1
            close(self._direct, self._socket)


def log_end(peer: str, error: Exception) -> None:
    """Log the exception that has ended the connection of `peer`, at level ERROR if it is not one of the connection."""
    if isinstance(error, (OSError, EOFError)):
        log.debug("connection from %s ended: %s", peer, str(error) or type(error).__name__)
    else:
        log.error("internal error, closing connection from %s", peer, exc_info=error)


def close(direct: DirectSocket, socket: Any) -> None:
    """Close a connection, after the message that no more data follows if its protocol has one."""
    direct.send_close_notify()
    socket.close()


def recv_after(first: bytes, recv: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Return a recv function that returns the bytes in `first` before it reads from the socket."""
    waiting = [first]

    def receive(size: int) -> bytes:
        if waiting:
            return waiting.pop()
        return recv(size)

    return receive
