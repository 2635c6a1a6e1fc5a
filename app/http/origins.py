"""Checks the origin of web pages: browsers let any page open connections, and send its origin in each request.

Other programs send no origin, and are not restricted by this check.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache, partial
from urllib.parse import urlsplit

from ..config.options import ALL_ORIGINS, AUTO, ORIGINS_WITHOUT_HOST, split_list
from ..runtime.log_throttle import ONCE, ThrottledLog
from .head import HTTPError

log = logging.getLogger(__name__)

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The default port of a URL, by scheme."""
SITE_OWN, SITE_NONE = "same-origin", "none"
"""Values of the header Sec-Fetch-Site: a page of the same origin has made the request, or no page at all."""
NOT_IN_POLICIES = ORIGINS_WITHOUT_HOST | {ALL_ORIGINS}
MAX_LOGGED_HEADER = 200
"""Maximum characters of an origin or a host in log lines and errors."""
MAX_LOGGED_ORIGINS = 100
"""Maximum number of refused origins that are logged; clients can invent any number of origins."""


def is_own(origin: str | None, host: str) -> bool:
    """Return whether a request to `host` comes from a page of the same host and port, or not from a browser.

    The scheme is not compared, because the server does not know it behind a proxy that handles TLS.
    """
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
        default = DEFAULT_PORTS.get(parts.scheme)
        own = urlsplit(f"//{host}")
        if default is None or not parts.hostname or parts.username is not None:
            return False
        return (parts.hostname, parts.port or default) == (own.hostname, own.port or default)
    except ValueError:  # a port that is none
        return False


def page_of(headers: Mapping[str, str]) -> str | None:
    """Return the origin or the URL of the page that made a request; None if the request has neither.

    Browsers omit Origin in GET requests from pages of the same origin, the address bar, scripts and iframes.
    """
    return headers.get("origin", headers.get("referer"))


class RefusalLog:
    """Logs refused origins: each once for each reason, and at most MAX_LOGGED_ORIGINS for one reason."""

    def __init__(self) -> None:
        throttled = partial(ThrottledLog, log, logging.WARNING, interval=ONCE, max_keys=MAX_LOGGED_ORIGINS)
        self._logs: defaultdict[str, ThrottledLog] = defaultdict(throttled)
        """A throttled log for each reason."""

    def note(self, origin: str, why: str, host: str) -> None:
        """Log that pages of `origin` are refused; `why` completes the sentence, `host` is the host of the request."""
        shown = origin[:MAX_LOGGED_HEADER]
        message = "refusing requests from pages of origin %r, %s; Host header of the request: %r (logged once)"
        self._logs[why].log(shown, message, shown, why, host[:MAX_LOGGED_HEADER])

    def note_unnamed(self, host: str) -> None:
        """Log that requests to `host` are refused because they do not say which page has made them."""
        message = (
            "refusing requests with neither Origin nor Referer, which pages of any site may have caused: origins are "
            "checked because a hook or a backend decides who connects, or because of option allowed_origins; "
            "Host header of the request: %r (logged once)"
        )
        self._logs[message].log("", message, host[:MAX_LOGGED_HEADER])


class Origins:
    """The origins listed in `allowed`, and the server's own host, which is always allowed.

    `refusals` logs the refused ones.
    """

    def __init__(self, allowed: str, refusals: RefusalLog | None = None) -> None:
        items = split_list(allowed)
        self.are_all = ALL_ORIGINS in items
        """Whether all origins are allowed."""
        self._exact = {_normal(item) for item in items if "*" not in item} - {""}
        self._below = tuple(_normal(item).split("://*", 1) for item in items if "://*." in item)
        self.ancestors = " ".join(["'self'", *(item for item in items if item not in NOT_IN_POLICIES)])
        """The list for a Content-Security-Policy, which cannot contain origins without a host."""
        self._refusals = refusals or RefusalLog()

    def check(self, origin: str | None, host: str) -> None:
        """Raise HTTPError for a request to `host` from a page of another origin."""
        if self.are_all or is_own(origin, host) or self._lists(origin or ""):
            return
        self._refusals.note(origin or "", "which option allowed_origins does not list", host)
        target = host[:MAX_LOGGED_HEADER]
        raise HTTPError(
            403, f"origin not allowed: it is neither the host of the request, {target!r}, nor in option allowed_origins"
        )

    def check_request(self, headers: Mapping[str, str], may_be_unnamed: bool) -> None:
        """Raise HTTPError for a request from a page of another origin, according to all headers that contain it.

        `may_be_unnamed` allows requests without an origin, such as those of programs.
        """
        if self.are_all:
            return
        page = page_of(headers)
        if page is not None:
            self.check(page, headers.get("host", ""))
            return
        # Browsers set this header themselves, even if the page hides its URL with a referrer policy.
        site = headers.get("sec-fetch-site", SITE_NONE)
        if site != SITE_OWN and not (site == SITE_NONE and may_be_unnamed):
            self._refusals.note_unnamed(headers.get("host", ""))
            raise HTTPError(
                403,
                "missing header Origin or Referer: pages of any site may have caused this request, and the server "
                "checks origins (option allowed_origins)",
            )

    def _lists(self, origin: str) -> bool:
        normal = _normal(origin)
        return normal in self._exact or (
            _WITH_NAME.fullmatch(normal) is not None
            and any(normal.startswith(f"{scheme}://") and normal.endswith(rest) for scheme, rest in self._below)
        )


_WITH_NAME = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9_-]+(\.[a-z0-9_-]+)*(:\d+)?", re.ASCII)
"""An origin whose host is a name. Others, which browsers do not send, could end like the name of an allowed host."""


def _normal(origin: str) -> str:
    """Normalize scheme, host and port of an origin or URL. Empty if it is invalid."""
    if origin in ORIGINS_WITHOUT_HOST:
        return origin
    try:
        parts = urlsplit(origin)
        if not parts.scheme or not parts.hostname or parts.username is not None:
            return ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}"


ANYWHERE = Origins(ALL_ORIGINS)
"""Allows all origins."""


class OriginPolicy:
    """Converts values of option allowed_origins to the origins whose pages may connect.

    The default, `auto`, allows only pages of the server's own host if a decision may depend on cookies, which browsers
    send with the requests of any page. If clients can authenticate only with tokens, it allows all pages.
    """

    def __init__(self) -> None:
        self.refusals = RefusalLog()
        """The log of the origins that were refused."""
        self._origins = lru_cache(8)(partial(Origins, refusals=self.refusals))

    def origins(self, allowed: str, may_use_cookies: bool) -> Origins:
        """Return the allowed origins; `may_use_cookies` if the result of a request may depend on cookies."""
        if allowed == AUTO:
            allowed = "" if may_use_cookies else ALL_ORIGINS
        return self._origins(allowed)
