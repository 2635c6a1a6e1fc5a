"""The keys in the configuration, and the algorithms that each of them verifies."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.protocol.v2.token_keys import configured_keys, key_of_jwk
from tests.token_keys import EC_KEYS, RSA_KEY, jwk, pem, private_key


def test_every_option_gives_a_key() -> None:
    config = Config(
        token_hmac_secret_key="new",
        token_hmac_previous_secret_key="old",
        token_rsa_public_key=pem(RSA_KEY),
        token_ecdsa_public_key=pem(EC_KEYS["ES384"]),
    )
    assert [sorted(key.algorithms) for key in configured_keys(config)] == [
        ["HS256", "HS384", "HS512"],
        ["HS256", "HS384", "HS512"],
        ["RS256", "RS384", "RS512"],
        ["ES384"],
    ]
    assert configured_keys(Config()) == []


def test_key_may_contain_escaped_line_ends() -> None:
    (key,) = configured_keys(Config(token_rsa_public_key=pem(RSA_KEY).replace("\n", "\\n")))
    assert key.material == RSA_KEY.public_key()


BROKEN = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
OTHER_CURVE = pem(ec.generate_private_key(ec.SECP256K1()))


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("token_rsa_public_key", BROKEN, "token_rsa_public_key: not a public key in PEM format"),
        ("token_ecdsa_public_key", BROKEN, "token_ecdsa_public_key: not a public key in PEM format"),
        ("token_rsa_public_key", pem(EC_KEYS["ES256"]), "token_rsa_public_key: not an RSA key"),
        ("token_ecdsa_public_key", pem(RSA_KEY), "token_ecdsa_public_key: not a key on one of the curves"),
        ("token_ecdsa_public_key", OTHER_CURVE, "token_ecdsa_public_key: not a key on one of the curves"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(option: str, value: str, problem: str) -> None:
    options: dict[str, Any] = {option: value}
    with pytest.raises(ConfigError, match=problem):
        configured_keys(Config(**options))


@pytest.mark.parametrize(
    ("algorithm", "fitting"),
    [
        ("RS256", {"RS256", "RS384", "RS512"}),
        ("ES256", {"ES256"}),
        ("ES384", {"ES384"}),
        ("ES512", {"ES512"}),
        ("EdDSA", {"EdDSA"}),
    ],
)
def test_a_key_of_a_set_has_the_algorithms_of_its_type(algorithm: str, fitting: set[str]) -> None:
    key = key_of_jwk(jwk(algorithm, "k"))
    assert key is not None
    assert set(key.algorithms) == fitting
    assert key.material == private_key(algorithm).public_key()


def test_a_key_of_a_set_may_name_its_algorithm() -> None:
    key = key_of_jwk(jwk("RS384", "k", alg="RS384", use="sig"))
    assert key is not None
    assert set(key.algorithms) == {"RS384"}


@pytest.mark.parametrize(
    "changed",
    [
        {"use": "enc"},
        {"alg": "ES256"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": 5},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": None},
        {"kty": ["RSA"]},
        {"n": "!"},
        {"n": 5},
        {"e": None},
        {"d": "AQAB"},
    ],
)
def test_unsupported_keys_of_a_set_are_omitted(changed: dict[str, Any]) -> None:
    assert key_of_jwk({**jwk("RS256", "k"), **changed}) is None


@pytest.mark.parametrize(
    ("kind", "curve"), [("EC", "secp256k1"), ("EC", None), ("EC", []), ("OKP", "Ed448"), ("OKP", "X25519")]
)
def test_keys_on_unsupported_curves_are_omitted(kind: str, curve: Any) -> None:
    assert key_of_jwk({"kty": kind, "crv": curve, "x": "AA", "y": "AA"}) is None
