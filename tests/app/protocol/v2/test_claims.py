"""The claims of tokens: their types, and the decoded values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gentrifugo.app.model.subscription_options import SubscriptionOptions
from gentrifugo.app.protocol.v2.claims import (
    ConnectionToken,
    InvalidClaims,
    Lifetime,
    SubscriptionToken,
    read_connection,
    read_subscription,
)


class Refusal(Exception):
    """Raised for the lifetime of a token."""


def accept(lifetime: Lifetime) -> None:
    """Accept every lifetime."""


def refuse(lifetime: Lifetime) -> None:
    """Refuse every lifetime."""
    raise Refusal


def connection(**claims: Any) -> ConnectionToken:
    """Decode the claims of a connection token."""
    return read_connection(json.dumps(claims).encode(), accept)


def subscription(**claims: Any) -> SubscriptionToken:
    """Decode the claims of a subscription token."""
    return read_subscription(json.dumps({"channel": "news", **claims}).encode(), accept)


def test_token_without_claims_has_defaults() -> None:
    assert connection() == ConnectionToken("")
    assert connection(sub=None, exp=None, info=None, channels=None, subs=None, meta=None) == ConnectionToken("")
    assert connection(unknown={"a": [1]}) == ConnectionToken("")


def test_subscription_token_is_not_a_connection_token() -> None:
    with pytest.raises(InvalidClaims, match="it is a subscription token"):
        connection(sub="42", channel="news")
    assert connection(sub="42", channel="") == connection(sub="42", channel=None) == ConnectionToken("42")


def test_the_channel_whose_options_have_the_wrong_type_is_named() -> None:
    with pytest.raises(InvalidClaims, match=r"^invalid claims: Expected .* - at `\$\.subs\['b'\]\.b64info`$"):
        connection(subs={"a": None, "b": {"b64info": 5}, "c": 5})
    with pytest.raises(InvalidClaims, match=r"- at `\$\.subs\['b'\]`$"):
        connection(subs={"a": {"info": 1}, "b": 5})
    with pytest.raises(InvalidClaims, match=r"- at `\$\.subs`$"):
        connection(subs=[1])


def test_claim_that_occurs_twice_is_refused_without_the_name_of_a_channel() -> None:
    with pytest.raises(InvalidClaims, match=r"- at `\$\.subs\[\.\.\.\]`$"):
        read_connection(b'{"subs": {"a": 1}, "subs": 5}', accept)


def test_every_claim_of_a_connection_is_read() -> None:
    assert connection(
        sub="42", exp=2000000000, iat=1700000000, jti="id", info={"n": 1}, channels=["a", "b"], meta={"role": "x"}
    ) == ConnectionToken(
        "42",
        2000000000,
        b'{"n": 1}',
        {"a": SubscriptionOptions(), "b": SubscriptionOptions()},
        b'{"role": "x"}',
        "id",
        1700000000,
    )


def test_every_claim_of_a_subscription_is_read() -> None:
    override = {"presence": {"value": True}, "force_recovery": {"value": False}}
    assert subscription(
        sub="42", client="c1", exp=5, expire_at=7, iat=3, jti="id", info=[1], override=override
    ) == SubscriptionToken(
        "42", "news", "c1", 7, SubscriptionOptions(b"[1]", presence=True, force_recovery=False), "id", 3
    )


def test_expire_at_replaces_exp() -> None:
    assert connection(exp=5).expires_at == 5
    assert connection(exp=5, expire_at=9).expires_at == 9
    assert connection(exp=5, expire_at=0).expires_at == 0
    assert connection(expire_at=9).expires_at == 9
    assert connection().expires_at == 0


def test_info_may_be_any_bytes_in_base64() -> None:
    assert connection(b64info="/wA=").info == b"\xff\x00"
    assert connection(info=1, b64info="Mg==").info == b"2"
    assert connection(info=1, b64info="").info == b"1"


def test_subscriptions_of_the_server_have_options() -> None:
    flags = ("presence", "join_leave", "force_recovery", "force_positioning", "force_push_join_leave")
    token = connection(
        channels=["a"],
        subs={
            "b": {"info": {"x": 1}, "data": [2], "override": {flag: {"value": True} for flag in flags}},
            "c": {"b64info": "/w==", "b64data": "AA==", "override": None},
            "d": None,
            "e": {"override": {"presence": {"value": None}, "join_leave": None}},
            "a": {"info": 5},
        },
    )
    assert token.channels == {
        "a": SubscriptionOptions(b"5"),
        "b": SubscriptionOptions(b'{"x": 1}', b"[2]", True, True, True, True, True),
        "c": SubscriptionOptions(b"\xff", b"\x00"),
        "d": SubscriptionOptions(),
        "e": SubscriptionOptions(presence=False),
    }


def test_times_may_be_fractions() -> None:
    assert connection(exp=5.5).expires_at == 5.5
    lifetimes: list[Lifetime] = []
    read_connection(b'{"exp":5.5,"nbf":1,"aud":["a"],"iss":"i"}', lifetimes.append)
    (lifetime,) = lifetimes
    assert (lifetime.exp, lifetime.nbf, lifetime.aud, lifetime.iss) == (5.5, 1, ["a"], "i")


@pytest.mark.parametrize("claims", [{"sub": "42"}, {"sub": 42}, {"channels": 5}])
def test_the_lifetime_is_checked_before_the_other_claims(claims: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        read_connection(json.dumps(claims).encode(), refuse)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": 42},
        {"sub": ["42"]},
        {"exp": "5"},
        {"expire_at": True},
        {"expire_at": "never"},
        {"iat": "now"},
        {"jti": 5},
        {"channels": "news"},
        {"channels": [5]},
        {"channels": [None]},
        {"channels": [""]},
        {"subs": ["a"]},
        {"subs": {"a": 5}},
        {"subs": {"": {}}},
        {"subs": {"a": {"b64info": "!"}}},
        {"subs": {"a": {"b64data": "A"}}},
        {"subs": {"a": {"override": {"presence": True}}}},
        {"subs": {"a": {"override": {"presence": {"value": 1}}}}},
        {"b64info": "not base64"},
        {"b64info": 5},
    ],
)
def test_a_claim_of_another_type_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidClaims):
        connection(**claims)


@pytest.mark.parametrize("claims", [{"aud": 5}, {"aud": [5]}, {"iss": 5}, {"nbf": "x"}, {"exp": []}])
def test_a_lifetime_of_another_type_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidClaims):
        connection(**claims)


@pytest.mark.parametrize("channel", [None, "", 5])
def test_a_subscription_has_a_channel(channel: Any) -> None:
    with pytest.raises(InvalidClaims):
        subscription(channel=channel)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"info":"\xff"}', b'{"a":' * 1000])
def test_claims_are_an_object(payload: bytes) -> None:
    with pytest.raises(InvalidClaims):
        read_connection(payload, accept)
