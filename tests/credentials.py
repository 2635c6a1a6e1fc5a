"""Signatures and tokens of a backend, implemented from the documentation and independent of the package."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "secret"
"""The secret of test servers."""
API_KEY = "the key of the tests for the API of later versions"
"""The option `api_key` of test servers that use it."""
TOKEN_KEY = "the key of the tests for tokens of v2"
"""The option `token_hmac_secret_key` of test servers for clients of protocol v2."""


def sign(*parts: str, secret: str = SECRET) -> str:
    """HMAC SHA-256 over the parts, as hexadecimal text."""
    digest = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()


def connect_params(user: str, info: str = "", timestamp: int | None = None, secret: str = SECRET) -> dict[str, str]:
    """Return the params of a `connect` or `refresh` command; `timestamp` is now unless given."""
    when = str(int(time.time()) if timestamp is None else timestamp)
    params = {"user": user, "timestamp": when, "token": sign(user, when, info, secret=secret)}
    return params | {"info": info} if info else params


def private_params(client: str, channel: str, info: str = "", secret: str = SECRET) -> dict[str, str]:
    """Return the params of a `subscribe` command on a private channel."""
    params = {"channel": channel, "client": client, "sign": sign(client, channel, info, secret=secret)}
    return params | {"info": info} if info else params


def jwt(key: str = TOKEN_KEY, **claims: Any) -> str:
    """Return a JSON Web Token with these claims, signed with HS256 (RFC 7519)."""
    header = {"alg": "HS256", "typ": "JWT"}
    text = b".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((text, _base64url(hmac.digest(key.encode(), text, "sha256")))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
