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
    """Watches one connection. Data of the client stays unread in the socket."""

    __slots__ = ("is_disconnected", "_direct", "_socket", "_watcher")

    def __init__(self, socket: Any, direct: DirectSocket) -> None:
        self.is_disconnected = False
        """Whether the client has closed the connection, or its sending direction."""
        self._direct = direct
        self._socket = socket
        self._watcher: Any = None

    @contextmanager
    def watching(self, on_data: Callable[[], None]) -> Iterator[None]:
        """Watch the connection inside the `with` block.

        `on_data` is called in the event loop when the client has sent data or has disconnected. It must not block.
        """
        self._watcher = gevent.get_hub().loop.io(self._socket.fileno(), READ)
        self._watcher.start(self._handle_readable, on_data)
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

    def _handle_readable(self, on_data: Callable[[], None]) -> None:
        if self.check():
            # The unread data, for example the next request, would make the socket readable again and again.
            self._watcher.stop()
            on_data()
