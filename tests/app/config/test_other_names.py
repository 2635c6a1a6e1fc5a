"""Names of options of other Centrifugo versions lead to the option here, or to the reason why there is none."""

from __future__ import annotations

import re

import pytest

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.other_names import GROUPED, MISSING, RENAMED, explanation, new_name_of
from gentrifugo.app.config.schema import suggestion

OPTIONS = {option.name for option in options_of(Config)}


def test_suggested_replacements_are_existing_options() -> None:
    assert set(RENAMED.values()) <= OPTIONS


def test_current_options_are_not_listed_as_options_of_other_versions() -> None:
    names = {name for option in options_of(Config) for name in option.names}
    assert names & {*RENAMED, *GROUPED} == set()
    assert [name for name in names if explanation(name) or new_name_of(name)] == []


def test_the_options_that_replace_an_object_exist() -> None:
    named = {word for sentence in GROUPED.values() for word in re.findall(r"[a-z]+(?:_[a-z]+)+", sentence)}
    assert named <= OPTIONS
    assert named


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("web_password", "; use admin_password instead"),
        ("internal_port", "; use admin_port instead"),
        ("client_anonymous", "; use allow_anonymous_connect_without_token instead"),
        ("WEB_SECRET", "; use admin_secret instead"),
        (
            "subscription_token_hmac_secret_key",
            "; tokens of connections and subscriptions are verified with the same options",
        ),
        ("http_server", "; options are not nested here: use address, port,"),
        ("client", "; options are not nested here: use allowed_origins, "),
        ("channel", "; options are not nested here: use namespaces, "),
        ("http_api", "; options are not nested here: use api_key"),
        ("CENTRIFUGO_ENGINE_REDIS_ADDRESS", "; use redis_url instead"),
        ("CENTRIFUGO_ENGINE_REDIS_PREFIX", "; did you mean redis_prefix?"),
        ("CENTRIFUGO_ENGINE_REDIS_CLUSTER_ADDRESS", "; Redis Cluster is not supported"),
        ("CENTRIFUGO_ENGINE_TYPE", "; did you mean engine?"),
        ("CENTRIFUGO_BROKER_TYPE", "; options are not nested here: use engine and"),
        ("CENTRIFUGO_ADMIN_ENABLED", "; did you mean admin?"),
        ("CENTRIFUGO_DEBUG_ENABLED", "; did you mean debug?"),
        ("CENTRIFUGO_HTTP_SERVER_PORT", "; did you mean port?"),
        ("CENTRIFUGO_HTTP_SERVER_INTERNAL_PORT", "; use admin_port instead"),
        ("CENTRIFUGO_HTTP_SERVER_TLS_CERT_PEM_FILE", "; use ssl_cert instead"),
        ("CENTRIFUGO_HTTP_API_KEY", "; did you mean api_key?"),
        ("CENTRIFUGO_HTTP_API_INSECURE", "; this option does not exist; docs/insecure.md"),
        ("CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_PRESENCE", "; did you mean presence?"),
        ("CENTRIFUGO_CLIENT_SUBSCRIBE_TO_USER_PERSONAL_CHANNEL_ENABLED", "; use user_subscribe_to_personal instead"),
        ("grpc_api_port", "; gRPC is not supported"),
        ("url_prefix", "; this is an argument of Gentrifugo(...), the Flask extension; the option is http_prefix"),
        ("CENTRIFUGO_URL_PREFIX", "; this is an argument of Gentrifugo(...), the Flask extension; the option is "),
        ("endpoints", "; this is an argument of Gentrifugo(...), the Flask extension, not an option"),
        ("channel_regex", "; any name is allowed"),
        ("allow_channel_compaction", "; this option of another version of Centrifugo is not supported"),
        ("allow_subscribe_for_clients", "; did you mean allow_subscribe_for_client?"),
        ("allow_subscribe", "; did you mean allow_subscribe_for_client?"),
        ("allow_publish", "; did you mean allow_publish_for_client?"),
        ("CENTRIFUGO_ALLOW_PRESENCE", "; did you mean allow_presence_for_client?"),
        ("usage_stats", "; not needed here"),
        ("proxy_disconnect_timeout", "; set the backend for each event with proxy_..._endpoint"),
        ("proxy_http_headers", "; use hook_headers instead"),
        ("proxy_conect_endpoint", "; set the backend for each event with proxy_..._endpoint"),
        ("proxy_grpc_metadata", "; set the backend for each event with proxy_..._endpoint"),
        ("subscribe_proxy_name", "; set the backend for each event with proxy_..._endpoint"),
        ("proxies", "; set the backend for each event with proxy_..._endpoint"),
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
def test_insecure_modes_are_never_suggested(name: str) -> None:
    assert "did you mean" not in suggestion(name, OPTIONS)
    assert " instead" not in suggestion(name, OPTIONS)


def test_names_of_flags_and_variables_get_their_prefix() -> None:
    assert suggestion("internal_port", OPTIONS, "--") == "; use --admin_port instead"
    variables = {name.upper() for name in OPTIONS}
    assert suggestion("WEB_PASSWORD", variables, "CENTRIFUGO_") == "; use CENTRIFUGO_ADMIN_PASSWORD instead"


def test_options_of_a_namespace_are_explained_among_those_of_a_namespace() -> None:
    names = {option.name for option in options_of(Namespace)}
    assert suggestion("client_anonymous", OPTIONS) == "; use allow_anonymous_connect_without_token instead"
    assert " instead" not in suggestion("client_anonymous", names)
    assert {option.name for option in options_of(ChannelOptions)} < names


def test_options_of_backends_are_not_explained_as_other_options() -> None:
    names = {f"proxy_{event}_endpoint" for event in ("connect", "refresh", "subscribe", "sub_refresh")}
    assert names <= OPTIONS
    assert [new_name_of(name) or explanation(name) for name in names] == [""] * 4


def test_every_pattern_has_a_reason() -> None:
    assert all(reason and not reason.endswith(".") for _, reason in MISSING)
