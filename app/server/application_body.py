"""The body of a request for a WSGI application, whose read errors count as errors of the client.

Flask answers an OSError with status 500 and a traceback in the log. So every upload that is malformed, too slow or
incomplete would look like an error of the view, and any client could fill the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.exceptions import ClientDisconnected


class BrokenBody(ClientDisconnected, OSError):
    """The body is malformed, or ends too early. Flask answers with status 400; for others it is an OSError."""


class LateBody(ClientDisconnected, TimeoutError):
    """The body arrives too slowly. Flask answers with status 400; for others it is a TimeoutError."""


class ApplicationBody:
    """A `wsgi.input` that reads from `body`, and raises BrokenBody and LateBody."""

    def __init__(self, body: Any) -> None:
        self._body = body

    @property
    def rfile(self) -> Any:
        """The file from which the server reads the connection."""
        return self._body.rfile

    def read(self, size: int | None = None) -> bytes:
        """Return up to `size` bytes, or all; fewer only at the end of the body."""
        with _failures_of_the_client():
            data: bytes = self._body.read(size)
        return data

    def readline(self, size: int | None = None) -> bytes:
        """Return a line with its end, or its first `size` bytes."""
        with _failures_of_the_client():
            line: bytes = self._body.readline(size)
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Return all lines; `hint` has no effect."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


@contextmanager
def _failures_of_the_client() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise LateBody(str(error)) from None
    except OSError as error:
        raise BrokenBody(str(error)) from None
