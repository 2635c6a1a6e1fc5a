"""Tokens and signatures of a backend, with the secret that it shares with the server."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any


def sign(secret: str, *parts: str) -> str:
    """Return the token of a client: HMAC SHA-256 of the concatenated parts, in hexadecimal."""
    return sign_bytes(secret, "".join(parts).encode())


def sign_bytes(secret: str, data: bytes) -> str:
    """Return the signature of an API request: HMAC SHA-256 of its body, in hexadecimal."""
    return hmac.digest(secret.encode(), data, "sha256").hex()


def jwt(secret: str, claims: dict[str, Any]) -> str:
    """Return a JSON Web Token, signed with HMAC SHA-256 (RFC 7519)."""
    signed = f"{_base64(_compact({'alg': 'HS256', 'typ': 'JWT'}))}.{_base64(_compact(claims))}"
    return f"{signed}.{_base64(hmac.digest(secret.encode(), signed.encode(), 'sha256'))}"


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
