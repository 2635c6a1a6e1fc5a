"""Verifies tokens (JWT) of protocol version 2, and returns their claims. Specification: docs/jwt.md.

The signature is verified before any claim is read, with a key of the configuration or key set for this algorithm. The
algorithm `none` is not accepted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ...config.config import Config
from ...config.options import ConfigError
from .claims import (
    CheckLifetime,
    ConnectionToken,
    InvalidClaims,
    Lifetime,
    SubscriptionToken,
    read_connection,
    read_subscription,
)
from .signed_token import InvalidToken, SignedToken, split_token
from .token_keys import HMAC, Key, configured_keys, missing_key_advice, tried_keys

if TYPE_CHECKING:
    from .key_set import KeySet

log = logging.getLogger(__name__)

T = TypeVar("T")


class ExpiredToken(Exception):
    """The token has expired, or is not valid yet; the client can request a new one."""


class ForeignToken(Exception):
    """The token is valid, but for another user, channel or connection."""


def _key_set_at(url: str) -> KeySet | None:
    """Return the key set at a URL; None if the URL is empty."""
    if not url:
        return None
    # Imported only when needed, because it imports an HTTP client, which gevent must patch first.
    from .key_set import KeySet

    return KeySet(url)


def _by_algorithm(keys: Iterable[Key]) -> dict[str, list[Key]]:
    """Return the keys that verify tokens of each algorithm."""
    found: dict[str, list[Key]] = {}
    for key in keys:
        for algorithm in key.algorithms:
            found.setdefault(algorithm, []).append(key)
    return found


def _audiences(claims: Lifetime) -> Sequence[str]:
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud or ()


class TokenVerifier:
    """Verifies tokens with the keys of a configuration. `now` returns the Unix time in seconds."""

    def __init__(self, config: Config, now: Callable[[], float] = time.time) -> None:
        """Load the keys. Raises ConfigError for a key that cannot be used."""
        self._now = now
        self._config = config
        self._keys = _by_algorithm(configured_keys(config))
        self._key_set = _key_set_at(config.token_jwks_public_endpoint)

    def reload(self, config: Config) -> None:
        """Load the keys of another configuration. A key set at the same URL stays cached.

        If a key cannot be used, an error is logged and the current keys stay.
        """
        if config is self._config:
            return
        self._config = config
        try:
            self._keys = _by_algorithm(configured_keys(config))
        except ConfigError as error:
            log.error("cannot load the keys for tokens, keeping the current ones: %s", error)
        url = config.token_jwks_public_endpoint
        if self._key_set is None or self._key_set.url != url:
            self._key_set = _key_set_at(url)

    def connection(self, token: str) -> ConnectionToken:
        """Verify a connection token and return its claims.

        Raises InvalidToken, ExpiredToken, and KeysUnavailable if the key set with its key cannot be fetched.
        """
        return self._read(token, read_connection)

    def subscription(self, token: str, channel: str, user: str, client: str) -> SubscriptionToken:
        """Verify a subscription token that `user` presents over the connection `client`, and return its claims.

        Raises InvalidToken, ExpiredToken, KeysUnavailable, and ForeignToken if the token is for another user, channel
        or connection.
        """
        claims = self._read(token, read_subscription)
        if claims.channel != channel:
            raise ForeignToken("token is for another channel")
        if claims.client and claims.client != client:
            raise ForeignToken("token is for another connection")
        # Tokens for earlier versions name the connection instead of the user.
        if claims.user != user and (claims.user or not claims.client):
            raise ForeignToken("token is for another user")
        return claims

    def any_subscription(self, token: str) -> SubscriptionToken:
        """Verify a subscription token of any client, and return its claims.

        Raises InvalidToken, ExpiredToken and KeysUnavailable.
        """
        return self._read(token, read_subscription)

    def _read(self, token: str, read: Callable[[bytes, CheckLifetime], T]) -> T:
        payload = self._verify(token)
        try:
            return read(payload, self._check_lifetime)
        except InvalidClaims as error:
            raise InvalidToken(str(error)) from None

    def _verify(self, token: str) -> bytes:
        """Verify the signature of a token, and return its encoded claims. Raises InvalidToken and KeysUnavailable."""
        signed = split_token(token)
        keys = self._keys_for(signed)
        if not keys:
            advice = missing_key_advice(self._config, signed.algorithm, signed.kid)
            raise InvalidToken(f"no key is configured for alg {signed.algorithm!r} and kid {signed.kid!r}: {advice}")
        for key in keys:
            if key.verifies(signed.algorithm, signed.text, signed.signature):
                return signed.payload
        tried = tried_keys(self._config, signed.algorithm, signed.kid)
        raise InvalidToken(f"invalid signature: made with another key than {tried}, or the token was changed")

    def _keys_for(self, signed: SignedToken) -> Sequence[Key]:
        """Return the keys that may have signed a token. The key set is not for HMAC: it has only public keys."""
        if self._key_set is not None and signed.kid and signed.algorithm not in HMAC:
            key = self._key_set.find(signed.kid)
            return [key] if key is not None and signed.algorithm in key.algorithms else []
        return self._keys.get(signed.algorithm, ())

    def _check_lifetime(self, claims: Lifetime) -> None:
        now = self._now()
        if claims.exp is not None and claims.exp <= now:
            raise ExpiredToken(
                f"token has expired: claim exp is {now - claims.exp:.0f} s ago, claim sub is {claims.sub!r}"
            )
        if claims.nbf is not None and claims.nbf > now:
            raise ExpiredToken(f"token is not valid yet: claim nbf is {claims.nbf - now:.0f} s ahead of this clock")
        if self._config.token_audience and self._config.token_audience not in _audiences(claims):
            raise InvalidToken("token is for another audience (claim aud, option token_audience)")
        if self._config.token_issuer and claims.iss != self._config.token_issuer:
            raise InvalidToken("token is from another issuer (claim iss, option token_issuer)")
