"""Names of options of all Centrifugo versions, v0 to v6, that Gentrifugo does not accept.

For each there is the name of the corresponding option here, or an explanation. Values are not considered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

RENAMED = {
    # v0, and v0 under Python
    "cookie_secret": "admin_secret",
    "api_secret": "secret",
    "password": "admin_password",
    "web_password": "admin_password",
    "web_secret": "admin_secret",
    "message_send_timeout": "client_message_write_timeout",
    "expired_connection_close_interval": "expired_connection_close_delay",
    # v2 to v5
    "client_anonymous": "allow_anonymous_connect_without_token",
    "redis_address": "redis_url",
    "proxy_http_headers": "hook_headers",
    # v6
    "http_api_key": "api_key",
    "rpc_proxy_endpoint": "proxy_rpc_endpoint",
    "rpc_proxy_timeout": "proxy_rpc_timeout",
    # v6, without the object around it
    "tls_cert_pem_file": "ssl_cert",
    "tls_key_pem_file": "ssl_key",
    "subscribe_to_user_personal_channel": "user_subscribe_to_personal",
    "subscribe_to_user_personal_channel_personal_channel_namespace": "user_personal_channel_namespace",
    "subscribe_to_user_personal_channel_single_connection": "user_personal_single_connection",
}
"""Options of other versions, and the options here with a different form of value or a different meaning.

Names that can be used without any change are the `aliases` of the option (options.py), and are not listed here.
"""

GROUPED = {
    "http_server": "address, port, admin_port and the options that begin with ssl",
    "log": "log_level and log_file",
    "broker": "engine and the options that begin with redis_",
    "presence_manager": "engine and the options that begin with redis_",
    "client": "allowed_origins, ping_interval, user_connection_limit, proxy_connect_endpoint, proxy_refresh_endpoint "
    "and the options that begin with client_ or token_",
    "channel": "namespaces, max_channel_length, proxy_subscribe_endpoint and the other backends for channels, and at "
    "the top level the options of channels without a namespace, such as presence and history_size",
    "rpc": "proxy_rpc_endpoint and proxy_rpc_timeout",
    "node": "name, node_ping_interval and node_metrics_interval",
    "http_api": "api_key (docs/api-v4.md), or secret, which signs requests (docs/api.md)",
    "websocket": "client_request_max_size, client_message_write_timeout and the options that begin with websocket_",
    "sockjs": "the options that begin with sockjs_",
    "shutdown": "shutdown_timeout",
    "emulation": "emulation_max_request_body_size",
    "structure": "namespaces",
    "sockjs_settings": "the options that begin with sockjs_",
}
"""Nested objects in the files of other versions (v0 in Python, v6), and the options here that replace them."""

OBJECTS = ("channel_without_namespace", "engine", *GROUPED)
"""The beginnings of names in the environment that stand for an object in the files of v6 around the option."""
SINGLE_WORDS = {"http_server": ("address", "port"), "node": ("name",), "channel": ("namespaces",)}
"""For an object of v6, the options in it whose names are a single word here.

