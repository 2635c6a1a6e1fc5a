"""Recognizes times of a token that are in milliseconds instead of seconds, and lifetimes that are a Unix time.

A token with a claim in milliseconds is valid, and practically never expires. The server accepts it, as Centrifugo does,
and says so in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ...model.json_codec import decode_value
from ...runtime.log_throttle import ONCE, ThrottledLog

log = logging.getLogger(__name__)

MAX_UNIX_SECONDS = 100_000_000_000
"""The largest Unix time that can be in seconds: it is in the year 5138, and as milliseconds it would be in 1973."""
MIN_UNIX_TIME = 1_000_000_000
"""Seconds of a lifetime that is meant as a Unix time: as one it is in the year 2001, and as a lifetime 31 years."""
TIME_CLAIMS = ("exp", "expire_at", "nbf", "iat")
"""The claims that are Unix times in seconds."""

_accepted = ThrottledLog(log, logging.WARNING, interval=ONCE)


def is_in_milliseconds(unix_time: float) -> bool:
    """Return whether a time is too large to be in seconds."""
    return unix_time >= MAX_UNIX_SECONDS


def is_unix_time(lifetime: float) -> bool:
    """Return whether a lifetime in seconds is so long that it is probably the time at which it should end."""
    return lifetime >= MIN_UNIX_TIME


def note_expiry(kind: str, expires_at: float, user: str) -> None:
    """Log, once for each kind of token, that a valid one expires thousands of years from now."""
    if is_in_milliseconds(expires_at):
        _accepted.log(
            kind,
            "accepted a %s token of user %r that practically never expires: its claim exp or expire_at is %.0f, which "
            "looks like milliseconds; the backend must give seconds (logged once)",
            kind,
            user,
            expires_at,
        )


def find_milliseconds(payload: bytes) -> Iterator[str]:
    """Yield a sentence for each claim in milliseconds; `payload` has the claims of a token as a JSON object."""
    claims = decode_value(payload)
    for name in TIME_CLAIMS:
        value = claims.get(name)
        if isinstance(value, (int, float)) and is_in_milliseconds(value):
            seconds = f"{value / 1000:.0f}"
            yield f"claim {name} is {value:.0f}, which looks like milliseconds; it must be in seconds: {seconds}"
