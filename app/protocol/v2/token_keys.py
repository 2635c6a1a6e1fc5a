"""The keys that verify tokens: those in the configuration, and the algorithms that each key may be used with.

The algorithm in a token only selects keys. It never changes how a key is used: a public key is never used for HMAC, and
a key on one curve never for another curve.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from ...config.config import Config
from ...config.options import ConfigError
from ...model.keyed_hmac import keyed_hmac

if TYPE_CHECKING:
    from hashlib import _Hash


class Algorithm(Protocol):
    """An algorithm for signatures, with the interface of PyJWT."""

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        """Return whether `sig` is a signature of `msg` that was made with `key`, or with its private key."""


class _HMACAlgorithm:
    """HMAC with a hash, such as hashlib.sha256. Unlike the algorithm of PyJWT, it processes each key only once."""

    def __init__(self, new: Callable[[bytes], _Hash]) -> None:
        self._new = new

    def verify(self, msg: bytes, key: bytes, sig: bytes) -> bool:
        return hmac.compare_digest(keyed_hmac(key, self._new).digest(msg), sig)


HMAC: Mapping[str, Algorithm] = {
    "HS256": _HMACAlgorithm(hashlib.sha256),
    "HS384": _HMACAlgorithm(hashlib.sha384),
    "HS512": _HMACAlgorithm(hashlib.sha512),
}
RSA: Mapping[str, Algorithm] = {
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
}
ECDSA: Mapping[str, Algorithm] = {
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "ES384": ECAlgorithm(ECAlgorithm.SHA384),
    "ES512": ECAlgorithm(ECAlgorithm.SHA512),
}
EDDSA: Mapping[str, Algorithm] = {"EdDSA": OKPAlgorithm()}
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
"""The algorithm for keys on each curve; no other algorithm may be used with them."""
_CURVES_OF_JWK = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class KeysUnavailable(Exception):
    """The keys cannot be fetched at the moment; the text says why."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, and the algorithms whose signatures it verifies."""

    material: Any
    """The bytes of an HMAC key, or a public key of the library `cryptography`."""
    algorithms: Mapping[str, Algorithm]

    def verifies(self, algorithm: str, text: bytes, signature: bytes) -> bool:
        """Return whether a signature over a text was made with this key and algorithm."""
        method = self.algorithms.get(algorithm)
        return method is not None and method.verify(text, self.material, signature)


def hmac_key(secret: str) -> Key:
    """Return the key for one HMAC secret, for all HMAC algorithms."""
    return Key(secret.encode(), HMAC)


def configured_keys(config: Config) -> Sequence[Key]:
    """Return the keys of the configuration, without those of a key set.

    Raises ConfigError for a key that cannot be used.
    """
    secrets = (config.token_hmac_secret_key, config.token_hmac_previous_secret_key)
    keys = [hmac_key(secret) for secret in secrets if secret]
    if config.token_rsa_public_key:
        public = _public_key("token_rsa_public_key", config.token_rsa_public_key)
        if not isinstance(public, RSAPublicKey):
            raise ConfigError(["token_rsa_public_key: not an RSA key"])
        keys.append(Key(public, RSA))
    if config.token_ecdsa_public_key:
        public = _public_key("token_ecdsa_public_key", config.token_ecdsa_public_key)
        if not isinstance(public, EllipticCurvePublicKey) or public.curve.name not in CURVES:
            raise ConfigError(["token_ecdsa_public_key: not a key on one of the curves P-256, P-384 and P-521"])
        keys.append(Key(public, _only(ECDSA, CURVES[public.curve.name])))
    return keys


def _public_key(name: str, pem: str) -> Any:
    """Load a public key in PEM. In an environment variable, `\\n` may stand for the line ends."""
    try:
        return load_pem_public_key(pem.replace("\\n", "\n").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError([f"{name}: not a public key in PEM format"]) from None


def _only(algorithms: Mapping[str, Algorithm], name: str) -> Mapping[str, Algorithm]:
    return {name: algorithms[name]}


def missing_key_advice(config: Config, algorithm: str, kid: str) -> str:
    """Return what to do, as the end of a sentence, about a token for whose algorithm and key ID there is no key."""
    if algorithm in HMAC:
        return "set option token_hmac_secret_key"
    if algorithm not in {**RSA, **ECDSA, **EDDSA}:
        return "this algorithm is not supported"
    if kid and config.token_jwks_public_endpoint:
        return "the key set of option token_jwks_public_endpoint has no such key"
    if algorithm in ECDSA and config.token_ecdsa_public_key:
        return "the key of option token_ecdsa_public_key is on another curve"
    if config.token_jwks_public_endpoint:
        return "the token names no key of the key set: add kid to its header"
    if algorithm in EDDSA:
        return "set option token_jwks_public_endpoint" + ("" if kid else ", and name a key of the set in the token")
    name = "token_rsa_public_key" if algorithm in RSA else "token_ecdsa_public_key"
    return f"set option {name}" + (" or token_jwks_public_endpoint" if kid else "")


def tried_keys(config: Config, algorithm: str, kid: str) -> str:
    """Return the keys with which the signature of a token was compared, as the end of a sentence."""
    if algorithm in HMAC:
        names = ("token_hmac_secret_key", "token_hmac_previous_secret_key")
        used = [name for name in names if getattr(config, name)]
        return f"{'options' if len(used) > 1 else 'option'} {' and '.join(used)}"
    if kid and config.token_jwks_public_endpoint:
        return f"key {kid!r} of the key set of option token_jwks_public_endpoint"
    return f"option token_{'rsa' if algorithm in RSA else 'ecdsa'}_public_key"


def key_of_jwk(jwk: Mapping[str, Any]) -> Key | None:
    """Return the public key of a JSON Web Key; None if it is not for signatures or its type is not supported."""
    algorithms = _algorithms_of_jwk(jwk)
    if not algorithms or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    try:
        return Key(jwt.PyJWK({**jwk, "alg": next(iter(algorithms))}).key, algorithms)
    except (jwt.PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _algorithms_of_jwk(jwk: Mapping[str, Any]) -> Mapping[str, Algorithm]:
    """Return the algorithms for the type of a key; if the key names an algorithm (`alg`), only that one."""
    kind, curve = jwk.get("kty"), jwk.get("crv")
    if kind == "RSA":
        fitting = RSA
    elif kind == "EC" and isinstance(curve, str) and curve in _CURVES_OF_JWK:
        fitting = _only(ECDSA, _CURVES_OF_JWK[curve])
    elif kind == "OKP" and curve == "Ed25519":
        fitting = EDDSA
    else:
        return {}
    named = jwk.get("alg")
    return {name: method for name, method in fitting.items() if named in (None, name)}
