"""The hook that posts events to a backend in any language, over HTTP (docs/hooks.md)."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import Any

import msgspec

from ..config.config import Config
from ..model import signing
from ..runtime.log_throttle import ThrottledLog
from .backend_http import BackendHTTP
from .hooks import Context, Refuse, Undelivered

log = logging.getLogger(__name__)

SIGN = "X-Hook-Sign"
CSRF_STATUSES = (400, 403, 419, 422)
"""Status codes with which the CSRF protection of Flask-WTF, Django, Laravel and Rails refuses a request."""

_pages = ThrottledLog(log, logging.WARNING)
_REFUSED_WITH_PAGE = (
    "hook_url: the backend answered with status 403 and an HTML page, which counts as a refusal. If its CSRF "
    "protection did this, exempt the path of hook_url from it. To refuse, answer with JSON or without a body"
)


class HookReply(msgspec.Struct):
    """The body of a response from the backend. A field that is missing leaves its value unchanged."""

    refuse: str | bool = False
    user: str | int | msgspec.UnsetType | None = msgspec.UNSET
    info: Any = msgspec.UNSET
    data: Any = msgspec.UNSET
    channels: list[str] = []


_reply_decoder = msgspec.json.Decoder(HookReply)


class HookURL:
    """Posts each event to the URL of the option `hook_url`, and applies the response."""

    def __init__(self, config: Config) -> None:
        self._secret = config.hook_secret or config.secret
        self._backend = BackendHTTP(config.hook_url, config, config.hook_tries)

    def __str__(self) -> str:
        return self._backend.address

    def limit(self) -> float:
        """Return the maximum total seconds of all attempts."""
        return self._backend.limit()

    def __call__(self, context: Context) -> None:
        """Send the event. Raises Refuse if the backend refuses, and Undelivered if there is no valid response."""
        body = _body(context)
        _apply(context, *self._backend.post(body, context.opening, {SIGN: signing.sign(self._secret, body)}))


def _body(context: Context) -> bytes:
    """Encode the event as JSON, with the fields that apply to it."""
    told = {
        "event": context.event,
        "time": int(time.time()),
        "user": context.user,
        "client": context.client,
        "channel": context.channel,
        "data": context.data,
        "info": context.info,
        "meta": context.meta,
        "reason": context.reason,
        "address": context.opening.address if context.opening is not None else "",
    }
    return msgspec.json.encode({name: value for name, value in told.items() if value not in (None, "")})


def _hint(status: int) -> str:
    """Return advice for an operator whose backend answers with this status and an HTML page."""
    if 300 <= status < 400:
        return "the response is a redirect: check hook_url, and exempt its path from the login of the site"
    if status in CSRF_STATUSES:
        return (
            "if its CSRF protection did this, exempt the path of hook_url from it: the signature protects the request"
        )
    return "check the address in hook_url, and the log of the backend"


def _check_status(status: int, content: bytes) -> None:
    """Raise Refuse if the backend refuses, and Undelivered if its response has an unexpected status."""
    is_page = content.lstrip()[:1] == b"<"
    if status == HTTPStatus.FORBIDDEN and not (is_page and b"csrf" in content.lower()):
        if is_page:
            _pages.log("page", _REFUSED_WITH_PAGE)
        raise Refuse
    if is_page:
        raise Undelivered(f"the backend answered with status {status} and an HTML page, not with JSON; {_hint(status)}")
    if status not in (200, 204):
        raise Undelivered(f"the backend answered with status {status}")


def _apply(context: Context, status: int, content: bytes) -> None:
    """Apply a response to the context. Raises Refuse and Undelivered."""
    _check_status(status, content)
    try:
        reply = _reply_decoder.decode(content) if content.strip() else HookReply()
    except msgspec.DecodeError as error:
        raise Undelivered(f"invalid response body: {error}") from None
    if reply.refuse is not False:
        raise Refuse(reply.refuse if isinstance(reply.refuse, str) else "")
    if reply.user is not msgspec.UNSET:
        context.user = reply.user
    if reply.info is not msgspec.UNSET:
        context.info = reply.info
    if reply.channels:
        context.channels = [*context.channels, *reply.channels]
    if reply.data is not msgspec.UNSET:
        context.data = reply.data
