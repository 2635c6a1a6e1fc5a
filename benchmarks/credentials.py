"""What a backend signs with the secret it shares with the server."""

from __future__ import annotations

import hmac


def sign(secret: str, *parts: str) -> str:
    """HMAC SHA-256 over the parts with nothing in between, in hexadecimal; the token of a client."""
    return sign_bytes(secret, "".join(parts).encode())


def sign_bytes(secret: str, data: bytes) -> str:
    """The same over bytes; the sign of an API request."""
    return hmac.digest(secret.encode(), data, "sha256").hex()
