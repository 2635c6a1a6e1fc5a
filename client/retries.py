"""When a failed request is sent again, and after which delay."""

from __future__ import annotations

import random

import httpx

from .errors import ClientError, StatusError, TransportError
from .wire import Request, without_credentials

FIRST_DELAY = 0.1
"""Seconds before the second attempt. Each further delay is twice as long; up to half of it is subtracted at random."""
MAX_DELAY = 5.0
"""Maximum seconds between two attempts, even if the server requests a longer delay."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)


def delay_before_retry(error: ClientError, request: Request, attempt: int, retries: int) -> float | None:
    """Return the seconds to wait before a request is sent again; None if it must not be sent again.

    `attempt` is the number of previous retries, `retries` the maximum. A request that the server may have carried out
    is sent again only if it is repeatable.
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
    """Convert an exception of httpx to a TransportError."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        reason = f"timeout, {_limits(error)}"
    return TransportError(without_credentials(request.url), reason, was_sent=not isinstance(error, _NOT_SENT))


def _limits(error: httpx.TimeoutException) -> str:
    """Return a description of the timeout that was reached, which is a setting of the httpx client."""
    phase, kind = ("connection", "connect") if isinstance(error, _NOT_SENT) else ("reply", "read")
    return f"no {phase} within {error.request.extensions['timeout'][kind]:g} s"
