"""Names of options of other Centrifugo versions lead to the option here, or to the reason why there is none."""

from __future__ import annotations

import pytest

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.other_names import GROUPED, MISSING, RENAMED, explanation, renamed
from gentrifugo.app.config.schema import suggestion

OPTIONS = {option.name for option in options_of(Config)}


def test_options_of_other_versions_lead_to_options_that_exist() -> None:
    assert set(RENAMED.values()) <= OPTIONS


def test_no_option_of_ours_is_taken_for_one_of_another_version() -> None:
    assert OPTIONS & {*RENAMED, *GROUPED} == set()
    assert [name for name in OPTIONS if explanation(name) or renamed(name)] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("web_password", "; it is called admin_password here"),
        ("tls_cert", "; it is called ssl_cert here"),
        ("tls_autocert_cache_dir", "; it is called ssl_autocert_cache_dir here"),
        ("WEB_SECRET", "; it is called admin_secret here"),
        (
            "subscription_token_hmac_secret_key",
            "; tokens of connections and subscriptions are checked with the same options",
        ),
        ("http_server", "; options are not nested here: see address, port,"),
        ("grpc_api_port", "; there is no gRPC"),
        ("allow_subscribe_for_client", "; it belongs to later versions of Centrifugo"),
        ("usage_stats", "; not needed here"),
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
    assert suggestion("tls_key", OPTIONS, "--") == "; it is called --ssl_key here"
    variables = {name.upper() for name in OPTIONS}
    assert suggestion("WEB_PASSWORD", variables, "CENTRIFUGO_") == "; it is called CENTRIFUGO_ADMIN_PASSWORD here"


def test_options_of_a_namespace_are_explained_among_those_of_a_namespace() -> None:
    names = {option.name for option in options_of(Namespace)}
    assert suggestion("history_ttl", names) == "; it is called history_lifetime here"
    assert suggestion("tls_key", names) == ""
    assert {option.name for option in options_of(ChannelOptions)} < names


def test_every_pattern_has_a_reason() -> None:
    assert all(reason and not reason.endswith(".") for _, reason in MISSING)
