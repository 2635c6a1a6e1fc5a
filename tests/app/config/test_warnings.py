"""Behaviour of warnings about valid configurations: their texts, and options that cause no warning."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.genconfig import fresh_values
from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.config.warnings import EXAMPLE_KEY, MIN_SIGNING_KEY, SIGNING_KEYS, config_warnings

KEY = "0123456789abcdef"
"""A secret that is long enough."""


def warnings_of(**options: Any) -> list[str]:
    """The warnings about these options, beside a secret."""
    return from_mapping({"secret": "secret-of-a-test", **options}).warnings


def test_default_options_cause_no_warning() -> None:
    assert list(config_warnings(Config(secret="secret-of-a-test"))) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (f" {KEY}", "begins or ends with a space or a line end"),
        (f"{KEY}\n", "begins or ends with a space or a line end"),
        (f"'{KEY}'", "begins and ends with a quote"),
        (f'"{KEY}"', "begins and ends with a quote"),
    ],
)
def test_a_secret_with_quotes_or_white_space_around_it_causes_a_warning(value: str, text: str) -> None:
    expected = [f"option {name} {text}, which is part of the secret" for name in ("secret", "hook_secret")]
    assert warnings_of(secret=value, hook_secret=value) == expected


@pytest.mark.parametrize("value", [KEY, f"{KEY}'", f"{KEY} {KEY}", f'"{KEY}'])
def test_usual_secrets_cause_no_warning(value: str) -> None:
    assert warnings_of(secret=value) == []


@pytest.mark.parametrize("name", SIGNING_KEYS)
@pytest.mark.parametrize("value", ["secret-", "secret", "a" * (MIN_SIGNING_KEY - 1)])
def test_short_signing_key_causes_a_warning_without_its_value(name: str, value: str) -> None:
    options: dict[str, Any] = {name: value}
    (warning,) = config_warnings(Config(**options))
    assert warning.startswith(f"option {name} has fewer than 16 characters, so clients can guess it")
    assert value not in warning.replace(f"option {name}", "")


def test_secret_of_the_documentation_causes_a_warning() -> None:
    (warning,) = warnings_of(secret=EXAMPLE_KEY)
    assert warning.startswith("option secret is the one in the documentation")
    assert EXAMPLE_KEY not in warning


def test_generated_secrets_cause_no_warning() -> None:
    assert from_mapping(fresh_values()).warnings == []


@pytest.mark.parametrize("name", ["hook_secret", "admin_password", "admin_secret", "redis_password"])
def test_secrets_without_signatures_for_clients_may_be_short(name: str) -> None:
    assert warnings_of(engine="redis", **{name: "s"}) == []


def test_short_api_key_causes_a_warning_without_its_value() -> None:
    (warning,) = warnings_of(api_key="a short api key")
    assert warning.startswith(
        "option api_key has fewer than 16 characters, so it can be guessed; use a long random text"
    )
    assert "a short api key" not in warning


def test_api_key_of_the_documentation_causes_a_warning() -> None:
    (warning,) = warnings_of(api_key=EXAMPLE_KEY)
    assert warning.startswith("option api_key is the one in the documentation")


@pytest.mark.parametrize("name", SIGNING_KEYS)
def test_an_api_key_that_is_also_a_signing_key_causes_a_warning(name: str) -> None:
    options: dict[str, Any] = {name: KEY, "api_key": KEY}
    assert list(config_warnings(Config(**options))) == [
        f"options api_key and {name} have the same value: whoever learns the key of a backend can then sign as any "
        "user; use two different texts"
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ping_interval": 25000}, "ping_interval is 25000 s, at least 100 times what is usual"),
        ({"client_ping_interval": 2500}, "ping_interval is 2500 s,"),
        (
            {"proxy_connect_endpoint": "http://a.example", "proxy_connect_timeout": 500},
            "proxy_connect_timeout is 500 s,",
        ),
        ({"hook_timeout": 5000}, "hook_timeout is 5000 s,"),
        ({"client_message_write_timeout": 1000}, "client_message_write_timeout is 1000 s,"),
        ({"engine": "redis", "redis_connect_timeout": 1000}, "redis_connect_timeout is 1000 s,"),
        ({"http_keepalive_timeout": "75000"}, "http_keepalive_timeout is 75000 s,"),
    ],
)
def test_a_time_that_is_probably_in_milliseconds_causes_a_warning(options: dict[str, Any], text: str) -> None:
    (warning,) = warnings_of(**options)
    assert warning.startswith(f"option {text}")
    assert warning.endswith('times are in seconds, or have a unit, as in "500ms"')


@pytest.mark.parametrize(
    "options",
    [
        {"ping_interval": 600},
        {"ping_interval": "25000ms"},
        {"hook_timeout": 120},
        {"proxy_rpc_timeout": 120},
        {"client_message_write_timeout": 120},
        {"connection_lifetime": 86400},
        {"history_size": 1, "history_lifetime": 2592000},
        {"expired_connection_close_delay": 86400},
        {"shutdown_timeout": 3700, "drain_time": 3600},
        {"admin_token_lifetime": 31536000},
    ],
)
def test_usual_times_cause_no_warning(options: dict[str, Any]) -> None:
    assert warnings_of(**options) == []


@pytest.mark.parametrize("mode", ["insecure", "insecure_api", "insecure_admin"])
def test_every_insecure_mode_is_a_warning(mode: str) -> None:
    assert [text for text in warnings_of(**{mode: True}) if text.startswith(f"option {mode} is on: anyone ")]


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        ({"ssl_cert": "cert.pem"}, "options ssl_cert and ssl_key have no effect without ssl"),
        ({"gomaxprocs": 4}, "option gomaxprocs is set, but has no effect: a node is one process on one core"),
        (
            {"web": True},
            "option web is on, but nobody can log in without admin_password and admin_secret: "
            'set both to a long random text, such as "gentrifugo genconfig" writes',
        ),
        ({"web": True, "insecure_admin": True, "web_path": "x"}, "option web_path: x has no index.html"),
        (
            {"ssl": True, "ssl_cert": "c", "ssl_key": "k", "ssl_autocert": True},
            "options ssl and ssl_autocert are both on: ssl_cert is used, and no certificate is requested",
        ),
        (
            {"hook_url": "http://hooks.example"},
            "options hook_url and hook_events have no effect without each other: set both",
        ),
        (
            {"redis_api": True},
            "option redis_api is on, but the memory engine has no queue; set the option engine to redis",
        ),
        (
            {"redis_url": "redis://redis.example"},
            "option redis_url has no effect without the Redis engine, and nodes with the memory engine do not share "
            "messages; set the option engine to redis",
        ),
        (
            {"redis_host": "redis.example", "redis_prefix": "x", "redis_read_timeout": 5},
            "options redis_host, redis_prefix and redis_read_timeout have no effect without the Redis engine, and "
            "nodes with the memory engine do not share messages; set the option engine to redis",
        ),
        (
            {"engine": "redis", "redis_url": "redis://redis.example", "redis_password": "s", "redis_db": 1},
            "options redis_password and redis_db have no effect with redis_url: write all in the URL, as in "
            "redis://:PASSWORD@HOST:PORT/DB",
        ),
        ({"web_path": "x"}, "option web_path has no effect without web"),
        (
            {"debug": True},
            "option debug is on: anyone who can reach the debug endpoints can read internal state of the server",
        ),
        (
            {"history_size": 1},
            "option history_size is set, but without history_lifetime no history is stored",
        ),
        (
            {"namespaces": [{"name": "public", "history_lifetime": 1}]},
            "option namespaces[0].history_lifetime is set, but without namespaces[0].history_size no history is stored",
        ),
        (
            {"recover": True, "history_size": 1},
            "option recover is on, but without history_size and history_lifetime nothing can be recovered",
        ),
        (
            {"namespaces": [{"name": "public", "recover": True}]},
            "option namespaces[0].recover is on, but without history_size and history_lifetime nothing can be"
            " recovered",
        ),
        (
            {"presence_expire_interval": 5},
            "option presence_expire_interval should exceed presence_ping_interval, or presence expires too early",
        ),
    ],
)
def test_option_without_effect_is_a_warning(options: dict[str, Any], warning: str) -> None:
    assert [text for text in warnings_of(**options) if "insecure_admin is on" not in text] == [warning]


@pytest.mark.parametrize(
    "options", [{"redis_port": 6379}, {"ssl": False}, {"gomaxprocs": 0}, {"engine": "redis", "redis_url": "redis://a"}]
)
def test_an_option_set_to_its_default_causes_no_warning(options: dict[str, Any]) -> None:
    assert warnings_of(**options) == []
