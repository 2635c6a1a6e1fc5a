"""Option names of all Centrifugo versions, v0 to v6, that Gentrifugo does not have under the same name.

Says what such an option is called here, or why there is none. Knows the names only, not their values.
"""

from __future__ import annotations

import re

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
    "tls": "ssl",
    "tls_cert": "ssl_cert",
    "tls_key": "ssl_key",
    "admin_web_path": "web_path",
    "channel_max_length": "max_channel_length",
    "channel_private_prefix": "private_channel_prefix",
    "channel_namespace_boundary": "namespace_channel_boundary",
    "channel_user_boundary": "user_channel_boundary",
    "channel_user_separator": "user_channel_separator",
    "client_expired_close_delay": "expired_connection_close_delay",
    "client_stale_close_delay": "stale_connection_close_delay",
    "client_ping_interval": "ping_interval",
    "websocket_ping_interval": "ping_interval",
    "client_presence_ping_interval": "presence_ping_interval",
    "client_presence_update_interval": "presence_ping_interval",
    "client_presence_expire_interval": "presence_expire_interval",
    "client_user_connection_limit": "user_connection_limit",
    "client_anonymous": "anonymous",
    "websocket_message_size_limit": "client_request_max_size",
    "websocket_write_timeout": "client_message_write_timeout",
    "history_ttl": "history_lifetime",
    "history_recover": "recover",
    "force_recovery": "recover",
    "force_push_join_leave": "join_leave",
    "presence_ttl": "presence_expire_interval",
    "global_presence_ttl": "presence_expire_interval",
    "internal_port": "admin_port",
    "node_info_metrics_aggregate_interval": "node_metrics_interval",
    "redis_address": "redis_url",
    "redis_sentinel_address": "redis_sentinels",
    "redis_sentinel_master_name": "redis_master_name",
    "proxy_connect_endpoint": "hook_url",
    "proxy_refresh_endpoint": "hook_url",
    "proxy_subscribe_endpoint": "hook_url",
    "proxy_publish_endpoint": "hook_url",
    "proxy_connect_timeout": "hook_timeout",
    "proxy_refresh_timeout": "hook_timeout",
    "proxy_subscribe_timeout": "hook_timeout",
    "proxy_publish_timeout": "hook_timeout",
    "proxy_http_headers": "hook_headers",
}
"""Names of other versions, and what the option is called here."""

GROUPED = {
    "http_server": "address, port, admin_port, ssl, ssl_cert and ssl_key",
    "log": "log_level and log_file",
    "broker": "engine and the options that begin with redis_",
    "presence_manager": "engine and the options that begin with redis_",
    "client": "client_channel_limit, client_queue_max_size, allowed_origins and others that begin with client_",
    "channel": "namespaces, history_size, presence and other options of channels",
    "node": "name, node_ping_interval and node_metrics_interval",
    "http_api": "secret, which signs requests (docs/api.md)",
    "websocket": "the options that begin with websocket_",
    "sockjs": "the options that begin with sockjs_",
    "shutdown": "shutdown_timeout",
    "structure": "namespaces",
    "sockjs_settings": "the options that begin with sockjs_",
}
"""Objects in the files of v6 and of v0 under Python, and the options here that say the same. Ours are not nested."""

INSECURE_MODE = "there is no such option; docs/insecure.md describes the insecure modes and their risks"
"""A name of an insecure mode is never suggested: whoever misspells an option must not end up without protection."""

MISSING = (
    (r"(client|api|admin|grpc_api)_insecure|insecure_web|client_insecure_skip_token_signature_verify", INSECURE_MODE),
    (r"token_(user_id|audience_|issuer_|jwks_public_endpoint_|\w+_hmac)\w*|jwks_\w+|(separate_)?subscription_token_\w+",
     "tokens of connections and subscriptions are checked with the same options, which begin with token_ "
     "(docs/jwt.md)"),
    (r"api_key", "requests to the API are signed with `secret` (docs/api.md)"),
    (r"grpc_\w+|grpc_api|uni_grpc\w*", "there is no gRPC"),
    (r"(uni_(websocket|sse|http_stream)|sse|http_stream|webtransport|emulation|http3)\w*",
     "the transports are WebSocket and SockJS (docs/connections.md)"),
    (r"nats_\w+|tarantool_\w+", "the engines are memory and Redis (docs/redis.md)"),
    (r"redis_cluster_\w+", "Redis Cluster is not supported; several servers share the load as shards (docs/redis.md)"),
    (r"redis_(tls|user|sentinel_user|sentinel_password)\w*", "redis_url holds user, password and TLS (docs/redis.md)"),
    (r"redis_(idle_timeout|use_lists|streams|sequence_ttl|history_use_lists|force_resp2)", "not needed here"),
    (r"(sockjs|websocket|admin|api|prometheus|health|debug|sse)_handler_prefix",
     "endpoints have fixed paths; http_prefix is put in front of all of them"),
    (r"(sockjs|websocket|api)_disable", "these endpoints are always served; api_port gives the API a port of its own"),
    (r"proxy_\w+|proxies|granular_proxy_mode|rpc|rpc_\w+", "hooks ask a backend (docs/hooks.md)"),
    (r"graphite\w*|opentelemetry\w*", "figures are served for Prometheus, with the option prometheus (docs/stats.md)"),
    (r"(use_)?client_protocol_v1\w*|v3_use_offset|websocket_use_write_buffer_pool|usage_stats\w*"
     r"|shutdown_termination_delay|client_concurrency|tornado_settings|node_info_\w+|consumers|swagger",
     "not needed here"),
    (r"(allow|force)_\w+|user_(subscribe_to_personal|personal_\w+)|protected|position|server_side|delta_publish"
     r"|(history|presence)_disable_for_client|subscribe_to_publish|publish_for_\w+|subscribe_for_\w+"
     r"|history_meta_ttl|global_history_\w+",
     "it belongs to later versions of Centrifugo; docs/channels.md has the channel options"),
)  # fmt: skip
"""Patterns of names of other versions that have no counterpart, and what to say about them."""

_MISSING = [(re.compile(rf"(?:{pattern})\Z"), reason) for pattern, reason in MISSING]
_TLS_AUTOCERT = "tls_autocert"


def renamed(name: str) -> str:
    """What an option of another version is called here; empty when it is not known under another name."""
    if name.startswith(_TLS_AUTOCERT):
        return "ssl_autocert" + name.removeprefix(_TLS_AUTOCERT)
    return RENAMED.get(name, "")


def explanation(name: str) -> str:
    """What to know about an option of another version that has no single counterpart; empty for other names."""
    if name in GROUPED:
        return f"options are not nested here: see {GROUPED[name]}"
    return next((reason for pattern, reason in _MISSING if pattern.match(name)), "")
