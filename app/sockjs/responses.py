"""Responses that several URLs of a SockJS endpoint have in common, and headers for caches, cookies and CORS."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..http.response import HTTPResponse, http_date

YEAR = 31536000
"""Seconds."""

PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
JSON_UTF8 = "application/json; charset=UTF-8"
JAVASCRIPT = "application/javascript; charset=UTF-8"

NOT_CACHED = {"Cache-Control": "no-store, no-cache, no-transform, must-revalidate, max-age=0"}
NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}
"""A body may repeat what a client has sent; no browser may interpret it as a page."""

BALANCER_COOKIE = "JSESSIONID"
"""Name of the cookie by which a load balancer may send a browser to the same server again."""


def plain_text(status: int, reason: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Return a response with a text for people, with these `headers` in addition."""
    return HTTPResponse(status, {"Content-Type": PLAIN, **NOT_SNIFFED, **(headers or {})}, reason.encode())


def method_not_allowed(allowed: str) -> HTTPResponse:
    """Return the response to a method that is not among those `allowed`."""
    return HTTPResponse(405, {"Allow": allowed})


def preflight(allowed: str, headers: Mapping[str, str], more: Mapping[str, str] | None = None) -> HTTPResponse:
    """Return the response to a CORS preflight request with these `headers`; `more` headers are added to it."""
    asked = headers.get("access-control-request-headers")
    return HTTPResponse(
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
    """Return headers of a response that may be cached for a year."""
    return {"Cache-Control": f"public, max-age={YEAR}", "Expires": http_date(int(time.time()) + YEAR)}


def cors(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers that let pages of every origin read the response.

    With cookies when they say which origin that is.
    """
    origin = headers.get("origin")
    if not origin:
        return {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def cookie(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header that sets the cookie for balancers: to what it is already, or to anything."""
    value = "dummy"
    for pair in headers.get("cookie", "").split(";"):
        name, _, given = pair.strip().partition("=")
        if name == BALANCER_COOKIE and given:
            value = given
            break
    return {"Set-Cookie": f"{BALANCER_COOKIE}={value}; Path=/"}
