"""Valid and invalid tokens: algorithms, keys, times, audiences, and attacks."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.config.config import Config
from gentrifugo.app.protocol.v2.signed_token import InvalidToken
from gentrifugo.app.protocol.v2.token_keys import KeysUnavailable
from gentrifugo.app.protocol.v2.tokens import ExpiredToken, ForeignToken, TokenVerifier
from tests.token_keys import EC_KEYS, HMAC_KEY, RSA_KEY, KeyServer, jwk, key_server, pem, token

pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
NOW = 1_800_000_000.0
HMAC = Config(token_hmac_secret_key=HMAC_KEY)
KEY_SET = Config(token_jwks_public_endpoint="https://keys.example/jwks")
EVERY_KEY = Config(
    token_hmac_secret_key=HMAC_KEY,
    token_rsa_public_key=pem(RSA_KEY),
    token_ecdsa_public_key=pem(EC_KEYS["ES256"]),
)
ANN = {"sub": "ann"}


def verifier(config: Config = HMAC) -> TokenVerifier:
    """A verifier with a fixed time."""
    return TokenVerifier(config, now=lambda: NOW)


def encoded(value: Any) -> str:
    """A part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
def keys() -> Iterator[KeyServer]:
    """A server with a key of each kind, named like its algorithm."""
    with key_server() as running:
        running.keys = [jwk(name, name) for name in ("RS256", "ES256", "ES384", "ES512", "EdDSA")]
        yield running


class TestAlgorithms:
    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256"])
    def test_configured_keys_verify_tokens(self, algorithm: str) -> None:
        assert verifier(EVERY_KEY).connection(token(ANN, algorithm)).user == "ann"

    def test_the_word_bearer_before_a_token_is_named(self) -> None:
        with pytest.raises(InvalidToken, match="compact form; leave out the word Bearer"):
            verifier(EVERY_KEY).connection(f"Bearer {token(ANN, 'HS256')}")

    @pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
    def test_curve_of_a_key_determines_its_algorithm(self, algorithm: str) -> None:
        checked = verifier(Config(token_ecdsa_public_key=pem(EC_KEYS[algorithm])))
        assert checked.connection(token(ANN, algorithm)).user == "ann"
        for other in EC_KEYS.keys() - {algorithm}:
            with pytest.raises(InvalidToken, match="no key"):
                checked.connection(token(ANN, other))

    @pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512", "EdDSA"])
    def test_keys_of_a_key_set_verify_tokens(self, keys: KeyServer, algorithm: str) -> None:
        checked = verifier(Config(token_jwks_public_endpoint=keys.url))
        assert checked.connection(token(ANN, algorithm, kid=algorithm)).user == "ann"

    @pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "hs256", "PS256", "HS1", "ES256K", "dir"])
    def test_unsupported_algorithms_are_refused(self, algorithm: str) -> None:
        for signature in ("", "AAAA"):
            with pytest.raises(InvalidToken):
                verifier(EVERY_KEY).connection(f"{encoded({'alg': algorithm})}.{encoded(ANN)}.{signature}")

    def test_a_token_without_a_signature_is_refused(self) -> None:
        with pytest.raises(InvalidToken):
            verifier(EVERY_KEY).connection(jwt.encode(ANN, "", "none"))
        for algorithm in ("HS256", "RS256", "ES256"):
            with pytest.raises(InvalidToken, match="signature"):
                verifier(EVERY_KEY).connection(f"{encoded({'alg': algorithm})}.{encoded(ANN)}.")

    @pytest.mark.parametrize("public", [pem(RSA_KEY), pem(RSA_KEY).strip(), pem(EC_KEYS["ES256"])])
    def test_public_key_is_not_used_as_hmac_key(self, public: str) -> None:
        text = f"{encoded({'alg': 'HS256'})}.{encoded(ANN)}"
        method = jwt.get_algorithm_by_name("HS256")
        forged = f"{text}.{encoded(method.sign(text.encode(), public.encode()))}"
        for config in (
            EVERY_KEY,
            Config(token_rsa_public_key=pem(RSA_KEY), token_ecdsa_public_key=pem(EC_KEYS["ES256"])),
        ):
            with pytest.raises(InvalidToken):
                verifier(config).connection(forged)

    def test_an_hmac_token_is_refused_where_only_a_public_key_is_configured(self) -> None:
        with pytest.raises(InvalidToken, match="no key"):
            verifier(Config(token_rsa_public_key=pem(RSA_KEY))).connection(token(ANN))

    def test_key_of_a_set_is_not_used_as_hmac_key(self, keys: KeyServer) -> None:
        with pytest.raises(InvalidToken, match="no key"):
            verifier(Config(token_jwks_public_endpoint=keys.url)).connection(token(ANN, "HS256", kid="RS256"))

    def test_a_key_of_a_set_is_used_with_its_own_algorithms(self, keys: KeyServer) -> None:
        checked = verifier(Config(token_jwks_public_endpoint=keys.url))
        for algorithm, kid in (("ES256", "RS256"), ("RS256", "ES256"), ("EdDSA", "ES256"), ("ES384", "ES256")):
            with pytest.raises(InvalidToken, match="no key"):
                checked.connection(token(ANN, algorithm, kid=kid))

    def test_a_key_of_a_set_may_allow_one_algorithm_only(self, keys: KeyServer) -> None:
        keys.keys = [jwk("RS256", "r", alg="RS256")]
        checked = verifier(Config(token_jwks_public_endpoint=keys.url))
        assert checked.connection(token(ANN, "RS256", kid="r")).user == "ann"
        with pytest.raises(InvalidToken, match="no key"):
            checked.connection(token(ANN, "RS512", kid="r"))


