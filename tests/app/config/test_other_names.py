"""Names of options of other Centrifugo versions lead to the option here, or to the reason why there is none."""

from __future__ import annotations

import re

import pytest

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.other_names import GROUPED, MISSING, RENAMED, explanation, renamed
from gentrifugo.app.config.schema import suggestion

OPTIONS = {option.name for option in options_of(Config)}


def test_suggested_replacements_are_existing_options() -> None:
    assert set(RENAMED.values()) <= OPTIONS


def test_current_options_are_not_listed_as_options_of_other_versions() -> None:
    names = {name for option in options_of(Config) for name in option.names}
    assert names & {*RENAMED, *GROUPED} == set()
    assert [name for name in names if explanation(name) or renamed(name)] == []


def test_the_options_that_replace_an_object_exist() -> None:
    named = {word for sentence in GROUPED.values() for word in re.findall(r"[a-z]+(?:_[a-z]+)+", sentence)}
    assert named <= OPTIONS
    assert named


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("web_password", "; it is called admin_password here"),
        ("internal_port", "; it is called admin_port here"),
        ("client_anonymous", "; it is called allow_anonymous_connect_without_token here"),
        ("WEB_SECRET", "; it is called admin_secret here"),
        (
            "subscription_token_hmac_secret_key",
            "; tokens of connections and subscriptions are checked with the same options",
        ),
        ("http_server", "; options are not nested here: see address, port,"),
        ("client", "; options are not nested here: see allowed_origins, "),
        ("channel", "; options are not nested here: see namespaces, "),
        ("http_api", "; options are not nested here: see api_key"),
        ("grpc_api_port", "; there is no gRPC"),
        ("allow_channel_compaction", "; it belongs to later versions of Centrifugo"),
        ("allow_subscribe_for_clients", "; did you mean allow_subscribe_for_client?"),
        ("usage_stats", "; not needed here"),
        ("proxy_disconnect_timeout", "; backends are named by the options proxy_..._endpoint, one for each event"),
        ("proxy_http_headers", "; it is called hook_headers here"),
        ("proxy_conect_endpoint", "; backends are named by the options proxy_..._endpoint, one for each event"),
        ("proxy_grpc_metadata", "; backends are named by the options proxy_..._endpoint, one for each event"),
        ("subscribe_proxy_name", "; backends are named by the options proxy_..._endpoint, one for each event"),
        ("proxies", "; backends are named by the options proxy_..._endpoint, one for each event"),
        ("histroy_size", "; did you mean history_size?"),
        ("Secret", "; did you mean secret?"),
        ("something_else", ""),
    ],
)
def test_unknown_names_are_explained(name: str, text: str) -> None:
    assert suggestion(name, OPTIONS).startswith(text)
    assert text or suggestion(name, OPTIONS) == ""


@pytest.mark.parametrize(
    "name",
    [
        "insecrue",
        "insecure_web",
        "client_insecure",
        "api_insecure",
        "admin_insecure",
        "insecure_ap",
        "in_secure",
        "admin_insecur",
    ],
)
def test_an_insecure_mode_is_never_suggested(name: str) -> None:
    assert "did you mean" not in suggestion(name, OPTIONS)
    assert "it is called" not in suggestion(name, OPTIONS)


def test_names_of_flags_and_variables_get_their_prefix() -> None:
    assert suggestion("internal_port", OPTIONS, "--") == "; it is called --admin_port here"
    variables = {name.upper() for name in OPTIONS}
    assert suggestion("WEB_PASSWORD", variables, "CENTRIFUGO_") == "; it is called CENTRIFUGO_ADMIN_PASSWORD here"


def test_options_of_a_namespace_are_explained_among_those_of_a_namespace() -> None:
    names = {option.name for option in options_of(Namespace)}
    assert suggestion("client_anonymous", OPTIONS) == "; it is called allow_anonymous_connect_without_token here"
    assert "it is called" not in suggestion("client_anonymous", names)
    assert {option.name for option in options_of(ChannelOptions)} < names


def test_options_of_backends_are_not_taken_for_others() -> None:
    names = {f"proxy_{event}_endpoint" for event in ("connect", "refresh", "subscribe", "sub_refresh")}
    assert names <= OPTIONS
    assert [renamed(name) or explanation(name) for name in names] == [""] * 4


def test_every_pattern_has_a_reason() -> None:
    assert all(reason and not reason.endswith(".") for _, reason in MISSING)
