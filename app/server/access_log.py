"""The access log: one line for each HTTP request, at level DEBUG."""

from __future__ import annotations

import logging
import re
import uuid
from functools import partial

from ..http.head import Head, HTTPError

_log = logging.getLogger("gentrifugo.access")
is_enabled = partial(_log.isEnabledFor, logging.DEBUG)
"""Returns whether requests are logged. Every request calls it."""
_SECRET_PARAMETER = re.compile(r"([?&](?:cf_connect|api_key)=)[^& ]*")


def note_request(peer: str, head: Head, status: int, size: int, took: float) -> str:
    """Log a request, its response with a body of `size` bytes, and the seconds it took. Returns its ID in the log."""
    fields = {
        "peer": peer,
        "method": head.method,
        "target": _without_secrets(head.target),
        "status": status,
        "size": size,
        "took_ms": round(took * 1000, 2),
    }
    request = head.headers.get("x-request-id") or str(uuid.uuid4())  # a proxy's own, to be found there too
    _log.debug('%s "%s %s" %d %d %.2f ms', *fields.values(), extra={**fields, "request": request})
    return request


def note_line(line: str) -> None:
    """Log a request that pywsgi has served and described."""
    _log.debug("%s", _without_secrets(line))


def note_refusal(peer: str, error: HTTPError) -> None:
    """Log a request that was refused before it was read completely."""
    _log.debug("%s refused with %d: %s", peer, error.status, error.reason)


def _without_secrets(text: str) -> str:
    """Return a request target or request line without the token in cf_connect and without the API key."""
    return _SECRET_PARAMETER.sub(r"\1…", text)
