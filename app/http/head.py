"""Parses the head of an HTTP/1 request without I/O, strictly, so that no proxy can interpret it differently.

Everything that RFC 9112 allows a server to refuse is refused: bare line feeds, folded lines, white space before the
colon, more than one length, a length together with a transfer coding, an invalid host. A request that two parsers could
interpret differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

END_OF_HEAD = b"\r\n\r\n"
"""The end of the last line and the empty line after it."""
MAX_HEAD_SIZE = 32768
"""Bytes of request line and headers together."""
MAX_REQUEST_LINE = 8000
"""Bytes of the request line; pywsgi, which serves other requests, accepts 8191 including the line end."""
MAX_HEADERS = 99
"""Number of headers; the parser of pywsgi stops at 100 lines, including the empty one."""

MAX_CACHED_LINE = 200
"""Characters of a header line that is cached, so that the cache remains small."""
CACHED_LINES = 512
"""Number of header lines that are cached."""

_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
# The white space around the value is taken off afterwards: as a part of the pattern it would make 30 KB of spaces
# cost 3 seconds.
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)
_HOST = re.compile(r"[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]*", re.ASCII)
_SCHEME_AND_HOST = re.compile(r"https?://[^/?]*", re.ASCII | re.IGNORECASE)
# Given twice with different values these would mean two different requests.
_SINGLE_HEADERS = frozenset(
    ("content-length", "host", "transfer-encoding", "sec-websocket-key", "sec-websocket-version", "x-api-sign")
)


class HTTPError(Exception):
    """Raised to refuse a request: the status, the reason for the peer, and headers of the response."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


class Head:
    """Request line and headers; header names are in lower case.

    What the headers mean is determined once, since clients that keep their connection repeat their heads.
    """

    __slots__ = (
        "connection_headers",
        "content_length",
        "headers",
        "keep_alive",
        "method",
        "original",
        "path",
        "query",
        "target",
        "version",
        "waits_for_continue",
    )

    def __init__(self, method: str, target: str, version: str, headers: Mapping[str, str]) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.original: object = object()
        """Identifies heads with the same meaning: all heads that `varied` derives from a head share this object."""
        path, _, query = target.partition("?")
        self.path = path if path.startswith("/") else origin_form(target).partition("?")[0]
        """The target without its query, still percent-encoded."""
        self.query = query
        """The query of the target, without the question mark; empty if there is none."""
        length = headers.get("content-length")
        self.content_length = None if length is None else int(length)
        """Size of the body in bytes; None if the head has no length."""
        is_current = version == "HTTP/1.1"
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection if is_current else "keep-alive" in connection
        """Whether the peer requests that the connection stays open for another request."""
        self.connection_headers = {"Connection": "keep-alive"} if self.keep_alive and not is_current else {}
        """Headers of a response that make the peer keep the connection; with HTTP/1.0 this is not the default."""
        self.waits_for_continue = is_current and headers.get("expect", "").lower() == "100-continue"
        """Whether the peer sends the body only after "100 Continue"."""

    def varied(self, values: Mapping[str, str]) -> Head:
        """Return a copy with other values of headers, of which only the length has a meaning for the server.

        These are the length and the signature of the body, and those of a WebSocket handshake that differ from client
        to client.
        """
        head = _new(Head)
        head.method, head.target, head.version = self.method, self.target, self.version
        head.path, head.query = self.path, self.query
        head.keep_alive, head.connection_headers = self.keep_alive, self.connection_headers
        head.waits_for_continue = self.waits_for_continue
        head.headers = {**self.headers, **values}
        head.content_length = int(head.headers["content-length"]) if "content-length" in values else self.content_length
        head.original = self.original
        return head

    @property
    def has_body(self) -> bool:
        """Whether the request has a body: a length that is not 0, or chunks."""
        return self.content_length not in (None, 0) or "transfer-encoding" in self.headers


_new = object.__new__


def origin_form(target: str) -> str:
    """Return path and query of the target, also of one with scheme and host, as sent to proxies (RFC 9112 3.2.2)."""
    match = None if target.startswith("/") else _SCHEME_AND_HOST.match(target)
    if match is None:
        return target
    rest = target[match.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def parse_head(head: bytes) -> Head:
    """Parse a head, given without the empty line that ends it. Raises HTTPError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    if len(first) > MAX_REQUEST_LINE:
        raise HTTPError(414, f"the request line is longer than {MAX_REQUEST_LINE} bytes")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise HTTPError(400, "malformed request line")
    if match[3] != "1":
        raise HTTPError(505, "only HTTP/1.1 and HTTP/1.0 are supported")
    target = match[2]
    if not (target.startswith("/") or target == "*" or _SCHEME_AND_HOST.match(target)):
        raise HTTPError(400, "the target of the request is neither a path nor a URL")
    version = "HTTP/1.0" if match[4] == "0" else "HTTP/1.1"
    headers = _headers(lines)
    _check(version, headers)
    return Head(match[1], target, version, headers)


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > MAX_HEADERS:
        raise HTTPError(431, f"more than {MAX_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, value = _cached_header(line) if len(line) <= MAX_CACHED_LINE else _parse_header(line)
        if name in headers:
            if name in _SINGLE_HEADERS:
                raise HTTPError(400, f"duplicate header {name}")
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _parse_header(line: str) -> tuple[str, str]:
    match = _HEADER.fullmatch(line)
    if match is None:
        raise HTTPError(400, "malformed header line")
    return match[1].lower(), match[2].strip(" \t")


# Most header lines are the same in the requests of all clients: parsing the head of a handshake takes half the time.
_cached_header = lru_cache(CACHED_LINES)(_parse_header)


def _check(version: str, headers: Mapping[str, str]) -> None:
    length = headers.get("content-length")
    if length is not None and not _LENGTH.fullmatch(length):
        raise HTTPError(400, "Content-Length must be digits only, at most 15, without a sign")
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise HTTPError(400, "Content-Length and Transfer-Encoding must not be used together")
        if coding.lower() != "chunked" or version == "HTTP/1.0":
            raise HTTPError(501, "unsupported Transfer-Encoding: only chunked is supported, in HTTP/1.1")
    host = headers.get("host")
    if host is None:
        if version == "HTTP/1.1":
            raise HTTPError(400, "missing header Host")
    elif not _HOST.fullmatch(host):
        raise HTTPError(400, "invalid header Host")
