"""Tokens of protocol version 2 (JWT): whether one counts, and what it says. Specification: docs/jwt.md.

The signature is checked before any claim is read, with a key that the configuration or the key set names for the
algorithm. `none` is no algorithm.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from ...config.config import Config
from ...config.options import ConfigError
from ...model.json_codec import InvalidJSON, decode
from .claims import (
    ConnectionToken,
    InvalidClaims,
    Lifetime,
    SubscriptionToken,
    read_connection,
    read_lifetime,
    read_subscription,
)
from .key_set import KeySet
from .token_keys import HMAC, Key, configured_keys

log = logging.getLogger(__name__)

T = TypeVar("T")


class InvalidToken(Exception):
    """The token is invalid and will not become valid; the text says why, for the log."""


class ExpiredToken(Exception):
    """The token has expired, or is not valid yet; a client can ask for a new one."""


class ForeignToken(Exception):
    """The token is valid, but for another user, channel or connection."""


class _Header(msgspec.Struct):
    alg: str
    kid: str = ""
    crit: msgspec.Raw = msgspec.Raw()


_header = msgspec.json.Decoder(_Header)


class SignedToken(NamedTuple):
    """The parts of a token, before anything in it is trusted."""

    algorithm: str
    kid: str
    text: bytes
    """What the signature is over."""
    payload: bytes
    signature: bytes


def split_token(token: str) -> SignedToken:
    """The parts of a token in compact form. Raises InvalidToken."""
    try:
        header, payload, signature = token.encode().split(b".")
        decoded = decode(_header, _from_base64(header))
        parts = _from_base64(payload), _from_base64(signature)
    except (InvalidJSON, ValueError):
        raise InvalidToken("it is not a JWT in compact form") from None
    if bytes(decoded.crit):
        raise InvalidToken("its header has extensions that must be understood (crit)")
    return SignedToken(decoded.alg, decoded.kid, header + b"." + payload, *parts)


_BASE64_URL = re.compile(rb"[A-Za-z0-9_-]*")


def _from_base64(data: bytes) -> bytes:
    """Decode base64url without padding. Raises ValueError."""
    if not _BASE64_URL.fullmatch(data):
        raise ValueError("not base64 for URLs without padding")
    try:
        return base64.urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    except binascii.Error as error:
        raise ValueError(str(error)) from None


class TokenVerifier:
    """Checks tokens with the keys of a configuration. `now` returns the Unix time in seconds."""

    def __init__(self, config: Config, now: Callable[[], float] = time.time) -> None:
        """Raises ConfigError for a key that cannot be used."""
        self._now = now
        self._config = config
        self._keys: Sequence[Key] = configured_keys(config)
        self._key_set = KeySet(config.token_jwks_public_endpoint) if config.token_jwks_public_endpoint else None

    def reload(self, config: Config) -> None:
        """Use another configuration; a key set at the same address stays.

        A key that cannot be used is logged, and then all keys stay as they were.
        """
        if config is self._config:
            return
        self._config = config
        try:
            self._keys = configured_keys(config)
        except ConfigError as error:
            log.error("the keys for tokens stay as they were: %s", error)
        url = config.token_jwks_public_endpoint
        if self._key_set is None or self._key_set.url != url:
            self._key_set = KeySet(url) if url else None

    def connection(self, token: str) -> ConnectionToken:
        """What the token of a connection says.

        Raises InvalidToken, ExpiredToken, and KeysUnavailable if the key set that has its key cannot be fetched.
        """
        return self._read(token, read_connection)

    def subscription(self, token: str, channel: str, user: str, client: str) -> SubscriptionToken:
        """What the token says that a user gives for a channel, over the connection with the id `client`.

        Raises as `connection` does, and ForeignToken if the token is for another user, channel or connection.
        """
        claims = self._read(token, read_subscription)
        if claims.channel != channel:
            raise ForeignToken("it is for another channel")
        if claims.client and claims.client != client:
            raise ForeignToken("it is for another connection")
        # Tokens for earlier versions name the connection instead of the user.
        if claims.user != user and (claims.user or not claims.client):
            raise ForeignToken("it is for another user")
        return claims

    def any_subscription(self, token: str) -> SubscriptionToken:
        """Return the claims of a subscription token of any client. Raises as `connection` does."""
        return self._read(token, read_subscription)

    def _read(self, token: str, read: Callable[[bytes], T]) -> T:
        payload = self._verified(token)
        try:
            self._check_lifetime(read_lifetime(payload))
            return read(payload)
        except InvalidClaims as error:
            raise InvalidToken(str(error)) from None

    def _verified(self, token: str) -> bytes:
        """The claims of a token whose signature is valid. Raises InvalidToken and KeysUnavailable."""
        signed = split_token(token)
        keys = list(self._keys_for(signed))
        if not keys:
            raise InvalidToken(f"there is no key for it (alg {signed.algorithm!r}, kid {signed.kid!r})")
        if not any(key.has_signed(signed.algorithm, signed.text, signed.signature) for key in keys):
            raise InvalidToken("its signature is wrong")
        return signed.payload

    def _keys_for(self, signed: SignedToken) -> Iterable[Key]:
        """The keys that may have signed a token. A key set has public keys only, so HMAC needs none of them."""
        if self._key_set is not None and signed.kid and signed.algorithm not in HMAC:
            key = self._key_set.find(signed.kid)
            return [key] if key is not None and signed.algorithm in key.algorithms else []
        return (key for key in self._keys if signed.algorithm in key.algorithms)

    def _check_lifetime(self, claims: Lifetime) -> None:
        now = self._now()
        if claims.exp is not None and claims.exp <= now:
            raise ExpiredToken("it has expired")
        if claims.nbf is not None and claims.nbf > now:
            raise ExpiredToken("it is not valid yet")
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if self._config.token_audience and self._config.token_audience not in audiences:
            raise InvalidToken("it is for another audience (claim aud)")
        if self._config.token_issuer and claims.iss != self._config.token_issuer:
            raise InvalidToken("it comes from another issuer (claim iss)")
