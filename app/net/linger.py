"""The orderly end of a connection whose peer may still be sending."""

from __future__ import annotations

import time
from contextlib import suppress
from socket import SHUT_WR
from typing import Any

from ..runtime.yielding import yield_if_due

LINGER_TIMEOUT = 1.0
"""Seconds to read and discard what the peer still sends."""
DISCARD_SIZE = 65536
"""Bytes discarded with one call."""


def linger(socket: Any) -> None:
    """End the sending direction of gevent's `socket`, then discard what the peer still sends.

    Closing a socket with unread data makes the system reset the connection, and a reset destroys the last response
    or close frame on its way to the peer. Blocks until the peer ends its direction, for LINGER_TIMEOUT at most. The
    socket is to be closed afterwards.
    """
    deadline = time.monotonic() + LINGER_TIMEOUT
    with suppress(OSError):
        socket.shutdown(SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            socket.settimeout(left)
            if not socket.recv(DISCARD_SIZE):
                return
            yield_if_due()
