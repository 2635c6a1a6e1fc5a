"""Declares all options of the server as fields of frozen dataclasses, which also hold the values.

`loading.py` creates a `Config` from files, environment and flags. Code and tests may also create one directly.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import ClassVar

from marshmallow import validate

from .options import (
    AUTO,
    NOT_EMPTY,
    PORT,
    POSITIVE,
    POSITIVE_TIME,
    RANGE_ERROR,
    SECONDS,
    Choice,
    comma_separated,
    host_names,
    must_match,
    networks,
    option,
    origins_or_all,
    own_option,
    passed_on_headers,
    port_or_empty,
    url_or_empty,
)
from .stream_options import StreamOptions

HTTP_PREFIX = must_match(r"(/[^/?#\s]+)*", "Must be empty, or begin with a slash and not end with one.")
HEADER_NAME_OR_EMPTY = must_match(r"[A-Za-z0-9-]*", "Must be the name of a header.")
PATH_OR_EMPTY = must_match(r"(/[^?#\s]*)?", "Must be empty or begin with a slash.")
HOOK_EVENTS = (
    "connect",
    "subscribe",
    "publish",
    "refresh",
    "disconnect",
    "channel_occupied",
    "channel_vacated",
    "private_subscribe",
)
INTEGRITY_OR_EMPTY = must_match(
    r"(sha(256|384|512)-[A-Za-z0-9+/]{43,86}={0,2}( (?=sha)|$))*",
    "Must be hashes such as sha384-…, as in the attribute integrity of a script, or empty.",
)
MODE = must_match(r"[0-7]{3}", "Must be three octal digits, such as 660.")
LEVEL = validate.Range(min=1, max=9, error=RANGE_ERROR)
LOG_LEVELS = Choice("trace", "debug", "info", "warning", "warn", "error", "critical", "fatal", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(StreamOptions):
    """All options of one node. Times are seconds and may be fractions; sizes are bytes."""

    GROUPS: ClassVar[dict[str, str]] = {
        "watch": "Channels",
        "client_channel_limit": "Clients",
        "connection_lifetime": "Connection times",
        "token_hmac_secret_key": "Tokens of protocol v2",
        "proxy_connect_endpoint": "HTTP proxy",
        "http_stream": "Connections without WebSocket",
        "secret": "Security",
        "address": "Listening",
        "name": "Node",
        "log_level": "Logging and process",
        "hook_timeout": "Hooks",
        "private_channel_prefix": "Channel names",
        "http_header_timeout": "HTTP",
        "websocket_compression": "WebSocket",
        "sockjs_url": "SockJS",
        "admin": "Admin",
        "ssl": "TLS",
        "redis_host": "Redis engine",
    }
    """The title of each group of options in the help and the reference page, by the first option of the group."""

    secret: str = option(
        "",
        "Key that signs tokens, private subscriptions and API requests; required unless insecure is on.",
        secret=True,
        reload=True,
    )
    api_key: str = option(
        "",
        "Key of backends for the methods of the HTTP API at `/api/<method>`; without it they are refused.",
        secret=True,
        reload=True,
    )
    allowed_origins: str = option(
        AUTO,
        "Origins whose pages may connect, comma-separated; `*` allows all, empty only the server's own host, and "
        "`auto` is empty if a hook or a backend decides who connects, otherwise `*`.",
        check=origins_or_all,
        is_list=True,
        reload=True,
    )
    trusted_proxies: str = option(
        "127.0.0.0/8,::1,unix",
        "Addresses and networks of proxies whose headers `X-Forwarded-For`, `X-Real-IP`, `X-Forwarded-Proto`, "
        "`X-Forwarded-Host` and `X-Forwarded-Prefix` are trusted; `unix` stands for connections over a Unix socket.",
        check=networks,
        is_list=True,
        reload=True,
    )
    insecure: bool = option(
        False,
        "Accept clients without a token, and let them subscribe and publish to every channel.",
        flag=True,
        reload=True,
    )
    allow_anonymous_connect_without_token: bool = option(
        False, "Let clients of protocol v2 connect without a token, with an empty user ID.", reload=True
    )
    insecure_api: bool = option(
        False, "Accept HTTP API requests without a signature or an API key.", flag=True, reload=True
    )
    insecure_admin: bool = option(False, "Require no password for the admin endpoints.", flag=True, reload=True)

    address: str = own_option(
        "", "Address to listen on; empty or `::` listens on all interfaces, IPv4 and IPv6.", flag=True, short="-a"
    )
    port: int = own_option(8000, "Port to listen on; 0 picks a free one.", flag=True, short="-p", check=PORT)
    api_port: str = own_option(
        "", "Port of the API endpoints; empty uses `port`.", flag=True, check=port_or_empty, numeric=True
    )
    admin_port: str = own_option(
        "",
        "Port of the admin, metrics and debug endpoints; empty uses `port`.",
        flag=True,
        check=port_or_empty,
        numeric=True,
    )
    unix_socket: str = own_option("", "Path of a Unix socket to listen on instead of `address` and `port`.", flag=True)
    unix_socket_mode: str = option("660", "Permissions of the Unix socket, as for chmod.", check=MODE, numeric=True)
    workers: int = option(
        1,
        "Number of processes that share the ports; more than one requires the Redis engine.",
        flag=True,
        check=POSITIVE,
    )
    http_prefix: str = option("", "Prefix of the path of every endpoint.", check=HTTP_PREFIX)

    name: str = own_option(
        "",
        "Name of this node; must be unique in the cluster, so several workers add their numbers or process IDs.",
        flag=True,
        short="-n",
        shown_default="hostname_port",
    )
    engine: str = option(
        "memory",
        "Engine that carries messages and stores presence and history.",
        flag=True,
        short="-e",
        check=Choice("memory", "redis"),
    )
    node_ping_interval: float = option(
        3,
        "Interval at which a node reports to the other nodes that it is alive.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
    )
    node_metrics_interval: float = option(
        60,
        "How often a snapshot of the counters is taken.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
        aliases=("node_info_metrics_aggregate_interval",),
    )
    debug: bool = option(
        False,
        "Serve the debug endpoints, without a password; as a flag with `--app`, it is Flask's debug mode instead.",
        flag=True,
        short="-d",
    )
    prometheus: bool = option(False, "Serve the metrics for Prometheus, without a password.", flag=True)
    health: bool = option(False, "Serve `/health` for load balancers.", flag=True)
    gomaxprocs: int = option(
        0, "Accepted for compatibility with Centrifugo.", no_effect="a node is one process on one core"
    )

    log_level: str = option("info", "Lowest severity that is logged.", flag=True, check=LOG_LEVELS, reload=True)
    log_file: str = own_option("", "File for the log, reopened on SIGUSR1; empty logs to standard output.", flag=True)
    log_format: str = option(
        "text",
        "Format of the log: `text` for reading, `json` for log processing.",
        flag=True,
        check=Choice("text", "json"),
    )
    pid_file: str = own_option("", "File that holds the process ID while the server runs.", flag=True)
    drain_time: float = option(
        3,
        "Time over which the server spreads the closing of connections when it stops; it closes at least 100 per "
        "second.",
        unit=SECONDS,
        reload=True,
    )
    shutdown_timeout: float = option(
        10,
        "Maximum time for stopping the server; connections are closed until its last second, or its second half if "
        "that is shorter.",
        unit=SECONDS,
    )
    worker_timeout: float = option(
        30,
        "With `workers`: a worker whose event loop is blocked for this long is killed and replaced; 0 means never.",
        unit=SECONDS,
        reload=True,
    )

    hook_timeout: float = option(
        5,
        "Maximum time for a hook; for `hook_url` and `proxy_…_endpoint`, for each attempt.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
    )
    hook_url: str = option("", "URL of the backend that receives the events of hooks.", flag=True, check=url_or_empty)
    hook_events: str = option(
        "",
        f"Events that are sent to the backend, comma-separated: {', '.join(HOOK_EVENTS)}.",
        check=comma_separated(*HOOK_EVENTS),
        is_list=True,
    )
    hook_secret: str = option("", "Key that signs requests to the backend; empty uses `secret`.", secret=True)
    hook_tries: int = option(3, "Maximum number of attempts for a request to the backend.", check=POSITIVE)
    hook_headers: str = option(
        "Authorization,Cookie,Origin,User-Agent,X-Forwarded-For,X-Real-IP",
        "Headers of the client's request that are sent to the backend, comma-separated.",
        check=passed_on_headers,
        is_list=True,
    )
    auth_endpoint: str = option(
        "/centrifuge/auth/",
        "Path that signs private channels, if a hook decides on them; empty disables it.",
        check=PATH_OR_EMPTY,
    )
    refresh_endpoint: str = option(
        "/centrifuge/refresh/",
        "Path that issues new credentials, if a hook decides on them; empty disables it.",
        check=PATH_OR_EMPTY,
    )

    private_channel_prefix: str = option(
        "$",
        "Prefix of channels that need a signed subscription.",
        check=NOT_EMPTY,
        reload=True,
        aliases=("channel_private_prefix",),
    )
    namespace_channel_boundary: str = option(
        ":",
        "Separates the namespace from the rest of a channel name.",
        check=NOT_EMPTY,
        reload=True,
        aliases=("channel_namespace_boundary",),
    )
    user_channel_boundary: str = option(
        "#",
        "Separates a channel name from the allowed user IDs.",
        check=NOT_EMPTY,
        reload=True,
        aliases=("channel_user_boundary",),
    )
    user_channel_separator: str = option(
        ",", "Separates the allowed user IDs.", check=NOT_EMPTY, reload=True, aliases=("channel_user_separator",)
    )
    client_channel_boundary: str = option(
        "&", "Separates a channel name from the allowed client ID; empty: names contain no client IDs.", reload=True
    )

    http_header_timeout: float = option(
        10, "Maximum time to receive the head or the body of a request.", unit=SECONDS, check=POSITIVE_TIME
    )
    http_keepalive_timeout: float = option(
        75, "How long an HTTP connection may be idle between requests.", unit=SECONDS
    )
    api_request_max_size: int = option(10485760, "Maximum body size of an API request.", unit="bytes", check=POSITIVE)
    api_reply_max_size: int = option(
        67108864,
        "Size of the replies to one API request beyond which its remaining commands are refused.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )

    websocket_compression: bool = option(False, "Compress messages for WebSocket clients that support it.")
    websocket_compression_min_size: int = option(0, "Messages smaller than this are not compressed.", unit="bytes")
    websocket_compression_level: int = option(1, "Compression level: 1 is fastest, 9 is smallest.", check=LEVEL)
    websocket_read_buffer_size: int = option(
        0, "Accepted for compatibility with Centrifugo.", unit="bytes", no_effect="buffers grow and shrink as needed"
    )
    websocket_write_buffer_size: int = option(
        0, "Accepted for compatibility with Centrifugo.", unit="bytes", no_effect="buffers grow and shrink as needed"
    )

    sockjs_url: str = option("", "URL of the SockJS client library for the iframe page.", reload=True)
    sockjs_integrity: str = option(
        "",
        "Subresource Integrity of the library at sockjs_url, such as `sha384-…`; the default library has its own.",
        check=INTEGRITY_OR_EMPTY,
        reload=True,
    )
    sockjs_iframe: bool = option(
        True,
        "Serve the page for SockJS's iframe transports; inside a Flask application the default is false.",
        reload=True,
    )
    sockjs_heartbeat_delay: float = option(25, "How often SockJS sends a heartbeat; 0 sends none.", unit=SECONDS)

    admin: bool = option(False, "Serve the admin socket.", flag=True)
    admin_password: str = option("", "Password of the web interface.", secret=True, reload=True)
    admin_secret: str = option("", "Key that signs the tokens of the admin socket.", secret=True, reload=True)
    admin_trusted_header: str = option(
        "",
        "Header with the name of an operator, in which a proxy of `trusted_proxies` says who has logged in there; "
        "such requests need no password.",
        check=HEADER_NAME_OR_EMPTY,
        reload=True,
    )
    admin_token_lifetime: float = option(
        86400,
        "How long a login to the web interface lasts.",
        unit=SECONDS,
        check=POSITIVE_TIME,
        reload=True,
    )
    web: bool = option(False, "Serve the web interface and the admin socket.", flag=True, short="-w")
    web_path: str = option(
        "", "Directory of another web interface to serve instead.", flag=True, aliases=("admin_web_path",)
    )

    ssl: bool = option(
        False, "Accept TLS connections only, on every port; needs ssl_cert and ssl_key.", flag=True, aliases=("tls",)
    )
    ssl_cert: str = option(
        "",
        "File with the certificate and its intermediate certificates; reloaded on SIGHUP.",
        flag=True,
        aliases=("tls_cert",),
    )
    ssl_key: str = option("", "File with the private key; reloaded on SIGHUP.", flag=True, aliases=("tls_key",))
    ssl_autocert: bool = option(
        False,
        "Accept TLS connections only, with certificates that are obtained and renewed automatically from "
        "Let's Encrypt.",
        aliases=("tls_autocert",),
    )
    ssl_autocert_host_whitelist: str = option(
        "",
        "Host names to obtain certificates for, comma-separated.",
        check=host_names,
        is_list=True,
        aliases=("tls_autocert_host_whitelist",),
    )
    ssl_autocert_cache_dir: str = option(
        "", "Directory where the certificates are stored.", aliases=("tls_autocert_cache_dir",)
    )
    ssl_autocert_directory: str = option(
        "https://acme-v02.api.letsencrypt.org/directory", "URL of the ACME server's directory.", check=NOT_EMPTY
    )
    ssl_autocert_email: str = option("", "Contact address for Let's Encrypt.", aliases=("tls_autocert_email",))
    ssl_autocert_force_rsa: bool = option(
        False, "Request certificates with RSA keys, for old browsers.", aliases=("tls_autocert_force_rsa",)
    )
    ssl_autocert_server_name: str = option(
        "",
        "Host name whose certificate is used for clients that send no server name (SNI).",
        aliases=("tls_autocert_server_name",),
    )
    ssl_autocert_http: bool = option(
        False,
        "Answer ACME challenges over plain HTTP (HTTP-01) instead of TLS (TLS-ALPN-01).",
        aliases=("tls_autocert_http",),
    )
    ssl_autocert_http_addr: str = option(
        ":80",
        "Address of the plain HTTP server for challenges, host:port or :port.",
        aliases=("tls_autocert_http_addr",),
    )

    redis_host: str = option(
        "127.0.0.1", "Host of the Redis server; a comma-separated list sets several shards.", flag=True, is_list=True
    )
    redis_port: str = option(
        "6379",
        "Port of the Redis server; a comma-separated list sets several shards.",
        flag=True,
        numeric=True,
        is_list=True,
    )
    redis_password: str = option("", "Password of the Redis server.", flag=True, secret=True)
    redis_db: str = option("0", "Number of the Redis database.", flag=True, numeric=True)
    redis_url: str = option(
        "",
        "URL such as redis://user:password@host:port/db, instead of the four options above; rediss:// uses "
        "TLS; a comma-separated list sets several shards.",
        flag=True,
        secret=True,
        is_list=True,
    )
    redis_pool: int = option(
        256,
        "Accepted for compatibility with Centrifugo.",
        flag=True,
        check=POSITIVE,
        no_effect="all commands share one connection, subscriptions have another, each API queue one more",
    )
    redis_prefix: str = option("centrifugo", "Prefix of all keys and channels in Redis.", check=NOT_EMPTY)
    redis_master_name: str = option(
        "",
        "Name of the master that the Sentinels monitor.",
        flag=True,
        is_list=True,
        aliases=("redis_sentinel_master_name",),
    )
    redis_sentinels: str = option(
        "", "Addresses of Sentinels, comma-separated.", flag=True, is_list=True, aliases=("redis_sentinel_address",)
    )
    redis_connect_timeout: float = option(1, "Maximum time to connect to Redis.", unit=SECONDS, check=POSITIVE_TIME)
    redis_read_timeout: float = option(10, "Maximum time for a reply from Redis.", unit=SECONDS, check=POSITIVE_TIME)
    redis_write_timeout: float = option(1, "Maximum time for a write to Redis.", unit=SECONDS, check=POSITIVE_TIME)
    redis_pubsub_num_workers: int = option(
        0, "Accepted for compatibility with Centrifugo.", no_effect="one greenlet handles what Redis publishes"
    )
    redis_api: bool = option(False, "Take API commands from a queue in Redis.", flag=True)
    redis_api_num_shards: int = option(0, "Number of additional API queues to read.", flag=True)

    @property
    def is_tls_only(self) -> bool:
        """Whether all ports of this server accept only TLS connections."""
        return self.ssl or self.ssl_autocert

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", default_name(self.port))


def default_name(port: int) -> str:
    """Return the default of option name: host name and port."""
    return f"{socket.gethostname()}_{port}"
