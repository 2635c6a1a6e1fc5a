"""Response headers that let pages of other origins read a response: Cross-Origin Resource Sharing (CORS).

The functions check no origin. Their callers have done that, or let pages of every origin read their responses.
"""

from __future__ import annotations

from collections.abc import Mapping

NOT_FOR_OTHER_ORIGINS: Mapping[str, str] = {"Vary": "Origin"}
"""Headers of a response that pages of other origins must not read. A cache must not give it to a page that may."""
FOR_ALL_ORIGINS: Mapping[str, str] = {"Access-Control-Allow-Origin": "*", "Vary": "Origin"}
"""Headers of a response that pages of every origin may read, but not if the request was sent with cookies."""


def access_headers(origin: str | None, unnamed: Mapping[str, str] = NOT_FOR_OTHER_ORIGINS) -> Mapping[str, str]:
    """Return headers that let the page with this `origin` read the response, also to a request with cookies.

    `unnamed` are the headers of the response to a request without an origin.
    """
    if not origin:
        return unnamed
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def preflight_headers(methods: str, asked: str | None, lifetime: int) -> Mapping[str, str]:
    """Return what a preflight response permits: these `methods`, and the request headers that the browser asks for.

    `asked` is the value of Access-Control-Request-Headers. A browser may keep the response for `lifetime` seconds.
    """
    return {
        **({"Access-Control-Allow-Headers": asked} if asked else {}),
        "Access-Control-Allow-Methods": methods,
        "Access-Control-Max-Age": str(lifetime),
    }