class TestAdvice:
    """What the refusal of a token says when no key fits it."""

    @pytest.mark.parametrize(
        ("algorithm", "kid", "config", "advice"),
        [
            ("HS256", "", Config(), "set option token_hmac_secret_key"),
            ("HS512", "k", Config(), "set option token_hmac_secret_key"),
            ("RS256", "", HMAC, "set option token_rsa_public_key"),
            ("RS256", "k", HMAC, "set option token_rsa_public_key or token_jwks_public_endpoint"),
            ("ES384", "", HMAC, "set option token_ecdsa_public_key"),
            ("ES384", "", EVERY_KEY, "the key of option token_ecdsa_public_key is on another curve"),
            ("EdDSA", "k", EVERY_KEY, "set option token_jwks_public_endpoint"),
            ("EdDSA", "", HMAC, "set option token_jwks_public_endpoint, and name a key of the set in the token"),
            ("RS256", "", KEY_SET, "the token names no key of the key set: add kid to its header"),
            ("EdDSA", "", KEY_SET, "the token names no key of the key set: add kid to its header"),
            ("PS256", "", EVERY_KEY, "this algorithm is not supported"),
        ],
    )
    def test_refusal_names_the_option_of_the_algorithm(
        self, algorithm: str, kid: str, config: Config, advice: str
    ) -> None:
        with pytest.raises(InvalidToken) as caught:
            verifier(config).connection(f"{encoded({'alg': algorithm, 'kid': kid})}.{encoded(ANN)}.AAAA")
        assert str(caught.value) == f"no key is configured for alg {algorithm!r} and kid {kid!r}: {advice}"

    def test_a_key_that_a_set_does_not_have_is_pointed_out(self, keys: KeyServer) -> None:
        with pytest.raises(InvalidToken, match="the key set of option token_jwks_public_endpoint has no such key"):
            verifier(Config(token_jwks_public_endpoint=keys.url)).connection(token(ANN, "RS256", kid="unknown"))


