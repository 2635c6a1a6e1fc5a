"""Behaviour of the declarations: every spelling of an option follows from its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from marshmallow import ValidationError

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import (
    Option,
    must_match,
    options_of,
    origins_or_all,
    passed_on_headers,
    port_or_empty,
)

OPTIONS = {option.name: option for option in options_of(Config)}


def problem_of(check: Callable[[Any], object] | None, value: object) -> str:
    """The error of a check; empty if it accepts the value."""
    assert check is not None
    try:
        check(value)
    except ValidationError as error:
        return str(error)
    return ""


def test_option_has_consistent_names_in_all_sources() -> None:
    assert OPTIONS["redis_host"].flag == "--redis_host"
    assert OPTIONS["redis_host"].variable == "CENTRIFUGO_REDIS_HOST"


def test_a_namespace_has_all_channel_options_with_the_same_defaults() -> None:
    shared = {option.name: option.default for option in options_of(ChannelOptions)}
    for declaring in (Config, Namespace):
        assert shared.items() <= {option.name: option.default for option in options_of(declaring)}.items()


def test_only_the_name_of_a_namespace_is_required() -> None:
    assert [option.name for option in (*OPTIONS.values(), *options_of(Namespace)) if option.is_required] == ["name"]


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_default_passes_its_own_check(option: Option) -> None:
    assert option.check is None or problem_of(option.check, option.default) == ""


@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_every_number_has_limits(option: Option) -> None:
    if option.type in (int, float):
        assert option.check is not None
        with pytest.raises(ValidationError):
            option.check(-1)


def test_short_flags_are_those_of_centrifugo() -> None:
    shorts = {option.name: option.facts.short for option in OPTIONS.values() if option.facts.short}
    assert shorts == {"address": "-a", "debug": "-d", "engine": "-e", "name": "-n", "port": "-p", "web": "-w"}


def test_groups_open_at_options_that_exist() -> None:
    assert set(OPTIONS) >= set(Config.GROUPS)
    assert next(iter(OPTIONS)) in Config.GROUPS


@pytest.mark.parametrize("text", ["", "1", "9000", "65535"])
@pytest.mark.parametrize("name", ["api_port", "admin_port"])
def test_a_separate_port_may_be_any_port_or_empty(name: str, text: str) -> None:
    assert problem_of(OPTIONS[name].check, text) == ""


@pytest.mark.parametrize("text", ["0", "65536", "123456", "-1", "8000a", " 80", "８０"])
def test_a_separate_port_must_be_a_port_number(text: str) -> None:
    with pytest.raises(ValidationError, match="port number"):
        port_or_empty(text)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("trusted_proxies", "10.0.0.0/8, proxy.example", "invalid address or network proxy.example"),
        ("trusted_proxies", "10.0.0.256", "invalid address or network 10.0.0.256"),
        ("hook_events", "connect, conect", "unknown item conect; possible items: connect, "),
        ("allowed_delta_types", "fossil, bsdiff", "unknown item bsdiff; possible items: fossil."),
        ("hook_url", "hooks.example", "Must be a URL that begins with http:// or https://, or empty."),
        ("hook_url", "http://[::1", "Must be a URL that begins with http:// or https://, or empty."),
        ("hook_url", "http://hooks:99999/", "Must be a URL that begins with http:// or https://, or empty."),
        ("hook_url", "http://hooks:0/", "Must be a URL that begins with http:// or https://, or empty."),
        ("hook_url", "http://hooks..example/", "Must be a URL that begins with http:// or https://, or empty."),
        ("token_jwks_public_endpoint", "http://:80/", "Must be a URL that begins with http:// or https://, or empty."),
        ("ssl_autocert_host_whitelist", "*.example.com", "wildcard certificates are not supported"),
        ("ssl_autocert_host_whitelist", "a.example.com, b", "invalid host name b: expected"),
    ],
)
def test_an_invalid_text_is_refused_with_the_reason(name: str, text: str, problem: str) -> None:
    check = OPTIONS[name].check
    assert check is not None
    with pytest.raises(ValidationError, match=re.escape(problem)):
        check(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://hooks",
        "https://user:pw@my_hooks.example:8443/a?b=c",
        "http://[::1]:80/",
        "http://b\u00fccher.example",
    ],
)
def test_a_url_of_a_web_server_is_accepted(text: str) -> None:
    assert problem_of(OPTIONS["hook_url"].check, text) == ""


def test_a_pattern_must_match_the_whole_text() -> None:
    check = must_match(r"[a-z]+", "Letters.")
    assert problem_of(check, "abc") == ""
    for text in ("abc\n", "abc1", ""):
        with pytest.raises(ValidationError, match="Letters"):
            check(text)


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("port", "integer", "8000"),
        ("client_write_delay", "number", "0.02"),
        ("insecure", "boolean", "false"),
        ("redis_prefix", "string", '"centrifugo"'),
        ("name", "string", "hostname_port"),
        ("namespaces", "list of objects", ""),
    ],
)
def test_types_and_defaults_are_shown_as_a_file_spells_them(name: str, kind: str, default: Any) -> None:
    assert (OPTIONS[name].kind, OPTIONS[name].default_text) == (kind, default)


@pytest.mark.parametrize("text", ["*", "", "https://a.example, https://*.b.example", "https://[::1]:8000"])
def test_valid_lists_of_origins_are_accepted(text: str) -> None:
    assert problem_of(OPTIONS["allowed_origins"].check, text) == ""


@pytest.mark.parametrize("text", ["null", "file://", "capacitor://localhost", "chrome-extension://abcdef,ionic://a:1"])
def test_origins_of_apps_and_of_pages_without_a_host_are_accepted(text: str) -> None:
    assert problem_of(OPTIONS["allowed_origins"].check, text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "https://good.example/",
        "https://*",
        "https://a.*.example",
        "ftp://a.example",
        "wss://a.example",
        "capacitor://",
        "file://host",
        "chrome-extension://*",
        "NULL",
        "https://[::1",
        "https://a.example:99999",
        "https://a..example",
    ],
)
def test_invalid_origins_are_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="invalid origin"):
        origins_or_all(f"https://good.example,{text}")


@pytest.mark.parametrize("listing", ["", "Cookie", "cookie, X-Forwarded-For,X-Real-IP", "X-Tenant"])
def test_headers_of_the_client_can_be_forwarded(listing: str) -> None:
    assert problem_of(OPTIONS["hook_headers"].check, listing) == ""


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        (
            "Cookie,Content-Length",
            "header Content-Length cannot be forwarded: the server sets it itself in its request.",
        ),
        ("transfer-encoding", "the server sets it itself"),
        ("Connection", "the server sets it itself"),
        ("Host", "the server sets it itself"),
        ("content-type", "the server sets it itself"),
        ("X-HOOK-SIGN", "the server sets it itself"),
        ("Forwarded", "clients can forge it"),
        ("X-Forwarded-Host", "clients can forge it"),
        ("X_Real_IP", "invalid header name X_Real_IP"),
        ("X-A: b\r\nX-B", "invalid header name"),
        ("Cookie Origin", "invalid header name"),
    ],
)
def test_headers_that_the_server_sets_or_clients_can_forge_cannot_be_forwarded(listing: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        passed_on_headers(listing)
