"""The credentials with which a client connects and refreshes: a user, a time and info, signed by the backend."""

from __future__ import annotations

import re

from ...model import signing
from ...model.errors import CLOSE_INVALID_MESSAGE, CLOSE_INVALID_TOKEN, Closing
from . import wire

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
        raise Closing(CLOSE_INVALID_TOKEN)
    expected = signing.client_token(secret, user, timestamp, info)
    if not signing.matches(expected, params.token or ""):
        raise Closing(CLOSE_INVALID_TOKEN)
    if not TIMESTAMP.fullmatch(timestamp):
        raise Closing(CLOSE_INVALID_MESSAGE)
    return float(timestamp)