In an object of another program, such a word seldom means the same: `node.port` is not `port`.
"""
ENDINGS = ("_enabled", "_type")
"""The ends of such names that the options here do not have: `admin.enabled` of v6 is `admin`."""

INSECURE_MODE = "this option does not exist; docs/insecure.md describes the insecure modes and their risks"
"""Shown for names of insecure modes, which are never suggested: a misspelt option must not disable protection."""

_ENDPOINTS = "connect|refresh|subscribe|sub_refresh|publish|rpc|disconnect|channel_state"
"""The events in the names of the options proxy_..._endpoint."""
_TIMEOUTS = "connect|refresh|subscribe|sub_refresh|publish|rpc"
"""The events in the names of the options proxy_..._timeout."""
MISSING = (
    (r"(client|(\w+_)?api|admin)_insecure|insecure_web|client_insecure_skip_token_signature_verify", INSECURE_MODE),
    (r"disallow_anonymous_connection_tokens",
     "not supported: a token with an empty sub connects an anonymous user; do not sign such tokens, or refuse them "
     "with a connect hook (docs/hooks.md)"),
    (r"(subscription_)?token_user_id_claim",
     "not supported: the user ID is always the claim sub, and with tokens that have it in another claim all users "
     "would be anonymous (docs/jwt.md)"),
    (r"token_(audience|issuer)_regex",
     "not supported: token_audience and token_issuer are compared with a whole value"),
    (r"token_hmac_previous_secret_key_valid_until",
     "not supported: remove token_hmac_previous_secret_key when no client has a token of that key any more"),
    (r"token_(jwks_public_endpoint_|\w+_hmac)\w*|jwks_\w+",
     "the options for tokens are those that begin with token_ (docs/jwt.md)"),
    (r"(separate_)?subscription_token_\w+",
     "tokens of connections and subscriptions are verified with the same options, which begin with token_: sign both "
     "with one key, or set the keys of both if these are of different kinds (docs/jwt.md)"),
    (r"skip_user_check_in_subscription_token",
     "not supported: the claim sub of a token for a channel must be the user of the connection (docs/jwt.md)"),
    (r"client_user_id_http_header",
     "not supported: a connect hook, or the backend at proxy_connect_endpoint, can name the user by a header that "
     "hook_headers lists (docs/hooks.md)"),
    (r"admin_external", "the admin endpoints are served at port, or at admin_port if it is set"),
    (r"(http_)?api_external", "the API is served at port, or at api_port if it is set"),
    (r"tls_external", "option ssl applies to all ports"),
    (r"internal_port", "set admin_port and api_port to this number, because the internal port is also for the API"),
    (r"internal_address", "all ports are opened on address; keep others from admin_port and api_port with a firewall"),
    (r"tls_(cert|key)_pem", "set ssl_cert and ssl_key to the paths of files in PEM (docs/tls.md)"),
    (r"client_connection_(rate_)?limit",
     "not supported: limit connections in a reverse proxy; user_connection_limit is for those of one user"),
    (r"client_connect_include_server_time", "not supported: the reply to connect contains no time"),
    (r"client_channel_position_check_delay|shared_position_sync",
     "not needed here: each node checks positions every 40 seconds, once for all subscribers of a channel"),
    (r"client_channel_position_max_time_lag", "not supported"),
    (r"(global|channel)_history_meta_ttl",
     "set history_meta_ttl in each namespace, which inherits nothing, and at the top level for channels without one"),
    (r"(subscribe|publish|presence|history)_cel|broker_name|presence_manager_name|state_events|keep_latest_publication",
     "not supported (docs/from-centrifugo.md)"),
    (r"delta_publish",
     "not needed here: where allowed_delta_types is set, every message is sent as a delta to clients that ask for "
     "deltas (docs/channels.md)"),
    (r"consumers(_\w+)?",
     "not supported: publish over HTTP (docs/api-v4.md), or with redis_api through a queue in Redis (docs/redis.md)"),
    (r"((use|disable)_)?client_protocol_v1\w*",
     "the client protocol v1 of Centrifugo v2 to v4 is not supported (docs/from-centrifugo.md)"),
    (r"(proxy_)?subscribe_stream\w*", "subscription streams are not supported (docs/proxy.md)"),
    (r"url_prefix", "this is an argument of Gentrifugo(...), the Flask extension; the option is http_prefix"),
    (r"endpoints", "this is an argument of Gentrifugo(...), the Flask extension, not an option"),
    (r"channel_regex", "any name is allowed (docs/channels.md)"),
    (r"grpc_\w+|grpc_api|uni_grpc\w*", "gRPC is not supported"),
    (r"(webtransport|http3)\w*", "WebTransport is not supported (docs/streams.md)"),
    (r"nats_\w+|tarantool_\w+", "the engines are memory and Redis (docs/redis.md)"),
    (r"redis_cluster_\w+", "Redis Cluster is not supported; several servers share the load as shards (docs/redis.md)"),
    (r"redis_sentinel_(tls|user|password)\w*", "Sentinels are asked without TLS, user and password (docs/redis.md)"),
    (r"redis_(tls|user)\w*", "set user, password and TLS in redis_url (docs/redis.md)"),
    (r"redis_(idle_timeout|use_lists|streams|sequence_ttl|history_use_lists|force_resp2)", "not needed here"),
    (r"((uni_)?(sse|http_stream|websocket)|sockjs|admin|api|prometheus|health|debug)_handler_prefix",
     "endpoints have fixed paths; option http_prefix adds a prefix to all of them"),
    (r"uni_\w+_connect_code_to_http_response\w*",
     "not supported: a refused one-way connection ends with its close code (docs/streams.md)"),
    (r"uni_(sse|http_stream|websocket)_(?!enabled\Z)\w+",
     "one-way connections have no options of their own: those for all clients apply to them too (docs/streams.md)"),
    (r"(sockjs|websocket|api)_disable", "these endpoints are always served; option api_port sets a port for the API"),
    (rf"proxy_(?!(({_ENDPOINTS})_endpoint|({_TIMEOUTS})_timeout|subscribe|sub_refresh|publish)\Z)\w+|proxies|granular_proxy_mode|rpc|rpc_\w+|\w+_proxy_name",
     "set the backend for each event with proxy_..._endpoint, its timeout with proxy_..._timeout, and the headers for "
     "all backends with hook_headers (docs/proxy.md)"),
    (r"graphite\w*|opentelemetry\w*", "metrics are only exported to Prometheus (option prometheus, docs/stats.md)"),
    (r"v3_use_offset|websocket_use_write_buffer_pool|usage_stats\w*"
     r"|shutdown_termination_delay|client_concurrency|tornado_settings|node_info_max_delay|swagger",
     "not needed here"),
    (r"(allow|force)_channel_\w+|protected|server_side"
     r"|(history|presence)_disable_for_client|subscribe_to_publish|publish_for_\w+|subscribe_for_\w+",
     "this option of another version of Centrifugo is not supported; see the channel options in docs/channels.md"),
)  # fmt: skip
"""Patterns of names without a corresponding option, of other versions and of arguments in Flask, each explained."""

_MISSING = [(re.compile(rf"(?:{pattern})\Z"), reason) for pattern, reason in MISSING]


def new_name_of(name: str) -> str:
    """Return the option here that corresponds to one of another version; empty if there is none."""
    return RENAMED.get(name, "")


def flat_names(name: str) -> Iterator[str]:
    """Yield what an option of v6 may be called without the objects around it, such as `namespaces` for
    `channel_namespaces`.
    """
    inner = [
        rest
        for each in OBJECTS
        if (rest := name.removeprefix(f"{each}_")) != name and ("_" in rest or _may_hold(each, rest))
    ]
    for candidate in (*inner, name):
        yield candidate
        yield from (candidate.removesuffix(end) for end in ENDINGS if candidate.endswith(end))


def _may_hold(around: str, word: str) -> bool:
    """Return whether an object of v6 has this option, whose name is a single word."""
    return around == "channel_without_namespace" or word in SINGLE_WORDS.get(around, ())


def explanation(name: str) -> str:
    """Return an explanation for a name in other versions or in Flask that is no option here; empty for other names."""
    if name in GROUPED:
        return f"options are not nested here: use {GROUPED[name]}"
    return next((reason for pattern, reason in _MISSING if pattern.match(name)), "")
