"""A time limit for request bodies that another web server reads from its socket.

The HTTP connections of this package have their own limits (reader.py). gevent's pywsgi, which other workers of gunicorn
use, waits for a body without a limit.
"""

from __future__ import annotations

from typing import Any

from gevent.pywsgi import Input

from ..net.read_allowance import ReadAllowance
from ..runtime.running_clock import TimeLimit, running_time

STEP = 4096
"""Maximum bytes of one read; after each read, the time allowed for the next bytes is computed."""


class TimedBody:
    """A `wsgi.input` that reads from `body`, the one of the web server. Raises TimeoutError if the peer is too slow.

    A body may take `seconds`, and 1 / MIN_RATE seconds more for each of its bytes (net/read_allowance.py). After a
    TimeoutError the server reads no more of the connection.
    """

    def __init__(self, body: Any, seconds: float) -> None:
        self._body = body
        self._allowance = ReadAllowance(seconds)

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, all when it is negative; fewer only at the end of the body."""
        parts = []
        missing = size
        while missing:
            part = self._read_step(STEP if missing < 0 else min(missing, STEP))
            if not part:
                break
            parts.append(part)
            missing -= len(part) if missing > 0 else 0
        return b"".join(parts)

    def _read_step(self, size: int) -> bytes:
        began = running_time()
        try:
            with TimeLimit(self._allowance.left, TimeoutError("timeout while reading the request body")):
                part: bytes = self._body.read(size)
        except TimeoutError:
            if isinstance(self._body, Input):
                # Otherwise pywsgi would read the rest of the body before it closes the connection.
                self._body._chunked_input_error = True  # type: ignore[attr-defined]
            raise
        finally:
            self._allowance.note_waited(running_time() - began)
        self._allowance.note_received(len(part))
        return part
