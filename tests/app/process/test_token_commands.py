"""The commands that make and check tokens, without their command line."""

from __future__ import annotations

import json
from typing import Any

import jwt
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.process.token_commands import bare_token, claim_warnings, describe_token, make_token
from gentrifugo.app.protocol.v2.token_making import sign_token

KEY = "a key of some length for tokens, at least 32"
OTHER = "a key of some length for another purpose"


def refusal(config: Config, token: str) -> str:
    """The only problem that `checktoken` reports."""
    with pytest.raises(ConfigError) as caught:
        describe_token(config, token)
    (problem,) = caught.value.problems
    return problem


class TestExpires:
    @pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("1m30s", 90), ("90", 90), ("1.5h", 5400)])
    def test_a_lifetime_has_the_units_of_options(self, text: str, seconds: int) -> None:
        token = make_token(Config(token_hmac_secret_key=KEY), {"user": "42", "expires": text})
        claims = jwt.decode(token, KEY, ["HS256"])
        assert claims["exp"] - claims["iat"] == seconds

    @pytest.mark.parametrize("text", ["soon", "10 m", "nan", "1d", ""])
    def test_another_text_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match=r"--expires: .*; the value is"):
            make_token(Config(token_hmac_secret_key=KEY), {"user": "42", "expires": text})


class TestCopiedText:
    @pytest.mark.parametrize(
        "text",
        [
            "{}",
            " {}\n",
            '"{}"',
            "'{}'",
            "`{}`",
            "Bearer {}",
            "bearer  {}\r\n",
            '"Bearer {}"',
            'Bearer "{}"',
            "Authorization: Bearer {}",
            "Authorization: {}",
            "Bearer: {}",
            "authorization:bearer: '{}'",
        ],
    )
    def test_only_the_token_counts(self, text: str) -> None:
        token = sign_token(KEY, {"sub": "42"})
        assert bare_token(text.format(token)) == token


class TestMissingUser:
    @pytest.mark.parametrize("claims", [{"user": "42"}, {"sub": None}, {}])
    def test_a_connection_without_the_claim_sub_is_pointed_out(self, claims: dict[str, Any]) -> None:
        assert list(claim_warnings(sign_token(KEY, claims))) == ["claim sub is missing, so the user is anonymous"]

    @pytest.mark.parametrize("claims", [{"sub": "42"}, {"sub": ""}, {"channel": "news", "client": "c"}])
    def test_other_tokens_cause_no_warning(self, claims: dict[str, Any]) -> None:
        assert list(claim_warnings(sign_token(KEY, claims))) == []


class TestUnknownChannel:
    config = Config(token_hmac_secret_key=KEY, namespaces=(Namespace(name="chat"),))

    @pytest.mark.parametrize(
        ("claims", "where"),
        [
            ({"channels": ["news", "missing:a"]}, "claim channels or subs"),
            ({"subs": {"chat:a": {}, "missing:a": {}}}, "claim channels or subs"),
            ({"channel": "missing:a"}, "claim channel"),
        ],
    )
    def test_a_token_with_a_channel_of_an_unknown_namespace_is_refused(
        self, claims: dict[str, Any], where: str
    ) -> None:
        assert refusal(self.config, sign_token(KEY, {"sub": "42", **claims})) == (
            f"checktoken: the server refuses this token: {where}: unknown channel 'missing:a': "
            "namespace 'missing' is not in option namespaces (chat)"
        )

    def test_each_unknown_channel_is_one_problem(self) -> None:
        with pytest.raises(ConfigError, match=r"'a:a'.*; .*'b:b'") as caught:
            describe_token(self.config, sign_token(KEY, {"sub": "42", "channels": ["a:a", "chat:a", "b:b"]}))
        assert len(caught.value.problems) == 2

    @pytest.mark.parametrize("claims", [{"channels": ["chat:a", "news", "$chat:a"]}, {"channel": "chat:a"}])
    def test_a_token_with_known_channels_is_accepted(self, claims: dict[str, Any]) -> None:
        assert json.loads(describe_token(self.config, sign_token(KEY, {"sub": "42", **claims})))["user"] == "42"


class TestWrongKey:
    @pytest.mark.parametrize(
        ("name", "config"),
        [
            ("secret", Config(token_hmac_secret_key=KEY, secret=OTHER)),
            ("api_key", Config(token_hmac_secret_key=KEY, api_key=OTHER)),
        ],
    )
    def test_a_token_that_another_option_has_signed_is_recognized(self, name: str, config: Config) -> None:
        assert refusal(config, sign_token(OTHER, {"sub": "42"})) == (
            "checktoken: the server refuses this token: "
            "invalid signature: made with another key than option token_hmac_secret_key, or the token was changed; "
            f"it is signed with the option {name}; sign it with token_hmac_secret_key"
        )

    def test_wrong_key_is_recognized_without_a_key_for_tokens(self) -> None:
        assert refusal(Config(secret=OTHER), sign_token(OTHER, {"sub": "42"})) == (
            "checktoken: no key to verify tokens with: set an option such as token_hmac_secret_key; "
            "it is signed with the option secret; sign it with token_hmac_secret_key"
        )

    def test_a_token_with_an_unknown_signature_is_refused_without_a_guess(self) -> None:
        config = Config(token_hmac_secret_key=KEY, secret=OTHER)
        for token in (sign_token("neither", {"sub": "42"}), "a.b.c"):
            assert "it is signed with" not in refusal(config, token)

    def test_a_key_for_tokens_that_is_also_the_api_key_is_right(self) -> None:
        config = Config(token_hmac_secret_key=KEY, api_key=KEY)
        assert json.loads(describe_token(config, sign_token(KEY, {"sub": "42"})))["user"] == "42"
        assert "signed with" not in refusal(config, sign_token(KEY, {"sub": "42", "exp": 1}))
