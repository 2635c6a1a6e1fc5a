"""The access log: one line for each HTTP request, at level DEBUG."""

from __future__ import annotations

import logging
import re
import uuid
from functools import partial
from typing import Any

from ..http.head import Head

_log = logging.getLogger("gentrifugo.access")
is_enabled = partial(_log.isEnabledFor, logging.DEBUG)
"""Returns whether requests are logged. Every request calls it."""
_SECRET_PARAMETER = re.compile(r"([?&](?:cf_connect|api_key)=)[^& ]*")


def note_request(peer: str, head: Head | None, status: int, size: int, took: float, reason: str = "") -> str:
    """Log a request, its response with a body of `size` bytes, and the seconds it took. Returns its ID in the log.

    `head` is None if it was not received or is malformed. `reason` says why the server has refused the request.
    """
    fields = {
        "peer": peer,
        "method": "-" if head is None else head.method,
        "target": "-" if head is None else _without_secrets(head.target),
        "status": status,
        "size": size,
        "took_ms": round(took * 1000, 2),
    }
    given = "" if head is None else head.headers.get("x-request-id")  # a proxy's own, to be found there too
    request = given or str(uuid.uuid4())
    message = '%s "%s %s" %d %d %.2f ms: %s' if reason else '%s "%s %s" %d %d %.2f ms'
    arguments = (*fields.values(), reason) if reason else tuple(fields.values())
    _log.debug(message, *arguments, extra={**fields, "request": request})
    return request


def served_request(handler: Any) -> tuple[Head, int, int]:
    """Return the request that a handler of pywsgi has served, the status of the response, and the size of its body.

    Both are 0 without a response. In a chunked body, the lines between the chunks are counted too.
    """
    method, target, version = (handler.requestline or "").split()
    request = Head(method, target, version, {name.lower(): value for name, value in handler.headers.items()})
    if not handler.status:
        return request, 0, 0
    lines = sum(len(name) + len(value) + len(": \r\n") for name, value in handler.response_headers)
    head = len("HTTP/1.1 \r\n\r\n") + len(handler.status) + lines
    # After a failed write, the code is negative, and less than the head may have been sent.
    return request, abs(handler.code), max(handler.response_length - head, 0)


def _without_secrets(text: str) -> str:
    """Return a request target without the token in cf_connect and without the API key."""
    return _SECRET_PARAMETER.sub(r"\1…", text)
