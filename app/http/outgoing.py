"""HTTP requests of the server to others, such as backends: responses cannot hold up the process, however long they are.

The library reads a response until it ends, and a socket that always has data never waits. So a response of endless
headers, or of endless chunks of one byte, would keep all other greenlets from running, also those of a timeout.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse
from typing import Any, BinaryIO

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError

from ..runtime.yielding import yield_if_due

MAX_RESPONSE_SIZE = 1 << 20
"""Maximum bytes of a body. The callers of `request` read no more."""
MAX_RECEIVED = 2 * MAX_RESPONSE_SIZE
"""Maximum bytes of one response on the wire, with all headers and the lines between chunks."""


class _LimitedFile:
    """The bytes of one response, as a file. Raises HTTPException after MAX_RECEIVED bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._received = 0

    def readline(self, limit: int = -1) -> bytes:
        """Read a line of the head, or between chunks."""
        return self._count(self._file.readline(limit))

    def read(self, size: int = -1) -> bytes:
        """Read a part of the body."""
        return self._count(self._file.read(size))

    def _count(self, data: bytes) -> bytes:
        self._received += len(data)
        if self._received > MAX_RECEIVED:
            raise HTTPException(f"the response is larger than {MAX_RECEIVED} bytes")
        yield_if_due()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _LimitedResponse(HTTPResponse):
    """A response that lets other greenlets run while it is read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fp: Any = _LimitedFile(self.fp)


class _LimitedConnection(HTTPConnection):
    response_class = _LimitedResponse


class _LimitedTLSConnection(HTTPSConnection):
    response_class = _LimitedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _LimitedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _LimitedTLSConnection


def http_client(connections: int, timeout: float) -> PoolManager:
    """Return a client that keeps up to `connections` idle connections. Each wait may take `timeout` seconds.

    A response that is too large, or is not HTTP, raises HTTPError of urllib3.
    """
    client = PoolManager(maxsize=connections, timeout=timeout)
    client.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
    return client


def failure_of(error: HTTPError) -> str:
    """Return why a request failed, for log lines. For a failed connection it names host, port and what the OS says."""
    if not isinstance(error, NewConnectionError):
        return str(error)
    host, cause = error.conn.host, error.__cause__
    reason = (cause.strerror if isinstance(cause, OSError) else "") or str(error).partition(": ")[2]
    return f"cannot connect to {f'[{host}]' if ':' in host else host}:{error.conn.port}: {reason}"
