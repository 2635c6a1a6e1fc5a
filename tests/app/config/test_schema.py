"""Behaviour of checking: which values an option accepts, and the errors for invalid values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.schema import check, suggestion, unknown_options


@pytest.mark.parametrize(
    ("option", "value", "checked"),
    [
        ("port", 9000, 9000),
        ("port", "9000", 9000),
        ("port", 0, 0),
        ("history_size", 10.0, 10),
        ("history_lifetime", 30, 30.0),
        ("history_lifetime", "0.5", 0.5),
        ("history_lifetime", "300s", 300.0),
        ("history_lifetime", "1m30s", 90.0),
        ("history_lifetime", "720h", 2592000.0),
        ("history_lifetime", "500ms", 0.5),
        ("history_lifetime", "1.5h", 5400.0),
        ("history_lifetime", "2h0m.5s", 7200.5),
        ("history_lifetime", "250us", 0.00025),
        ("history_lifetime", "250µs", 0.00025),
        ("history_lifetime", "1000000000ns", 1.0),
        ("history_lifetime", "+5s", 5.0),
        ("history_lifetime", "0", 0.0),
        ("allowed_delta_types", ["fossil"], "fossil"),
        ("presence", True, True),
        ("presence", "true", True),
        ("presence", "false", False),
        ("presence", "1", True),
        ("redis_port", 6379, "6379"),
        ("redis_port", "6379,6380", "6379,6380"),
        ("api_port", "", ""),
        ("api_port", 10001, "10001"),
        ("log_level", "DEBUG", "debug"),
        ("engine", "Redis", "redis"),
        ("http_prefix", "/centrifugo", "/centrifugo"),
        ("secret", "geheim-π", "geheim-π"),
        ("private_channel_prefix", "private-", "private-"),
        ("allowed_origins", ["https://a.example", "null"], "https://a.example,null"),
        ("allowed_origins", ("*",), "*"),
        ("allowed_origins", [], ""),
        ("allowed_origins", {"https://b.example", "https://a.example"}, "https://a.example,https://b.example"),
        ("trusted_proxies", ["10.0.0.0/8", "unix"], "10.0.0.0/8,unix"),
        ("hook_events", ["connect", "subscribe"], "connect,subscribe"),
        ("hook_headers", ["Cookie"], "Cookie"),
        ("ssl_autocert_host_whitelist", ["a.example"], "a.example"),
        ("redis_port", [6379, "6380"], "6379,6380"),
        ("redis_host", ["a", "b"], "a,b"),
        ("redis_sentinels", ["a:1", "b:2"], "a:1,b:2"),
        ("namespaces", [], []),
        ("namespaces", [{"name": "ab"}], [{"name": "ab"}]),
        ("namespaces", [{"name": "ab", "history_lifetime": "1m"}], [{"name": "ab", "history_lifetime": 60.0}]),
        ("namespaces", [{"name": "a-_9Z", "history_size": "3"}], [{"name": "a-_9Z", "history_size": 3}]),
    ],
)
def test_values_may_be_typed_or_text(option: str, value: Any, checked: Any) -> None:
    result, problems = check(Config, {option: value})
    assert problems == {}
    assert result == {option: checked}
    assert type(result[option]) is type(checked)


@pytest.mark.parametrize("name", [option.name for option in options_of(Config) if option.is_time])
def test_every_time_may_be_written_with_units(name: str) -> None:
    assert check(Config, {name: "2m"}) == ({name: 120.0}, {})


NOT_INTEGER = "Must be an integer."
NOT_TIME = 'Must be a time in seconds, such as 90 or 0.5, or with units, such as "1m30s" or "500ms".'
NOT_NAMESPACES = 'Must be a list of objects, each with a name, such as [{"name": "chat"}].'
QUOTES = "Must be a string: put it in quotes."


@pytest.mark.parametrize(
    ("option", "value", "problem"),
    [
        ("history_size", "1.5", NOT_INTEGER),
        ("history_size", 1.5, NOT_INTEGER),
        ("history_size", True, NOT_INTEGER),
        ("history_size", "ten", NOT_INTEGER),
        ("history_size", "", NOT_INTEGER),
        ("history_size", "1_000", NOT_INTEGER),
        ("history_size", "٣", NOT_INTEGER),
        ("history_size", [1], NOT_INTEGER),
        ("history_size", float("inf"), NOT_INTEGER),
        ("history_size", -1, "Must be between 0 and 9223372036854775807."),
        ("history_size", 2**63, "Must be between 0 and 9223372036854775807."),
        ("port", 65536, "Must be between 0 and 65535."),
        ("client_queue_max_size", 0, "Must be more than 0 and at most 9223372036854775807."),
        ("node_ping_interval", 0, "Must be more than 0 and at most 4294967295."),
        ("connection_lifetime", -0.1, "Must be between 0 and 4294967295."),
        ("connection_lifetime", True, NOT_TIME),
        ("connection_lifetime", "soon", NOT_TIME),
        ("connection_lifetime", "", NOT_TIME),
        ("connection_lifetime", "1m30", NOT_TIME),
        ("connection_lifetime", "30 s", NOT_TIME),
        ("connection_lifetime", "1d", NOT_TIME),
        ("connection_lifetime", "5S", NOT_TIME),
        ("connection_lifetime", ".s", NOT_TIME),
        ("connection_lifetime", "30s\n", NOT_TIME),
        ("connection_lifetime", "-1s", "Must be between 0 and 4294967295."),
        ("node_ping_interval", "0s", "Must be more than 0 and at most 4294967295."),
        ("connection_lifetime", "9" * 400 + "h", "Special numeric values (nan or infinity) are not permitted."),
        ("connection_lifetime", float("nan"), "Special numeric values (nan or infinity) are not permitted."),
        ("websocket_compression_level", 10, "Must be between 1 and 9."),
        ("presence", "perhaps", "Must be true or false."),
        ("presence", [], "Must be true or false."),
        ("presence", 2, "Must be true or false."),
        ("secret", 83, QUOTES),
        ("secret", True, QUOTES),
        ("secret", ["a"], "Must be a string."),
        ("secret", b"bytes", "Must be a string."),
        ("allowed_origins", ["https://a.example,https://b.example"], "An item of the list must not contain a comma."),
        (
            "allowed_origins",
            ["nowhere"],
            "invalid origin nowhere: expected a form such as https://example.com or https://*.example.com.",
        ),
        ("allowed_origins", [["*"]], "Must be a string."),
        ("hook_events", ["connect", 7], QUOTES),
        ("hook_events", {"connect": True}, "Must be a string."),
        ("secret", "\ud800", "Must be a string that can be encoded as UTF-8."),
        ("log_file", "a\0b", "Must not contain a NUL character."),
        ("redis_port", True, QUOTES),
        ("redis_port", 1.5, QUOTES),
        ("secret", None, "Must have a value; remove the option to use its default."),
        ("namespaces", None, "Must have a value; remove the option to use its default."),
        ("engine", "nats", "Must be one of: memory, redis."),
        ("http_prefix", "centrifugo", "Must be empty, or begin with a slash and not end with one."),
        ("http_prefix", "/centrifugo/", "Must be empty, or begin with a slash and not end with one."),
        ("user_channel_separator", "", "Must not be empty."),
        ("api_port", 70000, "Must be a port number, or empty."),
        ("namespaces", {"name": "public"}, NOT_NAMESPACES),
        ("namespaces", "public", NOT_NAMESPACES),
    ],
)
def test_error_for_an_invalid_value_names_the_option(option: str, value: Any, problem: str) -> None:
    assert check(Config, {option: value})[1] == {option: problem}


@pytest.mark.parametrize(
    ("namespace", "path", "problem"),
    [
        ({"name": "public", "history_size": "x"}, "namespaces[1].history_size", NOT_INTEGER),
        ({}, "namespaces[1].name", "Is missing: each item of the list must have a name."),
        ({"name": None}, "namespaces[1].name", "Is missing: each item of the list must have a name."),
        (
            {"name": "ok", "presence": None},
            "namespaces[1].presence",
            "Must have a value; remove the option to use its default.",
        ),
        ({"name": "a"}, "namespaces[1].name", 'Must be two or more letters, digits, "-", "_" or ".".'),
        ({"name": "ab\n"}, "namespaces[1].name", 'Must be two or more letters, digits, "-", "_" or ".".'),
        ({"name": "größe"}, "namespaces[1].name", 'Must be two or more letters, digits, "-", "_" or ".".'),
        ({"name": 42}, "namespaces[1].name", QUOTES),
        ("public", "namespaces[1]", "Must be an object of options by name."),
        (None, "namespaces[1]", "Must be an object of options by name."),
    ],
)
def test_error_for_an_invalid_value_in_a_namespace_names_its_path(namespace: Any, path: str, problem: str) -> None:
    assert check(Config, {"namespaces": [{"name": "first"}, namespace]})[1] == {path: problem}


def test_a_namespace_may_have_a_dot_in_its_name_as_in_later_versions() -> None:
    assert check(Config, {"namespaces": [{"name": "news.sport"}]})[1] == {}


def test_all_problems_are_found_at_once_and_the_right_values_are_kept() -> None:
    checked, problems = check(
        Config,
        {"port": "x", "secret": "s", "namespaces": [{"name": "a", "publish": 3}, {"name": "ok", "history_size": -1}]},
    )
    assert set(problems) == {
        "port",
        "namespaces[0].name",
        "namespaces[0].publish",
        "namespaces[1].history_size",
    }
    assert checked["secret"] == "s"


TEXTS = st.text(max_size=8)
NAMESPACES = st.lists(st.dictionaries(st.sampled_from(["name", "publish", "x"]), TEXTS | st.integers()), max_size=3)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.lists(TEXTS, max_size=3) | NAMESPACES


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(["port", "secret", "presence", "namespaces", "ping_interval"]), VALUES))
def test_an_option_is_missing_from_the_result_only_if_a_problem_names_it(values: dict[str, Any]) -> None:
    checked, problems = check(Config, values)
    assert set(checked) - {"namespaces"} == set(values) - {path.partition("[")[0] for path in problems} - {"namespaces"}


def test_unknown_options_are_named_with_the_nearest_known_one() -> None:
    values = {"histroy_size": 1, "zzz": 2, "namespaces": [{"name": "ab"}, {"nmae": 1, 7: 2}, "x"], "presence": True}
    assert list(unknown_options(Config, values)) == [
        "unknown option histroy_size; did you mean history_size?",
        "unknown option zzz",
        "unknown option namespaces[1].nmae; did you mean name?",
        "unknown option namespaces[1].7",
    ]


def test_only_similar_names_are_suggested() -> None:
    assert suggestion("prot", ["port", "name"]) == "; did you mean port?"
    assert suggestion("xyz", ["port", "name"]) == ""


def test_names_that_begin_with_the_unknown_one_are_preferred_and_the_shortest_of_them() -> None:
    names = ["x_allow_subscribe", "allow_subscribe_for_anonymous", "allow_subscribe_for_client"]
    assert suggestion("allow_subscribe", names) == "; did you mean allow_subscribe_for_client?"
    assert suggestion("allow_subscrbe", names) == "; did you mean x_allow_subscribe?"
    assert suggestion("a", names) == suggestion("a", []) == ""


def test_an_object_that_contains_itself_many_times_is_named_once() -> None:
    client: dict[str, Any] = {"unheard": 1}
    client |= dict.fromkeys("abcdefghijklmnop", client)
    (warning,) = unknown_options(Config, {"client": client})
    assert warning.startswith("unknown options client.unheard, client; options are not nested here")


def test_an_option_that_contains_itself_is_no_hint_to_itself() -> None:
    secret: dict[str, Any] = {}
    secret["x"] = secret
    assert list(unknown_options(Config, {"secret": secret})) == ["unknown option secret"]
