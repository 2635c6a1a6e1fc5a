"""Tokens that this server creates: their claims, and that other libraries accept them."""

from __future__ import annotations

import time
from typing import Any

import jwt
import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.model.subscription_options import SubscriptionOptions
from gentrifugo.app.protocol.v2.token_making import connection_token, subscription_token
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.token_keys import HMAC_KEY

VERIFIER = TokenVerifier(Config(token_hmac_secret_key=HMAC_KEY))


def test_other_libraries_accept_the_tokens() -> None:
    token = connection_token(HMAC_KEY, 42, {"name": "Änn"}, ["a"], 60)
    claims = jwt.decode(token, HMAC_KEY, ["HS256"])
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
    assert claims["exp"] - claims["iat"] == 60
    assert (claims["sub"], claims["info"], claims["channels"]) == ("42", {"name": "Änn"}, ["a"])


def test_server_accepts_the_tokens() -> None:
    before = int(time.time())
    connection = VERIFIER.connection(connection_token(HMAC_KEY, "ann", [1], ["a", "b"], expires=0.5))
    assert (connection.user, connection.info) == ("ann", b"[1]")
    assert connection.channels == {"a": SubscriptionOptions(), "b": SubscriptionOptions()}
    assert connection.expires_at == connection.issued_at + 1 > before
    subscription = VERIFIER.subscription(subscription_token(HMAC_KEY, 42, "news", {"x": 1}), "news", "42", "c1")
    assert (subscription.options.info, subscription.expires_at) == (b'{"x":1}', 0)


def test_token_contains_only_required_claims() -> None:
    assert jwt.decode(connection_token(HMAC_KEY, ""), HMAC_KEY, ["HS256"]).keys() == {"sub", "iat"}


@pytest.mark.parametrize("user", [None, True, 1.5, b"x", ["x"]])
def test_a_user_is_text_or_a_number(user: Any) -> None:
    with pytest.raises(TypeError):
        connection_token(HMAC_KEY, user)
    with pytest.raises(TypeError):
        subscription_token(HMAC_KEY, user, "news")


@pytest.mark.parametrize("channels", ["news", [5], [""], [None]])
def test_channels_must_be_a_list_of_names(channels: Any) -> None:
    with pytest.raises(TypeError, match="channels"):
        connection_token(HMAC_KEY, "ann", channels=channels)


@pytest.mark.parametrize(("info", "error"), [(object(), TypeError), ("\ud800", ValueError)])
def test_info_that_json_cannot_express_is_named(info: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^info: "):
        connection_token(HMAC_KEY, "ann", info)
    with pytest.raises(error, match=r"^info: "):
        subscription_token(HMAC_KEY, "ann", "news", {"a": info})


def test_bytes_are_no_info() -> None:
    with pytest.raises(TypeError, match=r"^info: bytes is not a value of JSON"):
        connection_token(HMAC_KEY, "ann", b'{"name": "Ann"}')


def test_meta_that_json_cannot_express_is_named() -> None:
    with pytest.raises(TypeError, match=r"^meta: "):
        connection_token(HMAC_KEY, "ann", meta=object())


@pytest.mark.parametrize("channel", ["", None, 5])
def test_a_subscription_is_for_one_channel(channel: Any) -> None:
    with pytest.raises(TypeError, match="channel"):
        subscription_token(HMAC_KEY, "ann", channel)


@pytest.mark.parametrize("expires", ["60", True, [60]])
def test_a_lifetime_is_a_number(expires: Any) -> None:
    with pytest.raises(TypeError, match="expires"):
        connection_token(HMAC_KEY, "ann", expires=expires)


def test_a_lifetime_is_not_in_milliseconds() -> None:
    with pytest.raises(ValueError, match="expected seconds from now, not milliseconds"):
        connection_token(HMAC_KEY, "ann", expires=1764000000000)


@pytest.mark.parametrize("expires", [1_764_000_600.5, 1_000_000_000])
def test_a_lifetime_is_not_a_unix_time(expires: float) -> None:
    with pytest.raises(ValueError, match=f"expires is {expires!r}; expected seconds from now, not a Unix time"):
        connection_token(HMAC_KEY, "ann", expires=expires)
    with pytest.raises(ValueError, match="not a Unix time"):
        subscription_token(HMAC_KEY, "ann", "news", expires=expires)
    assert connection_token(HMAC_KEY, "ann", expires=30 * 365 * 86400)


@pytest.mark.parametrize("expires", [0, -1, float("inf"), float("nan")])
def test_a_lifetime_is_positive_and_ends(expires: float) -> None:
    with pytest.raises(ValueError, match="expires"):
        connection_token(HMAC_KEY, "ann", expires=expires)


def test_info_must_be_encodable_as_json() -> None:
    with pytest.raises(TypeError):
        connection_token(HMAC_KEY, "ann", object())
    deep: list[Any] = []
    for _ in range(600):
        deep = [deep]
    with pytest.raises(InvalidJSON):
        connection_token(HMAC_KEY, "ann", deep)


def test_without_a_key_no_token_is_created() -> None:
    with pytest.raises(ValueError, match="token_hmac_secret_key is not set"):
        connection_token("", "ann")
