"""Responses that several URLs of a SockJS endpoint have in common, and headers for caches, cookies and CORS."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..http.cors import FOR_ALL_ORIGINS, access_headers, preflight_headers
from ..http.response import HTTPResponse, http_date

YEAR = 31536000
"""Seconds."""

PLAIN = "text/plain; charset=UTF-8"
HTML = "text/html; charset=UTF-8"
JSON_UTF8 = "application/json; charset=UTF-8"
JAVASCRIPT = "application/javascript; charset=UTF-8"

NOT_CACHED = {"Cache-Control": "no-store, no-cache, no-transform, must-revalidate, max-age=0"}
NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}
"""Header that keeps browsers from interpreting a body as a page, because it may contain data of a client."""

BALANCER_COOKIE = "JSESSIONID"
"""Name of the cookie with which a load balancer may send a browser to the same server again."""


def plain_text(status: int, reason: str, headers: Mapping[str, str] | None = None) -> HTTPResponse:
    """Return a plain text response, with additional `headers`."""
    return HTTPResponse(status, {"Content-Type": PLAIN, **NO_SNIFFING, **(headers or {})}, reason.encode())


def method_not_allowed(allowed: str) -> HTTPResponse:
    """Return the response to a method that is not among those `allowed`."""
    return HTTPResponse(405, {"Allow": allowed})


def preflight(allowed: str, headers: Mapping[str, str], more: Mapping[str, str] | None = None) -> HTTPResponse:
    """Return the response to a CORS preflight request with these `headers`; `more` headers are added to it."""
    permitted = preflight_headers(allowed, headers.get("access-control-request-headers"), YEAR)
    return HTTPResponse(204, {**cache_headers(), **cors(headers), **permitted, **(more or {})})


def cache_headers() -> dict[str, str]:
    """Return headers of a response that may be cached for a year."""
    return {"Cache-Control": f"public, max-age={YEAR}", "Expires": http_date(int(time.time()) + YEAR)}


def cors(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers that let pages of every origin read the response.

    Requests with cookies are allowed if they contain an origin.
    """
    return access_headers(headers.get("origin"), FOR_ALL_ORIGINS)


def cookie(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the header that sets the cookie for load balancers to its current value, or to a dummy value."""
    value = "dummy"
    for pair in headers.get("cookie", "").split(";"):
        name, _, given = pair.strip().partition("=")
        if name == BALANCER_COOKIE and given:
            value = given
            break
    return {"Set-Cookie": f"{BALANCER_COOKIE}={value}; Path=/"}
