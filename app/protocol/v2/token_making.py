"""Creates tokens (JWT) for clients of protocol version 2, signed with HS256. Specification: docs/jwt.md."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ...model.events import user_id
from ...model.json_codec import encode_argument, encode_value
from .token_times import is_in_milliseconds, is_unix_time

TOKEN_HEADER = {"alg": "HS256", "typ": "JWT"}


def connection_token(
    secret: str,
    user: str | int,
    info: Any = None,
    channels: Collection[str] = (),
    expires: float | None = None,
    meta: Any = None,
) -> str:
    """Return a token with which a client connects as `user`, or as an anonymous user if `user` is empty.

    `info` is sent to other clients, and can be anything that JSON can express. The server subscribes the client to the
    `channels`. The connection expires after `expires` seconds, or never if it is None. Hooks read `meta`, which can be
    anything that JSON can express. Raises TypeError and ValueError for invalid arguments.
    """
    if isinstance(channels, str) or not all(isinstance(channel, str) and channel for channel in channels):
        raise TypeError(f"channels is {channels!r}; expected a list of names of channels")
    claims: dict[str, Any] = {"sub": user_id(user), **_common_claims(info, expires)}
    if channels:
        claims["channels"] = list(channels)
    if meta is not None:
        claims["meta"] = msgspec.Raw(encode_argument("meta", meta))
    return sign_token(secret, claims)


def subscription_token(
    secret: str, user: str | int, channel: str, info: Any = None, expires: float | None = None
) -> str:
    """Return a token with which clients of `user` subscribe to a channel.

    `info` and `expires` have the same meaning as for `connection_token`. Raises TypeError and ValueError.
    """
    if not isinstance(channel, str) or not channel:
        raise TypeError(f"channel is {channel!r}; expected the name of a channel")
    return sign_token(secret, {"sub": user_id(user), "channel": channel, **_common_claims(info, expires)})


def _common_claims(info: Any, expires: float | None) -> dict[str, Any]:
    now = int(time.time())
    claims: dict[str, Any] = {"iat": now}
    if expires is not None:
        if isinstance(expires, bool) or not isinstance(expires, (int, float)):
            raise TypeError(f"expires is {expires!r}; expected seconds")
        if not 0 < expires < float("inf"):
            raise ValueError(f"expires is {expires!r}; expected more than 0 seconds")
        if is_in_milliseconds(now + expires):
            raise ValueError(f"expires is {expires!r}; expected seconds from now, not milliseconds")
        if is_unix_time(expires):
            raise ValueError(f"expires is {expires!r}; expected seconds from now, not a Unix time")
        claims["exp"] = now + max(1, int(expires))
    return claims if info is None else {**claims, "info": msgspec.Raw(encode_argument("info", info))}


def sign_token(secret: str, claims: Mapping[str, Any]) -> str:
    """Return a token with these claims.

    Raises ValueError without a secret, and TypeError for what JSON cannot express.
    """
    if not secret:
        raise ValueError("cannot sign a token: option token_hmac_secret_key is not set")
    text = b".".join(map(_base64, (encode_value(TOKEN_HEADER), encode_value(dict(claims)))))
    signature = hmac.digest(secret.encode(), text, "sha256")
    return b".".join((text, _base64(signature))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
