"""Tokens and signs: HMAC SHA-256 over what they protect, as lower-case hex.

Specification: docs/tokens.md. Checks take the same time wherever the first wrong
character stands.
"""

from __future__ import annotations

import hmac


def sign(secret: str, *parts: str | bytes) -> str:
    """The hex digest over `parts`, one after the other with nothing in between."""
    text = b"".join(part.encode() if isinstance(part, str) else part for part in parts)
    return hmac.digest(secret.encode(), text, "sha256").hex()


def client_token(secret: str, user: str, timestamp: str, info: str = "") -> str:
    """The token of `connect` and `refresh`; `timestamp` is Unix seconds as text, `info` JSON text."""
    return sign(secret, user, timestamp, info)


def channel_sign(secret: str, client: str, channel: str, info: str = "") -> str:
    """The sign of a subscription on a private channel, bound to one connection by its client id."""
    return sign(secret, client, channel, info)


def api_sign(secret: str, body: bytes) -> str:
    """The sign of one HTTP API request, over its body byte for byte."""
    return sign(secret, body)


def matches(expected: str, given: str) -> bool:
    """Compare in constant time; anything may be `given`."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
