"""How much the kernel holds of a connection: what nobody here has read, and what the peer has not confirmed."""

from __future__ import annotations

from array import array
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD, TIOCOUTQ
from typing import Any


def unread(socket: Any) -> int:
    """Bytes that have come and wait to be read; 0 when the socket is closed."""
    return _ask(socket, FIONREAD)


def unacknowledged(socket: Any) -> int:
    """Bytes that were written and that the peer's machine has not confirmed; 0 when the socket is closed."""
    return _ask(socket, TIOCOUTQ)


def _ask(socket: Any, question: int) -> int:
    count = array("i", [0])
    with suppress(OSError, ValueError):  # ValueError: the descriptor of a closed socket is -1
        ioctl(socket.fileno(), question, count)
    return count[0]
