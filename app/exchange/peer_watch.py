"""Detects that a client has closed its connection while its request waits, without a greenlet that reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent

from ..net.direct_socket import DirectSocket

READ = 1
"""The number of libev for the event that a socket is readable."""


class PeerWatch:
    """Watches one connection. Calls `on_data` in the event loop when the client has sent data or has disconnected.

    The data stays unread in the socket. `on_data` must not block.
    """

    __slots__ = ("is_disconnected", "_direct", "_on_data", "_socket", "_watcher")

    def __init__(self, socket: Any, direct: DirectSocket, on_data: Callable[[], None]) -> None:
        self.is_disconnected = False
        """Whether the client has closed the connection, or its sending direction."""
        self._direct = direct
        self._on_data = on_data
        self._socket = socket
        self._watcher: Any = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the connection inside the `with` block."""
        self._watcher = gevent.get_hub().loop.io(self._socket.fileno(), READ)
        self._watcher.start(self._on_readable)
        try:
            yield
        finally:
            self._watcher.stop()
            self._watcher.close()

    def check(self) -> bool:
        """Return whether the client has sent data or has disconnected; update `is_disconnected`."""
        try:
            data = self._direct.peek()
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.is_disconnected = self.is_disconnected or not data
        return True

    def _on_readable(self) -> None:
        if self.check():
            # The unread data, for example the next request, would make the socket readable again and again.
            self._watcher.stop()
            self._on_data()
