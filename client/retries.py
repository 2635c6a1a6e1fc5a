"""When a failed request is sent again, and after which delay."""

from __future__ import annotations

import random
import ssl

import httpx

from .errors import ClientError, StatusError, TransportError
from .wire import Request, without_credentials

FIRST_DELAY = 0.1
"""Seconds before the second attempt. Each further delay is twice as long; up to half of it is subtracted at random."""
MAX_DELAY = 5.0
"""Maximum seconds between two attempts, even if the server requests a longer delay."""

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.ProxyError)

_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNKNOWN_PROTOCOL"})
"""The reasons of OpenSSL for an answer that is no TLS; they depend on its version."""
_NO_TLS = "check that this port of the server has TLS, otherwise the client's url must begin with http://"


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
    advice = _NO_TLS if isinstance(error, httpx.ConnectError) and _lacks_tls(error) else ""
    was_sent = not isinstance(error, _NOT_SENT)
    return TransportError(without_credentials(request.url), reason, was_sent=was_sent, advice=advice)


def _lacks_tls(error: BaseException) -> bool:
    """Return whether a connection failed because the peer answered the TLS handshake with something else.

    The exception of TLS is among the causes of that of httpx.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause.reason in _NOT_TLS
        cause = cause.__cause__ or cause.__context__
    return False


_PHASES: dict[type[httpx.TimeoutException], tuple[str, str]] = {
    httpx.ConnectTimeout: ("connect", "no connection"),
    httpx.PoolTimeout: ("pool", "no free connection"),
    httpx.ReadTimeout: ("read", "no reply"),
    httpx.WriteTimeout: ("write", "request not sent"),
}
"""The setting of the httpx client that limits each phase of a request, and what had not happened at its end."""


def _limits(error: httpx.TimeoutException) -> str:
    """Return a description of the timeout that was reached, which is a setting of the httpx client."""
    setting, missing = _PHASES.get(type(error), _PHASES[httpx.ReadTimeout])
    limit = error.request.extensions["timeout"].get(setting)
    return missing if limit is None else f"{missing} within {limit:g} s"
