"""The credentials with which a client connects and refreshes: a user, a time and info, signed by the backend."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...model import signing
from ...model.errors import CLOSE_INVALID_MESSAGE, CLOSE_INVALID_TOKEN, Closing
from . import wire

MAX_LOGGED_USER = 100
"""Maximum characters of a user in the log."""
MAX_LOGGED_TIMESTAMP = 20
"""Maximum characters of a timestamp in the log, so that a token in its place is not shown as a whole."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)

TIMESTAMP = re.compile(r"[1-9][0-9]{9}", re.ASCII)
"""Unix seconds from 2001 until 2286, which have ten digits. The token has no separators between its parts: with more
digits, the end of a user ID could be taken for the beginning of the time; with fewer digits, a signature for a channel,
which begins with a client ID, could be taken for a token."""


def signed_at(secret: str, params: wire.ConnectParams) -> float:
    """Check the token of the params and return the Unix time at which the backend has signed them.

    Raises Closing if the token or the timestamp is invalid, or if option secret is not set.
    """
    user, timestamp, info = params.user or "", params.timestamp or "", params.info or ""
    if not secret:  # option insecure allows an empty secret, with which anyone could create tokens
        raise Closing(CLOSE_INVALID_TOKEN, "cannot check tokens: option secret is not set", is_noted=True)
    expected = signing.client_token(secret, user, timestamp, info)
    if not signing.matches(expected, params.token or ""):
        reasons = "; ".join(_reasons(params.token or "", timestamp))
        raise Closing(CLOSE_INVALID_TOKEN, f"user {user[:MAX_LOGGED_USER]!r}: {reasons}", is_noted=True)
    if not TIMESTAMP.fullmatch(timestamp):
        why = f"user {user[:MAX_LOGGED_USER]!r}: {_invalid_timestamp_text(timestamp)}"
        raise Closing(CLOSE_INVALID_MESSAGE, why, is_noted=True)
    return float(timestamp)


def _reasons(token: str, timestamp: str) -> Iterator[str]:
    """Yield the reasons why a token may be invalid. The token itself is a secret, and is not shown."""
    if not token:
        yield "missing token"
    elif _JWT.fullmatch(token):
        yield "the token is a JWT, for Centrifugo 2 and later, but protocol version 1 requires an HMAC in hexadecimal"
    elif not _DIGEST.fullmatch(token):
        yield f"malformed token: expected 64 lower-case hexadecimal digits, not these {len(token)} characters"
    else:
        yield "the token was made with another secret, or for another user, timestamp or info"
    if not TIMESTAMP.fullmatch(timestamp):
        yield _invalid_timestamp_text(timestamp)


def _invalid_timestamp_text(timestamp: str) -> str:
    return f"invalid timestamp {timestamp[:MAX_LOGGED_TIMESTAMP]!r}: expected Unix seconds with ten digits"
