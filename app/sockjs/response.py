"""What the endpoints answer: whole responses, and the headers for caches, cookies and other origins."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from ..http.head import http_date

YEAR = 31536000
"""Seconds."""

PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
JSON = "application/json; charset=UTF-8"
JAVASCRIPT = "application/javascript; charset=UTF-8"

NOT_CACHED = {"Cache-Control": "no-store, no-cache, no-transform, must-revalidate, max-age=0"}
NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}
"""What a client sent may come back in a body; no browser may take it for a page."""

WITHOUT_LENGTH = (204, 304)
"""Statuses whose responses have no body, so that a length would be a lie."""
COOKIE = "JSESSIONID"


class Response(NamedTuple):
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def status_line(self) -> str:
        """Status and phrase."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


def text(status: int, reason: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that says something to people."""
    return Response(status, {"Content-Type": PLAIN, **NOT_SNIFFED, **(headers or {})}, reason.encode())


def method_not_allowed(allowed: str) -> Response:
    """The answer to a method that is not among those `allowed`."""
    return Response(405, {"Allow": allowed})


def options(allowed: str, headers: Mapping[str, str], more: Mapping[str, str] | None = None) -> Response:
    """The answer to a browser that asks what a page of another origin may do; with `more` headers."""
    asked = headers.get("access-control-request-headers")
    return Response(
        204,
        {
            **cached(),
            **cors(headers),
            **({"Access-Control-Allow-Headers": asked} if asked else {}),
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Max-Age": str(YEAR),
            **(more or {}),
        },
    )


def cached() -> dict[str, str]:
    """Headers of what may be kept for a year."""
    return {"Cache-Control": f"public, max-age={YEAR}", "Expires": http_date(int(time.time()) + YEAR)}


def cors(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that let pages of every origin read the response; with cookies when they say which origin that is."""
    origin = headers.get("origin")
    if not origin:
        return {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def cookie(headers: Mapping[str, str]) -> dict[str, str]:
    """The header that sets the cookie for balancers: to what it is already, or to anything."""
    value = "dummy"
    for pair in headers.get("cookie", "").split(";"):
        name, _, given = pair.strip().partition("=")
        if name == COOKIE and given:
            value = given
            break
    return {"Set-Cookie": f"{COOKIE}={value}; Path=/"}
