"""Access of pages from other origins to stream endpoints (CORS), as configured with option allowed_origins."""

from __future__ import annotations

from collections.abc import Mapping

from ..http.origins import Origins
from ..http.response import HTTPResponse

PREFLIGHT_AGE = 300
"""Seconds for which a browser may keep the response to a preflight request."""
NOT_FOR_OTHER_ORIGINS: Mapping[str, str] = {"Vary": "Origin"}
"""Headers of a response that pages of other origins must not read."""


def check_origin(origins: Origins, method: str, headers: Mapping[str, str]) -> None:
    """Raise HTTPError for a request from a page whose origin is not allowed; header names are in lower case.

    A GET with credentials that browsers add by themselves, such as cookies, must have a header Origin or Referer,
    because any link can cause it.
    """
    has_credentials = "cookie" in headers or "authorization" in headers
    origins.check_request(headers, may_be_unnamed=method != "GET" or not has_credentials)


def cors_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers that let the page of this request, whose origin has been checked, read the response."""
    origin = headers.get("origin")
    if not origin:
        return NOT_FOR_OTHER_ORIGINS
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def preflight(allowed: str, headers: Mapping[str, str]) -> HTTPResponse:
    """Return the response to a preflight request for one of the methods `allowed`."""
    asked = headers.get("access-control-request-headers")
    return HTTPResponse(
        204,
        {
            **cors_headers(headers),
            **({"Access-Control-Allow-Headers": asked} if asked else {}),
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Max-Age": str(PREFLIGHT_AGE),
        },
    )
