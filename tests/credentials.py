"""What an application backend signs for its clients, worked out from the documentation and not from our own code."""

from __future__ import annotations

import hashlib
import hmac
import time

SECRET = "secret"
"""The secret of test servers."""


def sign(*parts: str, secret: str = SECRET) -> str:
    """HMAC SHA-256 over the parts, as hexadecimal text."""
    digest = hmac.new(secret.encode(), digestmod=hashlib.sha256)
    for part in parts:
        digest.update(part.encode())
    return digest.hexdigest()


def connect_params(user: str, info: str = "", timestamp: int | None = None, secret: str = SECRET) -> dict[str, str]:
    """The params of a `connect` or `refresh` command; `timestamp` is now unless given."""
    when = str(int(time.time()) if timestamp is None else timestamp)
    params = {"user": user, "timestamp": when, "token": sign(user, when, info, secret=secret)}
    return params | {"info": info} if info else params


def private_params(client: str, channel: str, info: str = "", secret: str = SECRET) -> dict[str, str]:
    """The params of a `subscribe` command on a private channel."""
    params = {"channel": channel, "client": client, "sign": sign(client, channel, info, secret=secret)}
    return params | {"info": info} if info else params
