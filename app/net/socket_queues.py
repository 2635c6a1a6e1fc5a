"""The kernel's queues of a connection: bytes not read yet, and bytes not acknowledged by the peer."""

from __future__ import annotations

from array import array
from contextlib import suppress
from fcntl import ioctl
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_USER_TIMEOUT
from termios import FIONREAD, TIOCOUTQ
from typing import Any


def unread_bytes(socket: Any) -> int:
    """Received bytes that have not been read; 0 if the socket is closed."""
    return _ask(socket, FIONREAD)


def unacknowledged_bytes(socket: Any) -> int:
    """Written bytes that the peer's machine has not acknowledged; 0 if the socket is closed."""
    return _ask(socket, TIOCOUTQ)


def limit_unacknowledged(socket: Any, seconds: float) -> None:
    """Let the system close a TCP connection if written data is not acknowledged for `seconds`; 0 is no limit.

    Does nothing for other sockets, whose peer is on the same machine.
    """
    with suppress(OSError):
        if socket.family in (AF_INET, AF_INET6):
            socket.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, int(seconds * 1000))


def _ask(socket: Any, question: int) -> int:
    count = array("i", [0])
    with suppress(OSError, ValueError):  # ValueError: the descriptor of a closed socket is -1
        ioctl(socket.fileno(), question, count)
    return count[0]
