"""When a failed request is sent again, and after which delay."""

from __future__ import annotations

import random

import httpx

from .errors import ClientError, StatusError, TransportError
from .wire import Request, shown

FIRST_DELAY = 0.1
"""Seconds before the second attempt. Each further delay is twice as long; a random part of up to half is taken away."""
MAX_DELAY = 5.0
"""Maximum seconds between two attempts, even if the server asks for more."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def delay_before_retry(error: ClientError, request: Request, attempt: int, retries: int) -> float | None:
    """Seconds to wait before a request is sent again; None if it must not be.

    `attempt` is how often it has been sent again already, `retries` how often that is allowed. A request that the
    server may have carried out is sent again only if that makes no difference.
    """
    if attempt >= retries or not error.is_temporary:
        return None
    if error.may_have_been_carried_out and not request.is_repeatable:
        return None
    delay: float = FIRST_DELAY * 2**attempt * random.uniform(0.5, 1)
    if isinstance(error, StatusError):
        delay = max(delay, error.retry_after)
    return min(delay, MAX_DELAY)


def transport_error(request: Request, error: httpx.RequestError) -> TransportError:
    """What an exception of httpx means for a request."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        reason = f"timeout, {_limits(error)}"
    return TransportError(shown(request.url), reason, was_sent=not isinstance(error, _NOT_SENT))


def _limits(error: httpx.TimeoutException) -> str:
    """The limit that was reached, which is the setting of the httpx client."""
    phase, kind = ("connection", "connect") if isinstance(error, _NOT_SENT) else ("reply", "read")
    return f"no {phase} within {error.request.extensions['timeout'][kind]:g} s"
