"""Names of options of other Centrifugo versions lead to the option here, or to the reason why there is none."""

from __future__ import annotations

import re

import pytest
import yaml

from gentrifugo.app.config.channel_options import ChannelOptions, Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.other_names import GROUPED, MISSING, RENAMED, explanation, new_name_of
from gentrifugo.app.config.schema import suggestion, unknown_options

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
        ("internal_port", "; set admin_port and api_port to this number"),
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
        ("CENTRIFUGO_HTTP_SERVER_INTERNAL_PORT", "; set admin_port and api_port to this number"),
        ("CENTRIFUGO_HTTP_SERVER_TLS_CERT_PEM_FILE", "; use ssl_cert instead"),
        ("CENTRIFUGO_HTTP_API_KEY", "; use api_key instead"),
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
        (
            "consumers",
            "; not supported: publish over HTTP (docs/api-v4.md), or with redis_api through a queue in Redis",
        ),
        ("CENTRIFUGO_CONSUMERS_ORDERS_KAFKA_BROKERS", "; not supported: publish over HTTP"),
        ("global_history_meta_ttl", "; set history_meta_ttl in each namespace, which inherits nothing, and at the top"),
        ("CENTRIFUGO_CHANNEL_HISTORY_META_TTL", "; set history_meta_ttl in each namespace"),
        ("delta_publish", "; not needed here: where allowed_delta_types is set, every message is sent as a delta"),
        ("token_user_id_claim", "; not supported: the user ID is always the claim sub"),
        ("CENTRIFUGO_CLIENT_TOKEN_USER_ID_CLAIM", "; not supported: the user ID is always the claim sub"),
        ("token_audience_regex", "; not supported: token_audience and token_issuer are compared with a whole value"),
        ("skip_user_check_in_subscription_token", "; not supported: the claim sub of a token for a channel must be"),
        ("disable_client_protocol_v1", "; the client protocol v1 of Centrifugo v2 to v4 is not supported"),
        (
            "client_user_id_http_header",
            "; not supported: a connect hook, or the backend at proxy_connect_endpoint, can",
        ),
        (
            "disallow_anonymous_connection_tokens",
            "; not supported: a token with an empty sub connects an anonymous user",
        ),
        ("admin_external", "; the admin endpoints are served at port, or at admin_port if it is set"),
        ("api_external", "; the API is served at port, or at api_port if it is set"),
        ("CENTRIFUGO_HTTP_API_EXTERNAL", "; the API is served at port, or at api_port if it is set"),
        ("internal_address", "; all ports are opened on address"),
        ("CENTRIFUGO_HTTP_SERVER_INTERNAL_ADDRESS", "; all ports are opened on address"),
        ("client_channel_position_check_delay", "; not needed here: each node checks positions every 40 seconds"),
        ("shared_position_sync", "; not needed here: each node checks positions every 40 seconds"),
        ("client_connection_limit", "; not supported: limit connections in a reverse proxy"),
        ("client_connection_rate_limit", "; not supported: limit connections in a reverse proxy"),
        ("client_connect_include_server_time", "; not supported: the reply to connect contains no time"),
        ("redis_sentinel_tls", "; Sentinels are asked without TLS, user and password"),
        ("redis_tls", "; set user, password and TLS in redis_url"),
        ("broker_name", "; not supported (docs/from-centrifugo.md)"),
        ("history_cel", "; not supported (docs/from-centrifugo.md)"),
        ("rpc_proxy_endpoint", "; use proxy_rpc_endpoint instead"),
        ("proxy_subscribe_stream_endpoint", "; subscription streams are not supported"),
        ("num_workers", ""),
        ("write_timeout", ""),
        ("uni_sse_max_request_body_size", "; one-way connections have no options of their own"),
        ("uni_websocket_ping_interval", "; one-way connections have no options of their own"),
        ("CENTRIFUGO_UNI_WEBSOCKET_MESSAGE_SIZE_LIMIT", "; one-way connections have no options of their own"),
        ("uni_http_stream_handler_prefix", "; endpoints have fixed paths"),
        ("uni_sse_enabled", "; did you mean uni_sse?"),
        ("CENTRIFUGO_NODE_NAME", "; did you mean name?"),
        ("histroy_size", "; did you mean history_size?"),
        ("hmac_secret_key", "; did you mean token_hmac_secret_key?"),
        ("user_connections_limit", "; did you mean user_connection_limit?"),
        ("allow_anonymous_connection_tokens", ""),
        ("external_secret", ""),
        ("connection_time_limit", ""),
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
    assert suggestion("redis_address", OPTIONS, "--") == "; use --redis_url instead"
    variables = {name.upper() for name in OPTIONS}
    assert suggestion("WEB_PASSWORD", variables, "CENTRIFUGO_") == "; use CENTRIFUGO_ADMIN_PASSWORD instead"