class TestKeys:
    def test_another_key_is_refused(self) -> None:
        with pytest.raises(InvalidToken, match="signature"):
            verifier().connection(token(ANN, key="another key of 32 bytes or more bytes"))

    @pytest.mark.parametrize(
        ("algorithm", "config", "tried"),
        [
            ("HS256", HMAC, "option token_hmac_secret_key"),
            (
                "HS512",
                Config(token_hmac_secret_key=HMAC_KEY, token_hmac_previous_secret_key="earlier"),
                "options token_hmac_secret_key and token_hmac_previous_secret_key",
            ),
            ("RS256", Config(token_rsa_public_key=pem(RSA_KEY)), "option token_rsa_public_key"),
            ("ES256", Config(token_ecdsa_public_key=pem(EC_KEYS["ES256"])), "option token_ecdsa_public_key"),
        ],
    )
    def test_invalid_signature_names_the_keys_that_were_tried(self, algorithm: str, config: Config, tried: str) -> None:
        with pytest.raises(InvalidToken) as caught:
            verifier(config).connection(f"{token(ANN, algorithm)[:-8]}AAAAAAAA")
        assert str(caught.value) == f"invalid signature: made with another key than {tried}, or the token was changed"

    def test_invalid_signature_names_the_key_of_a_set(self, keys: KeyServer) -> None:
        checked = verifier(Config(token_jwks_public_endpoint=keys.url))
        with pytest.raises(InvalidToken, match="another key than key 'RS256' of the key set of option token_jwks_"):
            checked.connection(f"{token(ANN, 'RS256', kid='RS256')[:-8]}AAAAAAAA")

    def test_short_hmac_key_is_accepted(self) -> None:
        assert verifier(Config(token_hmac_secret_key="short")).connection(token(ANN, key="short")).user == "ann"

    def test_tokens_signed_with_the_previous_key_are_accepted(self) -> None:
        config = Config(token_hmac_secret_key="the new one", token_hmac_previous_secret_key=HMAC_KEY)
        assert verifier(config).connection(token(ANN)).user == "ann"
        assert verifier(config).connection(token(ANN, key="the new one")).user == "ann"

    def test_no_token_is_valid_without_any_key(self) -> None:
        for key in ("", HMAC_KEY):
            with pytest.raises(InvalidToken, match="no key"):
                verifier(Config(secret="secret")).connection(forged_with(key))

    def test_secret_of_protocol_v1_is_not_a_key_for_tokens(self) -> None:
        with pytest.raises(InvalidToken):
            verifier(Config(secret=HMAC_KEY, token_hmac_secret_key="another")).connection(token(ANN))

    def test_an_unknown_key_of_a_set_is_refused(self, keys: KeyServer) -> None:
        checked = verifier(Config(token_jwks_public_endpoint=keys.url))
        for number in range(50):
            with pytest.raises(InvalidToken, match="no key"):
                checked.connection(token(ANN, "RS256", kid=f"unknown {number}"))
        assert keys.requests == 1

    def test_a_token_without_a_key_id_is_checked_with_the_keys_of_the_configuration(self, keys: KeyServer) -> None:
        config = Config(token_jwks_public_endpoint=keys.url, token_rsa_public_key=pem(RSA_KEY))
        assert verifier(config).connection(token(ANN, "RS256")).user == "ann"
        assert keys.requests == 0

    def test_unavailable_key_set_is_not_an_invalid_token(self, keys: KeyServer) -> None:
        keys.status = 500
        with pytest.raises(KeysUnavailable):
            verifier(Config(token_jwks_public_endpoint=keys.url)).connection(token(ANN, "RS256", kid="RS256"))

    def test_other_keys_count_after_a_reload(self, keys: KeyServer) -> None:
        checked = verifier()
        checked.reload(HMAC)
        checked.reload(Config(token_hmac_secret_key="new", token_jwks_public_endpoint=keys.url))
        assert checked.connection(token(ANN, key="new")).user == "ann"
        assert checked.connection(token(ANN, "EdDSA", kid="EdDSA")).user == "ann"
        with pytest.raises(InvalidToken):
            checked.connection(token(ANN))
        checked.reload(Config(token_hmac_secret_key="newer", token_jwks_public_endpoint=keys.url))
        assert checked.connection(token(ANN, "EdDSA", kid="EdDSA")).user == "ann"
        assert keys.requests == 1
        checked.reload(HMAC)
        with pytest.raises(InvalidToken):
            checked.connection(token(ANN, "EdDSA", kid="EdDSA"))

    def test_a_reload_with_a_broken_key_changes_no_key(self, caplog: pytest.LogCaptureFixture) -> None:
        checked = verifier()
        checked.reload(Config(token_rsa_public_key=pem(EC_KEYS["ES256"])))
        assert checked.connection(token(ANN)).user == "ann"
        assert (
            "cannot load the keys for tokens, keeping the current ones: token_rsa_public_key: not an RSA key"
            in caplog.text
        )


