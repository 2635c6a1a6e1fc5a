"""The session of the included web interface: a token in a cookie that scripts cannot read.

The cookie counts only for requests of pages of the server itself: it is SameSite=Strict, and requests without the
header Origin, or with that of another site, are treated as if they had no cookie. Programs send the token of `/auth/`
in the command `connect` instead.
"""

from __future__ import annotations

from flask import Request, Response

from ..app.http.origins import is_own
from ..app.http.outer_address import outer_root
from ..app.service import Service
from .access import INSECURE_TOKEN

COOKIE = "gentrifugo_admin"
"""Beginning of the name of the cookie. The port follows, because browsers give cookies to all ports of a host."""


def session_token(request: Request) -> str:
    """Return the token in the cookie of a request from a page of the server itself; empty if there is none."""
    origin = request.headers.get("Origin")
    if origin is None or not is_own(origin, request.host):
        return ""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return ""
    return request.cookies.get(_name(request), "")


def begin_session(service: Service, request: Request, response: Response, token: str) -> None:
    """Put a token into the cookie. With insecure_admin there is no cookie, because nobody needs one."""
    if token != INSECURE_TOKEN:
        _set(service, request, response, token, int(service.config.admin_token_lifetime))


def end_session(service: Service, request: Request, response: Response) -> None:
    """Let the browser forget the cookie."""
    _set(service, request, response, "", 0)


def _set(service: Service, request: Request, response: Response, token: str, lifetime: int) -> None:
    root = outer_root(request.environ, service.proxies)
    prefix = root.partition("://")[2].partition("/")[2]
    response.set_cookie(
        _name(request),
        token,
        max_age=lifetime,
        path="/" + "".join(f"{part}/" for part in (prefix, service.config.http_prefix.strip("/")) if part),
        secure=root.startswith("https:"),
        httponly=True,
        samesite="Strict",
    )


def _name(request: Request) -> str:
    port = request.host.rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdecimal() else COOKIE