def test_options_in_objects_of_v6_are_named_with_the_option_here() -> None:
    nested = {
        "client": {
            "token": {"hmac_secret_key": "x", "user_id_claim": "id"},
            "subscription_token": {"enabled": True, "rsa_public_key": "y"},
            "proxy": {"connect": {"endpoint": "http://h", "timeout": "1s"}},
            "stale_close_delay": "10s",
            "insecure": True,
        },
        "channel": {"without_namespace": {"presence": True}, "namespaces": [{"name": "chat"}], "other": {}},
        "http_api": {"key": "x"},
        "log": {},
    }
    assert [text.removeprefix("unknown option") for text in unknown_options(Config, nested)] == [
        " client.token.hmac_secret_key; use token_hmac_secret_key instead",
        f" client.token.user_id_claim; {explanation('token_user_id_claim')}",
        f"s client.subscription_token.enabled, client.subscription_token.rsa_public_key; "
        f"{explanation('subscription_token_rsa_public_key')}",
        " client.proxy.connect.endpoint; use proxy_connect_endpoint instead",
        " client.proxy.connect.timeout; use proxy_connect_timeout instead",
        " client.stale_close_delay; use client_stale_close_delay instead",
        f" client.insecure; {explanation('client_insecure')}",
        " channel.without_namespace.presence; use presence instead",
        " channel.namespaces; use namespaces instead",
        f" channel.other; {explanation('channel')}",
        " http_api.key; use api_key instead",
        f" log; {explanation('log')}",
    ]


def test_object_that_contains_itself_is_named_by_the_outer_object() -> None:
    values = yaml.safe_load("client: &outer {token: *outer, proxy: *outer}")
    assert list(unknown_options(Config, values)) == [f"unknown option client; {explanation('client')}"]


def test_objects_with_the_name_of_an_option_are_explained_too() -> None:
    nested = {"engine": {"type": "redis", "redis": {"address": "h"}}, "admin": {"enabled": True, "password": "x"}}
    assert list(unknown_options(Config, nested)) == [
        "unknown option engine.type; use engine instead",
        "unknown option engine.redis.address; use redis_url instead",
        "unknown option admin.enabled; use admin instead",
        "unknown option admin.password; use admin_password instead",
    ]
    assert list(unknown_options(Config, {"namespaces": {"chat": {"presence": True}}})) == []


def test_objects_of_other_programs_stay_one_warning() -> None:
    assert list(unknown_options(Config, {"database": {"host": "h", "port": 1}})) == ["unknown option database"]


def test_single_words_mean_an_option_only_in_the_object_that_has_it() -> None:
    nested = {"node": {"port": 3, "name": "x"}, "log": {"port": 1, "secret": 2}, "http_server": {"port": 8000}}
    assert list(unknown_options(Config, nested)) == [
        f"unknown option node.port; {explanation('node')}",
        "unknown option node.name; use name instead",
        f"unknown options log.port, log.secret; {explanation('log')}",
        "unknown option http_server.port; use port instead",
    ]


def test_options_of_one_way_endpoints_are_not_those_of_others() -> None:
    nested = {"uni_websocket": {"enabled": True, "ping_interval": "1s", "message_size_limit": 3}}
    assert list(unknown_options(Config, nested)) == [
        "unknown option uni_websocket.enabled; use uni_websocket instead",
        "unknown options uni_websocket.ping_interval, uni_websocket.message_size_limit; "
        f"{explanation('uni_websocket_ping_interval')}",
    ]


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