def forged_with(key: str) -> str:
    """An HMAC token with any key, also an empty one."""
    text = f"{encoded({'alg': 'HS256'})}.{encoded(ANN)}"
    return f"{text}.{encoded(jwt.get_algorithm_by_name('HS256').sign(text.encode(), key.encode()))}"


class TestTimes:
    def test_a_token_is_valid_until_it_expires(self) -> None:
        assert verifier().connection(token({"exp": NOW + 1})).expires_at == NOW + 1
        for expired in (NOW, NOW - 1, 0):
            with pytest.raises(ExpiredToken, match=f"has expired: claim exp is {NOW - expired:.0f} s ago"):
                verifier().connection(token({"exp": expired}))

    def test_a_token_is_valid_from_a_time_on(self) -> None:
        assert verifier().connection(token({"nbf": NOW})).user == ""
        with pytest.raises(ExpiredToken, match="not valid yet: claim nbf is 1 s ahead"):
            verifier().connection(token({"nbf": NOW + 1}))

    def test_an_expired_token_is_refused_also_if_the_connection_does_not_expire(self) -> None:
        assert verifier().connection(token({"exp": NOW + 1, "expire_at": 0})).expires_at == 0
        with pytest.raises(ExpiredToken):
            verifier().connection(token({"exp": NOW - 1, "expire_at": 0}))

    def test_wrong_signature_takes_precedence_over_expiry(self) -> None:
        with pytest.raises(InvalidToken, match="signature"):
            verifier().connection(token({"exp": NOW - 1}, key="another key of 32 bytes or more bytes"))

    def test_verifier_uses_the_time_of_the_machine(self) -> None:
        assert TokenVerifier(HMAC).connection(token({"sub": "ann", "exp": time.time() + 60})).user == "ann"
        with pytest.raises(ExpiredToken):
            TokenVerifier(HMAC).connection(token({"sub": "ann", "exp": time.time() - 1}))


class TestAudienceAndIssuer:
    @pytest.mark.parametrize("audience", ["us", ["them", "us"]])
    def test_the_right_audience_is_accepted(self, audience: Any) -> None:
        config = Config(token_hmac_secret_key=HMAC_KEY, token_audience="us")
        assert verifier(config).connection(token({"aud": audience, "sub": "ann"})).user == "ann"

    @pytest.mark.parametrize("claims", [{}, {"aud": "them"}, {"aud": []}, {"aud": ["them"]}, {"aud": "us "}])
    def test_another_audience_is_refused(self, claims: dict[str, Any]) -> None:
        config = Config(token_hmac_secret_key=HMAC_KEY, token_audience="us")
        with pytest.raises(InvalidToken, match="audience"):
            verifier(config).connection(token(claims))

    def test_the_right_issuer_is_accepted(self) -> None:
        config = Config(token_hmac_secret_key=HMAC_KEY, token_issuer="us")
        assert verifier(config).connection(token({"iss": "us", "sub": "ann"})).user == "ann"

    @pytest.mark.parametrize("claims", [{}, {"iss": "them"}, {"iss": "u"}])
    def test_another_issuer_is_refused(self, claims: dict[str, Any]) -> None:
        config = Config(token_hmac_secret_key=HMAC_KEY, token_issuer="us")
        with pytest.raises(InvalidToken, match="issuer"):
            verifier(config).connection(token(claims))

    def test_audience_and_issuer_are_ignored_without_the_options(self) -> None:
        assert verifier().connection(token({"aud": "them", "iss": "them", "sub": "ann"})).user == "ann"

    def test_audience_and_issuer_are_checked_for_subscriptions(self) -> None:
        config = Config(token_hmac_secret_key=HMAC_KEY, token_audience="us")
        with pytest.raises(InvalidToken, match="audience"):
            verifier(config).subscription(token({"channel": "news"}), "news", "", "c1")


