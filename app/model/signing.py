"""Creates and checks tokens and signatures: HMAC SHA-256 as lower-case hexadecimal text.

Specification: docs/tokens.md. Checks take constant time, so timing reveals nothing
about the expected value.
"""

from __future__ import annotations

import hmac
import re

from .keyed_hmac import keyed_hmac

CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Format of client IDs. No other texts may be signed as client IDs, because they could also be a user and timestamp."""


def sign(secret: str, data: bytes) -> str:
    """Return the hexadecimal HMAC SHA-256 of `data`, with the key `secret`."""
    return keyed_hmac(secret.encode()).hexdigest(data)


def client_token(secret: str, user: str, timestamp: str, info: str = "") -> str:
    """Return the token of `connect` and `refresh`; `timestamp` is Unix seconds as text, `info` JSON text."""
    return sign(secret, f"{user}{timestamp}{info}".encode())


def credentials(secret: str, user: str, timestamp: int, info: str = "") -> dict[str, str]:
    """Return the credentials that a client needs to connect or refresh as `user`: user, timestamp, info and token."""
    token = client_token(secret, user, str(timestamp), info)
    return {"user": user, "timestamp": str(timestamp), "info": info, "token": token}


def channel_sign(secret: str, client: str, channel: str, info: str = "") -> str:
    """Return the signature for subscribing to a private channel, valid for the connection with this client ID only."""
    return sign(secret, f"{client}{channel}{info}".encode())


def api_sign(secret: str, body: bytes) -> str:
    """Return the signature of an HTTP API request, computed over the bytes of its body."""
    return sign(secret, body)


def matches(expected: str, given: str) -> bool:
    """Compare two strings in constant time. `given` may contain any characters."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
