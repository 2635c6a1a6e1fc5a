"""HTTP requests of the server to others, such as backends: responses cannot hold up the process, however long they are.

The library reads a response until it ends, and a socket that always has data never waits. So a response of endless
headers, or of endless chunks of one byte, would keep all other greenlets from running, also those of a timeout. Its
own timeout applies to each read separately, so a response that arrives slowly would never reach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Any, BinaryIO, NamedTuple

import gevent
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from ..runtime.running_clock import TimeLimit
from ..runtime.yielding import yield_if_due

MAX_RESPONSE_SIZE = 1 << 20
"""Maximum bytes of a body."""
MAX_RECEIVED = 2 * MAX_RESPONSE_SIZE
"""Maximum bytes of one response on the wire, with all headers and the lines between chunks."""


class RequestFailed(Exception):
    """Raised when there is no usable response; the text says why, for log lines."""


class ResponseTimeout(RequestFailed):
    """Raised when the response has not arrived in time."""


class ResponseTooLarge(RequestFailed):
    """Raised for a body of more than MAX_RESPONSE_SIZE bytes."""


class BoundedResponse(NamedTuple):
    """Status and body of a response. If the body is too large, only its beginning was read."""

    status: int
    received: bytes

    def body(self) -> bytes:
        """Return the body. Raises ResponseTooLarge: only here, because the status alone may decide what happens."""
        if len(self.received) > MAX_RESPONSE_SIZE:
            raise ResponseTooLarge(f"the response body is larger than {MAX_RESPONSE_SIZE} bytes")
        return self.received


class BoundedClient:
    """Sends requests that take at most `timeout` seconds each, and keeps up to `connections` idle connections."""

    def __init__(self, connections: int, timeout: float) -> None:
        self._timeout = timeout
        self._http = http_client(connections, timeout)

    def request(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> BoundedResponse:
        """Send a request and return the response; redirects are not followed. Blocks. Raises RequestFailed."""
        timeout = gevent.Timeout()
        try:
            with TimeLimit(self._timeout, timeout):
                return self._exchange(method, url, body, headers)
        except ReadTimeoutError:
            raise self._late() from None
        except HTTPError as error:
            raise RequestFailed(failure_of(error)) from None
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            raise self._late() from None

    def _late(self) -> ResponseTimeout:
        return ResponseTimeout(f"no response within {self._timeout:g} s")

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> BoundedResponse:
        response = self._http.request(
            method, url, body=body, headers=headers, preload_content=False, redirect=False, retries=False
        )
        content = response.read(MAX_RESPONSE_SIZE + 1)
        if len(content) > MAX_RESPONSE_SIZE:
            response.close()  # what is left of it must not be read as the next response
        else:
            response.release_conn()
        return BoundedResponse(response.status, content)


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

    A response that is not HTTP, or has more than MAX_RECEIVED bytes, raises HTTPError of urllib3.
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
