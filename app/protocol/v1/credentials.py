"""The credentials with which a client connects and refreshes: a user, a time and info, signed by the backend."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...model import signing
from ...model.errors import CLOSE_INVALID_MESSAGE, CLOSE_INVALID_TOKEN, Closing
from . import wire

SHOWN_OF_USER = 100
"""Characters of a user, or of a timestamp, that the log shows at most."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)

TIMESTAMP = re.compile(r"[1-9][0-9]{9}", re.ASCII)
"""Unix seconds from 2001 until 2286, which have ten digits. The token does not say where its parts end: with more
digits the end of a user's id could pass for the beginning of the time, and with fewer digits a token for a channel, in
which a client's id comes first, could pass for one."""


def signed_at(secret: str, params: wire.ConnectParams) -> float:
    """Check the token of the params and return the Unix time at which the backend has signed them.

    Raises Closing when the token is wrong, when there is no secret to check it with, or when the time is not a time.
    """
    user, timestamp, info = params.user or "", params.timestamp or "", params.info or ""
    if not secret:  # the option insecure allows an empty one, with which anybody could sign
        raise Closing(CLOSE_INVALID_TOKEN, "the server has no secret (option secret) to check tokens with")
    expected = signing.client_token(secret, user, timestamp, info)
    if not signing.matches(expected, params.token or ""):
        reasons = "; ".join(_reasons(params.token or "", timestamp))
        raise Closing(CLOSE_INVALID_TOKEN, f"user {user[:SHOWN_OF_USER]!r} is claimed; {reasons}")
    if not TIMESTAMP.fullmatch(timestamp):
        raise Closing(CLOSE_INVALID_MESSAGE, f"user {user[:SHOWN_OF_USER]!r} is claimed; {_wrong_time(timestamp)}")
    return float(timestamp)


def _reasons(token: str, timestamp: str) -> Iterator[str]:
    """What may be wrong with a token that does not match. The token itself is a secret, and is not shown."""
    if not token:
        yield "the token is missing"
    elif _JWT.fullmatch(token):
        yield "the token is a JWT, as Centrifugo 2 and later take it, and not a signature in hexadecimal"
    elif not _DIGEST.fullmatch(token):
        yield f"the token is malformed: expected 64 lower-case hexadecimal digits, not these {len(token)} characters"
    else:
        yield "the token has the right form, but it was made with another secret, or for another user, time or info"
    if not TIMESTAMP.fullmatch(timestamp):
        yield _wrong_time(timestamp)


def _wrong_time(timestamp: str) -> str:
    return f"the timestamp {timestamp[:SHOWN_OF_USER]!r} is not in Unix seconds, which have ten digits"
