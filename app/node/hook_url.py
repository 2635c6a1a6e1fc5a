"""The hook that posts events to a backend in any language, over HTTP (docs/hooks.md)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import gevent
import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from ..config.config import Config
from ..config.options import CHECKED_FORWARDING, listed
from ..model import signing
from ..runtime.backoff import Backoff
from ..runtime.log_throttle import ThrottledLog
from ..runtime.running_clock import TimeLimit
from .hooks import Context, Refuse, Undelivered

log = logging.getLogger(__name__)

SIGN = "X-Hook-Sign"
CONNECTIONS = 100
"""Connections to the backend that are kept; at busy times there are more."""
FIRST_PAUSE = 0.1
"""Seconds between the first try and the second; doubled before each further try."""
LONGEST_REPLY = 1 << 20
"""Bytes."""
CSRF_STATUSES = (400, 403, 419, 422)
"""With these, CSRF protection refuses a request: Flask-WTF, Django, Laravel and Rails."""
RETRIED_STATUSES = (500, 502, 503, 504)


_pages = ThrottledLog(log, logging.WARNING)
_REFUSED_WITH_PAGE = (
    "hook_url: the backend answered with status 403 and an HTML page, which counts as a refusal. If its CSRF "
    "protection did this, exempt the path of hook_url from it. To refuse, answer with JSON or without a body"
)


class HookReply(msgspec.Struct):
    """The body of a backend's response; what it leaves out does not change."""

    refuse: str | bool = False
    user: str | int | msgspec.UnsetType | None = msgspec.UNSET
    info: Any = msgspec.UNSET
    data: Any = msgspec.UNSET


_reply_decoder = msgspec.json.Decoder(HookReply)


class HookURL:
    """Posts each event to the URL of the option `hook_url`, and applies the response."""

    def __init__(self, config: Config) -> None:
        self._url = config.hook_url
        self._secret = config.hook_secret or config.secret
        self._passed_on = [name.lower() for name in listed(config.hook_headers)]
        self._timeout = config.hook_timeout
        self._tries = config.hook_tries
        # A try is bounded as a whole, below: urllib3 counts the time of each read by itself.
        self._http = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=config.hook_timeout)

    def __str__(self) -> str:
        return self._url

    def limit(self) -> float:
        """The most seconds that all tries take."""
        return self._tries * self._timeout + sum(self._pauses())

    def __call__(self, context: Context) -> None:
        """Raises Refuse when the backend refuses, and Undelivered when there is no valid response."""
        body = _body(context)
        headers = self._headers(context)
        headers[SIGN] = signing.sign(self._secret, body)
        _apply(context, *self._asked(body, headers))

    def _asked(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the first response that is not to be retried, or of the last one. Raises Undelivered."""
        for pause in self._pauses():
            try:
                status, content = self._try(body, headers)
                if status not in RETRIED_STATUSES:
                    return status, content
            except Undelivered:
                pass  # if the last try fails too, its error is reported
            gevent.sleep(pause)
        return self._try(body, headers)

    def _pauses(self) -> Iterator[float]:
        """The seconds between each try and the next; the last try has none after it."""
        backoff = Backoff(FIRST_PAUSE, math.inf)
        return (backoff.next_delay() for _ in range(self._tries - 1))

    def _try(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """One request and its answer, within `hook_timeout`. Raises Undelivered."""
        timeout = gevent.Timeout()
        try:
            with TimeLimit(self._timeout, timeout):
                return self._post(body, headers)
        except HTTPError as error:
            raise Undelivered(f"no answer: {error}") from None
        except gevent.Timeout as error:
            if error is not timeout:
                raise
            raise Undelivered(f"no answer within {self._timeout:g} s (option hook_timeout)") from None

    def _post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        response = self._http.request(
            "POST", self._url, body=body, headers=headers, preload_content=False, redirect=False, retries=False
        )
        content = response.read(LONGEST_REPLY + 1)
        if len(content) > LONGEST_REPLY:
            response.close()  # what is left of it must not be read as the next answer
        else:
            response.release_conn()
        return response.status, content

    def _headers(self, context: Context) -> dict[str, str]:
        """Headers of the client's request that are passed on, and those of this request.

        A client can send X-Forwarded-For and X-Real-IP itself. What is passed on under these names is the address that
        the proxies in option trusted_proxies vouch for.
        """
        headers = {}
        if (opening := context.opening) is not None:
            for name in self._passed_on:
                value = opening.address if name in CHECKED_FORWARDING else opening.headers.get(name)
                if value and name in opening.headers:
                    headers[name] = value
        return {**headers, "Content-Type": "application/json"}


def _body(context: Context) -> bytes:
    """The event as JSON, with what applies to it."""
    told = {
        "event": context.event,
        "time": int(time.time()),
        "user": context.user,
        "client": context.client,
        "channel": context.channel,
        "data": context.data,
        "info": context.info,
        "reason": context.reason,
        "address": context.opening.address if context.opening is not None else "",
    }
    return msgspec.json.encode({name: value for name, value in told.items() if value not in (None, "")})


def _hint(status: int) -> str:
    """What may be wrong in a backend that answers with this status and an HTML page."""
    if 300 <= status < 400:
        return "it redirects: check the address in hook_url, and exempt this path from the login of the site"
    if status in CSRF_STATUSES:
        return (
            "if its CSRF protection did this, exempt the path of hook_url from it: the signature protects the request"
        )
    return "check the address in hook_url, and the log of the backend"


def _check_status(status: int, content: bytes) -> None:
    """Raises Refuse when the backend refuses, and Undelivered when its answer cannot be one of a hook."""
    is_page = content.lstrip()[:1] == b"<"
    if status == HTTPStatus.FORBIDDEN and not (is_page and b"csrf" in content.lower()):
        if is_page:
            _pages.log("page", _REFUSED_WITH_PAGE)
        raise Refuse
    if is_page:
        raise Undelivered(f"the backend answered with status {status} and an HTML page, not with JSON; {_hint(status)}")
    if status not in (200, 204):
        raise Undelivered(f"answered with status {status}")


def _apply(context: Context, status: int, content: bytes) -> None:
    """Apply a response to the context. Raises Refuse and Undelivered."""
    if len(content) > LONGEST_REPLY:
        raise Undelivered(f"the answer is longer than {LONGEST_REPLY} bytes")
    _check_status(status, content)
    try:
        reply = _reply_decoder.decode(content) if content.strip() else HookReply()
    except msgspec.DecodeError as error:
        raise Undelivered(f"the answer cannot be read: {error}") from None
    if reply.refuse is not False:
        raise Refuse(reply.refuse if isinstance(reply.refuse, str) else "")
    if reply.user is not msgspec.UNSET:
        context.user = reply.user
    if reply.info is not msgspec.UNSET:
        context.info = reply.info
    if reply.data is not msgspec.UNSET:
        context.data = reply.data
