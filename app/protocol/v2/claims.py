"""Decodes the claims of tokens for connections and subscriptions, and checks their types.

Does not check signatures: pass only the claims of a token whose signature is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from ...model.json_codec import InvalidJSON, check_nesting, check_utf8, decode
from ...model.payload import json_or_base64
from ...model.subscription_options import UNCHANGED, OptionFields, SubscriptionOptions

T = TypeVar("T")
C = TypeVar("C", bound="_Claims")


class InvalidClaims(ValueError):
    """A claim is missing or has the wrong type; the text says which."""


class ConnectionToken(msgspec.Struct):
    """The claims of the token of a connection."""

    user: str
    """Empty for an anonymous user."""
    expires_at: float = 0
    """Unix time in seconds at which the connection expires; 0 if it does not."""
    info: bytes = b""
    """Sent to other clients as `conn_info`: JSON, or any bytes from the claim `b64info`."""
    channels: Mapping[str, SubscriptionOptions] = {}
    """The channels to which the server subscribes the client."""
    meta: bytes = b""
    """JSON that hooks of the server may read, and that is never sent to clients; empty for none."""
    token_id: str = ""
    issued_at: float = 0
    """Unix time in seconds; 0 if it is not known."""


class SubscriptionToken(msgspec.Struct, frozen=True):
    """The claims of the token of a subscription."""

    user: str
    channel: str
    client: str = ""
    """The only connection that may use the token; empty for all connections of the user."""
    expires_at: float = 0
    """Unix time in seconds at which the subscription expires; 0 if it does not."""
    options: SubscriptionOptions = UNCHANGED
    token_id: str = ""
    issued_at: float = 0
    """Unix time in seconds; 0 if it is not known."""


class _Lifetime(msgspec.Struct):
    """The claims of all tokens that determine whether a token is valid. A claim that is null counts as missing.

    Only a log line contains `sub`, so it may have any type.
    """

    exp: float | None = None
    nbf: float | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    sub: object = None


class _Claims(OptionFields):
    sub: str | None = None
    exp: float | None = None
    nbf: float | None = None
    aud: str | list[str] | None = None
    iss: str | None = None
    expire_at: float | None = None
    jti: str | None = None
    iat: float | None = None


class _ConnectionClaims(_Claims):
    channels: list[str] | None = None
    subs: dict[str, OptionFields | None] | None = None
    meta: Raw = Raw()
    channel: str | None = None


class _SubscriptionClaims(_Claims):
    channel: str | None = None
    client: str | None = None


class _Subs(msgspec.Struct):
    subs: dict[str, Raw]


_lifetime = msgspec.json.Decoder(_Lifetime)
_connection = msgspec.json.Decoder(_ConnectionClaims)
_subscription = msgspec.json.Decoder(_SubscriptionClaims)
_subs = msgspec.json.Decoder(_Subs)
_sub = msgspec.json.Decoder(OptionFields | None)
_SOME_CHANNEL = "$.subs[...]"
"""The place in an error of msgspec for the options of any channel."""


Lifetime: TypeAlias = _Lifetime | _Claims
"""The claims that determine whether a token is valid, alone if other claims have wrong types."""

CheckLifetime: TypeAlias = Callable[[Lifetime], None]
"""Raises an exception for a token that is not valid now, or not valid for this server."""


def read_connection(payload: bytes, check: CheckLifetime) -> ConnectionToken:
    """Decode the claims of a connection token. Calls `check`, and raises InvalidClaims.

    A token with the claim `channel` is refused, as in Centrifugo: it allows a subscription, and nothing else.
    """
    claims = _decode_checked(_connection, payload, check)
    token = ConnectionToken(
        claims.sub or "",
        _expires_at(claims),
        _payload("info", claims.info, claims.b64info),
        _channels(claims) if claims.channels or claims.subs else {},
        _payload("meta", claims.meta, None),
        claims.jti or "",
        claims.iat or 0,
    )
    if claims.channel:
        raise InvalidClaims("it is a subscription token, with the claim channel, and not a connection token")
    return token


def _channels(claims: _ConnectionClaims) -> dict[str, SubscriptionOptions]:
    channels = {channel: SubscriptionOptions() for channel in claims.channels or ()}
    channels |= {channel: (given or OptionFields()).options(_payload) for channel, given in (claims.subs or {}).items()}
    if "" in channels:
        raise InvalidClaims("empty channel name in the claims")
    return channels


def read_subscription(payload: bytes, check: CheckLifetime) -> SubscriptionToken:
    """Decode the claims of a subscription token. Calls `check`, and raises InvalidClaims."""
    claims = _decode_checked(_subscription, payload, check)
    if not claims.channel:
        raise InvalidClaims("missing claim channel")
    return SubscriptionToken(
        user=claims.sub or "",
        channel=claims.channel,
        client=claims.client or "",
        expires_at=_expires_at(claims),
        options=claims.options(_payload),
        token_id=claims.jti or "",
        issued_at=claims.iat or 0,
    )


def _decode_checked(decoder: msgspec.json.Decoder[C], payload: bytes, check: CheckLifetime) -> C:
    """Decode all claims of a token. An expired token is reported as such, even if other claims are invalid."""
    try:
        claims = _decode(decoder, payload)
    except InvalidClaims:
        check(_decode(_lifetime, payload))
        raise
    check(claims)
    return claims


def _decode(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    try:
        if not payload.isascii():  # hardly any token has other bytes
            check_utf8(payload)
        check_nesting(payload)
        return decode(decoder, payload)
    except InvalidJSON as error:
        raise InvalidClaims(f"invalid claims: {_with_channel(str(error), payload)}") from None


def _with_channel(error: str, payload: bytes) -> str:
    """Return the text of an error with the name of the channel, if it is about the options of a channel in `subs`."""
    with suppress(InvalidJSON):  # of a claim that occurs twice
        for channel, options in decode(_subs, payload).subs.items() if _SOME_CHANNEL in error else ():
            try:
                decode(_sub, bytes(options))
            except InvalidJSON:
                return error.replace(_SOME_CHANNEL, f"$.subs[{channel!r}]")
    return error


def _expires_at(claims: _Claims) -> float:
    """Return when a connection or subscription expires: the claim expire_at or, without it, exp; 0 for never."""
    expires_at = claims.exp if claims.expire_at is None else claims.expire_at
    return expires_at or 0


def _payload(name: str, json: Raw, encoded: str | None) -> bytes:
    """Return a payload from a claim in JSON, or from a claim in Base64, which takes precedence."""
    try:
        return json_or_base64(json, encoded)
    except ValueError:
        raise InvalidClaims(f"claim b64{name} is not Base64") from None
