"""Encodes API requests and parses responses: the part of HTTP/1.1 that an API client needs, without I/O."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.protocols.base import APIRequest
from benchmarks.target import Target


class Response(NamedTuple):
    """A complete HTTP response: status and body."""

    status: int
    body: bytes


def api_request(target: Target, request: APIRequest) -> bytes:
    """Encode a POST request with JSON."""
    head = (
        f"POST {target.prefix}{request.path} HTTP/1.1\r\nHost: {target.host}\r\nContent-Type: application/json\r\n"
        f"{request.credential}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    )
    return head.encode() + request.body


class ResponseReader:
    """Parses the responses of a keep-alive HTTP connection, one request at a time."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Response | None:
        """Return the response when it is complete, else None. Raises BenchmarkError for invalid data."""
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return None
        status, headers = _parse_head(self._data[:end])
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _chunked_body(self._data, end + 4)
        else:
            body = _sized_body(self._data, end + 4, headers.get("content-length", "0"))
        if body is None:
            return None
        self._data = b""
        return Response(status, body)


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise BenchmarkError(f"the server does not answer with HTTP but with {first[:80]!r}")
    pairs = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.lower(): value.strip() for name, _, value in pairs}


def _sized_body(data: bytes, start: int, length: str) -> bytes | None:
    if not length.isdigit():
        raise BenchmarkError(f"the server answered with the Content-Length {length!r}")
    end = start + int(length)
    return data[start:end] if len(data) >= end else None


def _chunked_body(data: bytes, position: int) -> bytes | None:
    chunks: list[bytes] = []
    while (line_end := data.find(b"\r\n", position)) >= 0:
        try:
            size = int(data[position:line_end].partition(b";")[0], 16)
        except ValueError:
            raise BenchmarkError("the server answered with a malformed chunked body") from None
        position = line_end + 2 + size + 2
        if len(data) < position:
            return None
        if size == 0:
            return b"".join(chunks)
        chunks.append(data[line_end + 2 : position - 2])
    return None
