"""Tokens and signs: HMAC SHA-256 over what they protect, as lower-case hex.

Specification: docs/tokens.md. Checks take the same time wherever the first wrong
character stands.
"""

from __future__ import annotations

import hmac
import re
from functools import lru_cache

CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What clients' ids look like. Nothing else may be signed as one: it might read as a user and a time."""


def sign(secret: str, *parts: str | bytes) -> str:
    """The hex digest over `parts`, one after the other with nothing in between."""
    digest = _keyed(secret).copy()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


@lru_cache(maxsize=8)
def _keyed(secret: str) -> hmac.HMAC:
    """The digest of nothing, to be copied: to mix in the key takes longer than a small message."""
    return hmac.new(secret.encode(), digestmod="sha256")


def client_token(secret: str, user: str, timestamp: str, info: str = "") -> str:
    """The token of `connect` and `refresh`; `timestamp` is Unix seconds as text, `info` JSON text."""
    return sign(secret, user, timestamp, info)


def credentials(secret: str, user: str, timestamp: int, info: str = "") -> dict[str, str]:
    """All that a client needs to connect as `user`, or to go on."""
    token = client_token(secret, user, str(timestamp), info)
    return {"user": user, "timestamp": str(timestamp), "info": info, "token": token}


def channel_sign(secret: str, client: str, channel: str, info: str = "") -> str:
    """The sign of a subscription on a private channel, bound to one connection by its client id (see CLIENT_ID)."""
    return sign(secret, client, channel, info)


def api_sign(secret: str, body: bytes) -> str:
    """The sign of one HTTP API request, over its body byte for byte."""
    return sign(secret, body)


def matches(expected: str, given: str) -> bool:
    """Compare in constant time; anything may be `given`."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
