"""What a backend signs with the secret it shares with the server."""

from __future__ import annotations

import hmac


def sign(secret: str, *parts: str) -> str:
    """The token of a client: HMAC SHA-256 of the concatenated parts, in hexadecimal."""
    return sign_bytes(secret, "".join(parts).encode())


def sign_bytes(secret: str, data: bytes) -> str:
    """The signature of an API request: HMAC SHA-256 of its body, in hexadecimal."""
    return hmac.digest(secret.encode(), data, "sha256").hex()
