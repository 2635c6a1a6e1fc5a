"""Binds a session over HTTP to the browser that opened it, so that knowing its ID is not enough to use it.

Hooks authenticate the user with the request that opened the session, for example by its cookies. Without a binding,
later requests would not need these cookies, and anyone who has chosen or knows the ID could act as the user.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping

from ..http.opening_request import Opening
from ..http.origins import is_own, page_of

BINDING_COOKIE = "gentrifugo_sockjs"
"""Name of the cookie with the secret. One browser has one secret for all its sessions."""
SECRET_SIZE = 16
"""Random bytes in a secret."""
_SECRET = re.compile(r"[-_A-Za-z0-9]{22}", re.ASCII)


class Binding:
    """The credentials that a later request must have: the secret in the cookie, or those of the opening request.

    Credentials are all cookies of the opening request, with the same values, and the header Authorization. The secret
    is for browsers whose other cookies may have changed, and the credentials are for programs that store no cookies.
    """

    __slots__ = ("_headers", "_secret")

    def __init__(self, headers: Mapping[str, str], secret: str) -> None:
        self._headers = headers
        self._secret = secret

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers belongs to the session."""
        secret = self._secret.encode()
        if any(hmac.compare_digest(value.encode(), secret) for value in _presented_secrets(headers)):
            return True
        return has_credentials(self._headers) and _has_same_credentials(self._headers, headers)


def bind(opening: Opening) -> tuple[Binding | None, dict[str, str]]:
    """Return the binding of a session with this opening request, and the headers that the response needs for it.

    A session has no binding if its opening request has neither cookies nor Authorization, because no hook can identify
    a user by it. A secret that the browser already has is used again, so that its other sessions stay valid.
    """
    headers = opening.headers
    known = next((value for value in _presented_secrets(headers) if _SECRET.fullmatch(value)), None)
    if known is not None:
        return Binding(headers, known), {}
    if not has_credentials(headers):
        return None, {}
    secret = secrets.token_urlsafe(SECRET_SIZE)
    return Binding(headers, secret), {"Set-Cookie": f"{BINDING_COOKIE}={secret}; {_attributes(opening)}"}


def _attributes(opening: Opening) -> str:
    """Return the attributes of the cookie.

    The path is `/`, because a proxy or a WSGI middleware may have removed a prefix from the path that the browser sees.

    Pages that were loaded over HTTPS can only make requests over HTTPS. So the address of the page shows whether the
    connection is encrypted, but the socket does not, because it may belong to a proxy.
    """
    page = page_of(opening.headers)
    is_secure = opening.scheme == "https" or (page or "").startswith("https:")
    may_cross_sites = is_secure and not is_own(page, opening.headers.get("host", ""))
    attributes = ["Path=/", "HttpOnly", f"SameSite={'None' if may_cross_sites else 'Lax'}"]
    return "; ".join([*attributes, "Secure"] if is_secure else attributes)


def _cookies(headers: Mapping[str, str]) -> set[str]:
    """Return the cookies, each as `name=value`."""
    return {pair.strip() for pair in headers.get("cookie", "").split(";") if pair.strip()}


def _presented_secrets(headers: Mapping[str, str]) -> list[str]:
    """Return the values of BINDING_COOKIE; there may be several, with different paths or domains."""
    return [value for name, _, value in (pair.partition("=") for pair in _cookies(headers)) if name == BINDING_COOKIE]


def _others(headers: Mapping[str, str]) -> set[str]:
    return {pair for pair in _cookies(headers) if pair.partition("=")[0] != BINDING_COOKIE}


def has_credentials(headers: Mapping[str, str]) -> bool:
    """Return whether a request has credentials that browsers add automatically, by which a hook may identify a user."""
    return "authorization" in headers or bool(_others(headers))


def _has_same_credentials(opening: Mapping[str, str], later: Mapping[str, str]) -> bool:
    same_authorization = opening.get("authorization") == later.get("authorization")
    return same_authorization and _others(opening) <= _others(later)
