"""An error about a value of an option says where it was set, what is expected and which value was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.config.invalid_values import MAX_SHOWN_VALUE
from gentrifugo.app.config.loading import from_mapping, load
from gentrifugo.app.config.options import ConfigError

KINDS = [
    ("port", "abc", "Must be an integer"),
    ("client_channel_limit", "1.5", "Must be an integer"),
    ("port", "70000", "Must be between 0 and 65535"),
    (
        "ping_interval",
        "soon",
        'Must be a time in seconds, such as 90 or 0.5, or with units, such as "1m30s" or "500ms"',
    ),
    ("connection_lifetime", "-1", "Must be between 0 and 4294967295"),
    ("presence", "perhaps", "Must be true or false"),
    ("engine", "nats", "Must be one of: memory, redis"),
    ("api_port", "abc", "Must be a port number, or empty"),
    ("http_prefix", "realtime/", "Must be empty, or begin with a slash and not end with one"),
    ("hook_url", "hooks.example", "Must be a URL that begins with http:// or https://, or empty"),
    ("unix_socket_mode", "999", "Must be three octal digits, such as 660"),
]
"""An option of each kind, with a value that is not allowed and what is expected."""


def problems(*argv: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(["--insecure", *argv], environ)
    return caught.value.problems


def problem_of(**options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        from_mapping({"insecure": True, **options}, "options")
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(("name", "value", "expected"), KINDS)
def test_error_names_source_option_expectation_and_value(
    name: str, value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    says = f'{expected}; the value is "{value}".'
    assert problems(f"--{name}={value}") == [f"--{name}: {says}"]
    assert problems(**{f"CENTRIFUGO_{name.upper()}": value}) == [f"CENTRIFUGO_{name.upper()}: {says}"]
    (tmp_path / "config.json").write_text(json.dumps({name: value}))
    assert problems() == [f"config.json: {name}: {says}"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("redis_host", "a,,b", "redis_host: an entry of the list is empty"),
        ("redis_port", "6379,x", "redis_port: x is not a port number"),
        ("hook_events", "connect,dance", "--hook_events: unknown item dance; possible items: "),
        ("trusted_proxies", "10.0.0.0/8,x", "--trusted_proxies: invalid address or network x: expected a form such as"),
        (
            "allowed_origins",
            "https://a.example https://b.example",
            "--allowed_origins: expected commas, not spaces, between the origins https://a.example https://b.example.",
        ),
        ("allowed_origins", "example", "--allowed_origins: invalid origin example: expected a form such as"),
    ],
)
def test_error_about_a_list_names_the_item(
    name: str, value: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = problems("--engine=redis", f"--{name}={value}")
    assert problem.startswith(expected)
    assert "the value is" not in problem


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.5, "1.5"),
        (True, "true"),
        ([1], "a list"),
        ("1\n2", '"1\\n2"'),
        ("größe\ud800", '"größe\\ud800"'),
        ("x" * MAX_SHOWN_VALUE, '"' + "x" * MAX_SHOWN_VALUE + '"'),
        ("x" * (MAX_SHOWN_VALUE + 1), '"' + "x" * MAX_SHOWN_VALUE + '…"'),
    ],
)
def test_the_value_is_shown_as_json(value: Any, shown: str) -> None:
    assert problem_of(port=value) == f"options: port: Must be an integer; the value is {shown}."


def test_values_in_a_namespace_are_shown() -> None:
    problem = problem_of(namespaces=({"name": "chat"}, {"name": "news", "history_ttl": "soon"}))
    assert problem.startswith("options: namespaces[1].history_ttl: Must be a time in seconds")
    assert problem.endswith('; the value is "soon".')
    assert problem_of(namespaces=["chat"]).endswith('by name; the value is "chat".')
    assert problem_of(namespaces=[["chat"]]).endswith("by name; the value is a list.")
    assert problem_of(namespaces=[object()]).endswith("by name; the value is an object.")
    assert problem_of(namespaces={"chat": {}}).endswith('such as [{"name": "chat"}]; the value is an object.')
    assert problem_of(namespaces=[{"name": "news", "presence": {"a": 1}}]).endswith("; the value is an object.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", 5551234),
        ("redis_password", ["5551234"]),
        ("token_rsa_public_key", "-----BEGIN PRIVATE KEY-----5551234"),
        ("hook_url", "htp://ann:5551234@hooks.example/"),
        ("hook_url", "ann:5551234@hooks.example"),
        ("hook_url", "http:/ann:a/5551234\n@hooks.example"),
        ("proxy_connect_endpoint", "backend/connect?token=5551234"),
    ],
)
def test_secrets_are_not_shown(name: str, value: Any) -> None:
    assert "5551234" not in problem_of(**{name: value})


def test_an_error_that_says_it_all_has_no_value() -> None:
    assert problem_of(user_channel_separator="") == "options: user_channel_separator: Must not be empty."