class TestSubscriptions:
    def test_the_token_of_the_user_and_the_channel_is_accepted(self) -> None:
        claims = {"sub": "ann", "channel": "news", "info": {"x": 1}}
        accepted = verifier().subscription(token(claims), "news", "ann", "c1")
        assert (accepted.user, accepted.channel, accepted.options.info) == ("ann", "news", b'{"x":1}')

    @pytest.mark.parametrize(("channel", "user"), [("other", "ann"), ("news", "bob"), ("news", "")])
    def test_token_for_another_user_or_channel_is_refused(self, channel: str, user: str) -> None:
        with pytest.raises(ForeignToken):
            verifier().subscription(token({"sub": "ann", "channel": "news"}), channel, user, "c1")

    def test_a_token_may_name_the_connection_instead_of_the_user(self) -> None:
        claims = token({"client": "c1", "channel": "news"})
        assert verifier().subscription(claims, "news", "ann", "c1").client == "c1"
        with pytest.raises(ForeignToken, match="another connection"):
            verifier().subscription(claims, "news", "ann", "c2")

    def test_a_token_that_names_both_is_for_both(self) -> None:
        claims = token({"client": "c1", "sub": "ann", "channel": "news"})
        assert verifier().subscription(claims, "news", "ann", "c1").user == "ann"
        for user, client in (("bob", "c1"), ("ann", "c2"), ("", "c1")):
            with pytest.raises(ForeignToken):
                verifier().subscription(claims, "news", user, client)

    def test_expired_subscription_token_is_expired_for_any_channel(self) -> None:
        with pytest.raises(ExpiredToken):
            verifier().subscription(token({"sub": "ann", "channel": "news", "exp": NOW - 1}), "other", "bob", "c1")

    def test_connection_token_is_not_a_subscription_token(self) -> None:
        with pytest.raises(InvalidToken, match="channel"):
            verifier().subscription(token(ANN), "news", "ann", "c1")

    def test_token_of_any_client_can_be_decoded(self) -> None:
        assert verifier().any_subscription(token({"sub": "ann", "channel": "news"})).user == "ann"


HEADER = encoded({"alg": "HS256"})


class TestForm:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            ".",
            "..",
            "...",
            "a.b",
            f"{HEADER}.{encoded(ANN)}",
            f"{HEADER}.{encoded(ANN)}.A.A",
            f"{HEADER}.{encoded(ANN)}.!",
            f"{HEADER}.{encoded(ANN)}.A",
            f"{HEADER}.{encoded(ANN)}=.AAAA",
            f"{encoded([])}.{encoded(ANN)}.AAAA",
            f"{encoded({})}.{encoded(ANN)}.AAAA",
            f"{encoded({'alg': 5})}.{encoded(ANN)}.AAAA",
            f"{encoded({'alg': None})}.{encoded(ANN)}.AAAA",
            f"{encoded({'alg': 'HS256', 'kid': 5})}.{encoded(ANN)}.AAAA",
            f"{encoded(b'{')}.{encoded(ANN)}.AAAA",
            f"{encoded(b'[' * 5000)}.{encoded(ANN)}.AAAA",
            "ä.ö.ü",
            "\udc80.a.b",
        ],
    )
    def test_invalid_token_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidToken):
            verifier().connection(text)

    def test_a_token_with_extensions_is_refused(self) -> None:
        with pytest.raises(InvalidToken, match="crit"):
            verifier().connection(token(ANN, crit=["exp"]))

    def test_a_changed_token_is_refused(self) -> None:
        header, payload, signature = token(ANN).split(".")
        for changed in (
            f"{header}.{encoded({'sub': 'bob'})}.{signature}",
            f"{encoded({'alg': 'HS512', 'typ': 'JWT'})}.{payload}.{signature}",
            f"{header}.{payload}.{signature[:-4]}",
            f"{header}.{payload}.{signature}AAAA",
        ):
            with pytest.raises(InvalidToken):
                verifier().connection(changed)

    @pytest.mark.parametrize("claims", [{"sub": 42}, {"channels": "news"}, {"exp": "soon"}, {"exp": 10**400}])
    def test_wrong_claims_are_refused(self, claims: dict[str, Any]) -> None:
        text = f"{HEADER}.{encoded(claims)}"
        signature = jwt.get_algorithm_by_name("HS256").sign(text.encode(), HMAC_KEY.encode())
        with pytest.raises(InvalidToken, match="invalid claims"):
            verifier().connection(f"{text}.{encoded(signature)}")

    @given(text=st.text(max_size=60) | st.lists(st.binary(max_size=30).map(encoded), max_size=4).map(".".join))
    def test_random_texts_are_refused_as_tokens(self, text: str) -> None:
        with pytest.raises(InvalidToken):
            verifier(EVERY_KEY).connection(text)
