"""Every option of the server, declared once, and the frozen object that carries their values.

`load` reads them from files, environment and flags; code and tests may also build a `Config` directly.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from marshmallow import validate

from . import command_line, schema
from .command_line import Given
from .config_file import Document
from .options import (
    AUTO,
    BETWEEN,
    NOT_EMPTY,
    PORT,
    POSITIVE,
    POSITIVE_TIME,
    Choice,
    ConfigError,
    described,
    events,
    host_names,
    listed,
    matches,
    networks,
    option,
    options_of,
    origins_or_all,
    port_or_empty,
    url_or_empty,
)
from .redis_options import redis_settings

__all__ = ["ChannelOptions", "Config", "ConfigError", "Loaded", "Namespace", "from_mapping", "load", "reload"]


INSECURE = {
    "insecure": "anyone may connect as any user, and publish into every channel they can subscribe to",
    "insecure_api": "anyone who can reach the API may publish and disconnect, without a sign",
    "insecure_admin": "anyone who can reach the admin endpoints may use them, without a password",
}
"""What each insecure mode gives away; said at every start."""

HTTP_PREFIX = matches(r"(/[^/?#\s]+)*", "Must be empty or begin with a slash, without one at the end.")
PATH = matches(r"(/[^?#\s]*)?", "Must be empty or begin with a slash.")
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
NAMESPACE_NAME = matches(r"[-a-zA-Z0-9_]{2,}", 'Must be two or more letters, digits, "-" or "_".')
MODE = matches(r"[0-7]{3}", "Must be three octal digits, such as 660.")
LEVEL = validate.Range(min=1, max=9, error=BETWEEN)
LOG_LEVELS = Choice("trace", "debug", "info", "warning", "error", "critical", "fatal", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """What a channel does: the top level's options for channels without a namespace, a namespace's for the others."""

    watch: bool = option(False, "Show messages to operators who watch.", reload=True)
    publish: bool = option(False, "Let clients publish into channels they are subscribed to.", reload=True)
    anonymous: bool = option(False, "Let clients with an empty user ID subscribe.", reload=True)
    presence: bool = option(False, "Keep who is subscribed, for the presence command.", reload=True)
    join_leave: bool = option(False, "Tell subscribers when a client subscribes or leaves.", reload=True)
    history_size: int = option(0, "How many messages to keep for each channel; 0 keeps none.", reload=True)
    history_lifetime: float = option(
        0, "How long to keep a channel's history after its last message; 0 keeps none.", unit="seconds", reload=True
    )
    recover: bool = option(
        False, "Send a returning client what it missed; needs history_size and history_lifetime.", reload=True
    )
    history_drop_inactive: bool = option(
        False, "Keep no message published while nobody subscribes or has lately used the history.", reload=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace(ChannelOptions):
    """Channel options for the channels whose names begin with `name` and the namespace boundary."""

    name: str = field(
        metadata=described("Unique name: two or more letters, digits, `-` or `_`.", check=NAMESPACE_NAME, reload=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ChannelOptions):
    """All options of one node. Times are seconds and may be fractions; sizes are bytes."""

    GROUPS: ClassVar[dict[str, str]] = {
        "watch": "Channels",
        "secret": "Security",
        "address": "Listening",
        "name": "Node",
        "log_level": "Logging and process",
        "client_channel_limit": "Clients",
        "connection_lifetime": "Connection times",
        "hook_timeout": "Hooks",
        "private_channel_prefix": "Channel names",
        "http_header_timeout": "HTTP",
        "websocket_compression": "WebSocket",
        "sockjs_url": "SockJS",
        "admin": "Admin",
        "ssl": "TLS",
        "redis_host": "Redis engine",
    }
    """The option that opens each group of the help and of the reference page, and the group's title."""

    namespaces: tuple[Namespace, ...] = option((), "Channel options by namespace; only in a file.", reload=True)

    secret: str = option(
        "", "Signs tokens, private subscriptions and API requests; required unless insecure.", secret=True, reload=True
    )
    allowed_origins: str = option(
        AUTO,
        "Origins whose pages may connect, comma-separated; `*` is all, empty only those of the server's own host, "
        "`auto` is that where a hook decides who connects, and all otherwise.",
        check=origins_or_all,
        reload=True,
    )
    trusted_proxies: str = option(
        "127.0.0.0/8,::1,unix",
        "Addresses and networks of proxies that may say whose request it is, with `X-Forwarded-For` or `X-Real-IP`; "
        "`unix` is whoever connects to a Unix socket.",
        check=networks,
        reload=True,
    )
    insecure: bool = option(
        False,
        "Connect clients without a token, let them subscribe to and publish into every channel.",
        flag=True,
        reload=True,
    )
    insecure_api: bool = option(False, "Accept HTTP API requests without a sign.", flag=True, reload=True)
    insecure_admin: bool = option(False, "Ask for no password on the admin endpoints.", flag=True, reload=True)

    address: str = option("", "Address to listen on; empty is every interface.", flag=True, short="-a")
    port: int = option(8000, "Port to listen on; 0 picks a free one.", flag=True, short="-p", check=PORT)
    api_port: str = option(
        "", "Port of the API endpoints; empty is `port`.", flag=True, check=port_or_empty, numeric=True
    )
    admin_port: str = option(
        "",
        "Port of the admin endpoints, the metrics and the debug endpoints; empty is `port`.",
        flag=True,
        check=port_or_empty,
        numeric=True,
    )
    unix_socket: str = option("", "Path of a Unix socket to listen at, in place of `address` and `port`.", flag=True)
    unix_socket_mode: str = option("660", "Who may connect to it, as for chmod.", check=MODE, numeric=True)
    workers: int = option(
        1, "Processes that share the listening sockets; several need the Redis engine.", flag=True, check=POSITIVE
    )
    http_prefix: str = option("", "Stands before the path of every endpoint.", check=HTTP_PREFIX)

    name: str = option(
        "", "Name of this node, unique among its peers.", flag=True, short="-n", shown_default="hostname_port"
    )
    engine: str = option(
        "memory",
        "What carries messages and keeps presence and history.",
        flag=True,
        short="-e",
        check=Choice("memory", "redis"),
    )
    node_ping_interval: float = option(
        3, "How often a node tells its peers that it lives.", unit="seconds", check=POSITIVE_TIME, reload=True
    )
    node_metrics_interval: float = option(
        60, "How often counters are gathered into a snapshot.", unit="seconds", check=POSITIVE_TIME, reload=True
    )
    debug: bool = option(False, "Serve the debug endpoints, without a password.", flag=True, short="-d")
    prometheus: bool = option(False, "Serve the metrics for Prometheus, without a password.", flag=True)
    health: bool = option(False, "Serve `/health` for load balancers.", flag=True)
    gomaxprocs: int = option(0, "Accepted for Centrifugo's sake.", no_effect="a node is one process on one core")

    log_level: str = option("info", "Least severity that is logged.", flag=True, check=LOG_LEVELS, reload=True)
    log_file: str = option("", "File for the log, opened anew on USR1; empty is standard output.", flag=True)
    log_format: str = option("text", "Lines for people, or JSON for programs.", flag=True, check=Choice("text", "json"))
    pid_file: str = option("", "File to hold the process ID while the server runs.", flag=True)
    drain_time: float = option(
        3,
        "How long closing the clients is spread over when the server stops; at least 100 a second are closed.",
        unit="seconds",
        reload=True,
    )
    shutdown_timeout: float = option(
        10, "The most time that closing connections may take when the server stops.", unit="seconds"
    )

    client_channel_limit: int = option(128, "How many channels one connection may be subscribed to.", reload=True)
    user_connection_limit: int = option(
        0, "How many connections one user may have to this node; 0 is no limit.", reload=True
    )
    max_channel_length: int = option(255, "Longest channel name, in UTF-8.", unit="bytes", check=POSITIVE, reload=True)
    client_request_max_size: int = option(
        65536, "Largest request a client may send.", unit="bytes", check=POSITIVE, reload=True
    )
    client_queue_max_size: int = option(
        10485760,
        "How much may wait for a client before it is closed as slow.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )
    client_queue_initial_capacity: int = option(
        2, "Accepted for Centrifugo's sake.", unit="messages", no_effect="queues take no room until they are used"
    )
    client_write_delay: float = option(
        0.02,
        "Longest rest between two writes to a client when the process is busy, a quarter of it when it is not.",
        unit="seconds",
        reload=True,
    )
    client_message_write_timeout: float = option(
        0,
        "How long one write to a client may take before the client is closed; 0 is no limit.",
        unit="seconds",
        reload=True,
    )

    connection_lifetime: float = option(
        0, "How long credentials last after their timestamp; 0 is for ever.", unit="seconds", reload=True
    )
    expired_connection_close_delay: float = option(
        25, "How long a client may take to refresh credentials that ran out.", unit="seconds", reload=True
    )
    stale_connection_close_delay: float = option(
        25,
        "How long a client may take to connect after opening a connection; 0 is no limit.",
        unit="seconds",
        reload=True,
    )
    ping_interval: float = option(
        25,
        "How often the server pings a client; one that answers none for 10/9 of it is closed; 0 sends none.",
        unit="seconds",
        reload=True,
    )
    presence_ping_interval: float = option(
        25, "How often a connection renews its presence.", unit="seconds", check=POSITIVE_TIME, reload=True
    )
    presence_expire_interval: float = option(
        60, "How long presence lasts without renewal.", unit="seconds", check=POSITIVE_TIME, reload=True
    )

    hook_timeout: float = option(
        5,
        "How long a hook may take; one of `hook_url` each time it is tried.",
        unit="seconds",
        check=POSITIVE_TIME,
        reload=True,
    )
    hook_url: str = option("", "URL of a backend that is asked and told of events.", flag=True, check=url_or_empty)
    hook_events: str = option(
        "", f"Events it is asked and told of, comma-separated: {', '.join(HOOK_EVENTS)}.", check=events(*HOOK_EVENTS)
    )
    hook_secret: str = option("", "Signs the requests to it; empty is `secret`.", secret=True)
    hook_tries: int = option(3, "How often a request that fails is made in all.", check=POSITIVE)
    hook_headers: str = option(
        "Authorization,Cookie,Origin,User-Agent,X-Forwarded-For,X-Real-IP",
        "Headers of the client's request that go with it, comma-separated.",
    )
    auth_endpoint: str = option(
        "/centrifuge/auth/",
        "Path that signs private channels, where a hook decides on them; empty is none.",
        check=PATH,
    )
    refresh_endpoint: str = option(
        "/centrifuge/refresh/",
        "Path that gives new credentials, where a hook decides on them; empty is none.",
        check=PATH,
    )

    private_channel_prefix: str = option(
        "$", "Begins the name of a channel that needs a signed subscription.", check=NOT_EMPTY, reload=True
    )
    namespace_channel_boundary: str = option(":", "Ends the namespace in a channel name.", check=NOT_EMPTY, reload=True)
    user_channel_boundary: str = option(
        "#", "Begins the allowed user IDs in a channel name.", check=NOT_EMPTY, reload=True
    )
    user_channel_separator: str = option(",", "Stands between allowed user IDs.", check=NOT_EMPTY, reload=True)
    client_channel_boundary: str = option(
        "&", "Begins the allowed client ID in a channel name.", check=NOT_EMPTY, reload=True
    )

    http_header_timeout: float = option(
        10, "How long a peer may take to send the head or the body of a request.", unit="seconds", check=POSITIVE_TIME
    )
    http_keepalive_timeout: float = option(75, "How long an HTTP connection may rest between requests.", unit="seconds")
    api_request_max_size: int = option(10485760, "Largest body of one API request.", unit="bytes", check=POSITIVE)

    websocket_compression: bool = option(False, "Compress messages for the WebSocket clients that ask for it.")
    websocket_compression_min_size: int = option(0, "Smallest message that is compressed.", unit="bytes")
    websocket_compression_level: int = option(1, "1 is fastest, 9 is smallest.", check=LEVEL)
    websocket_read_buffer_size: int = option(
        0, "Accepted for Centrifugo's sake.", unit="bytes", no_effect="buffers grow and shrink as needed"
    )
    websocket_write_buffer_size: int = option(
        0, "Accepted for Centrifugo's sake.", unit="bytes", no_effect="buffers grow and shrink as needed"
    )

    sockjs_url: str = option("", "Where the iframe page finds the SockJS client.")
    sockjs_heartbeat_delay: float = option(25, "How often SockJS sends a heartbeat.", unit="seconds")

    admin: bool = option(False, "Serve the admin socket.", flag=True)
    admin_password: str = option("", "Password of the web interface.", secret=True, reload=True)
    admin_secret: str = option("", "Signs the tokens of the admin socket.", secret=True, reload=True)
    admin_token_lifetime: float = option(
        86400,
        "How long somebody stays logged in to the web interface.",
        unit="seconds",
        check=POSITIVE_TIME,
        reload=True,
    )
    web: bool = option(False, "Serve the web interface, and the admin socket with it.", flag=True, short="-w")
    web_path: str = option("", "Directory of a web interface to serve in place of ours.", flag=True)

    ssl: bool = option(False, "Accept TLS connections only, on every port; needs ssl_cert and ssl_key.", flag=True)
    ssl_cert: str = option(
        "", "File with the certificate, and those between it and the authority; read again on HUP.", flag=True
    )
    ssl_key: str = option("", "File with the certificate's key; read again on HUP.", flag=True)
    ssl_autocert: bool = option(
        False, "Accept TLS connections only, with certificates from Let's Encrypt, got and renewed by itself."
    )
    ssl_autocert_host_whitelist: str = option(
        "", "Domain names to get certificates for, comma-separated.", check=host_names
    )
    ssl_autocert_cache_dir: str = option("", "Directory that keeps the certificates.")
    ssl_autocert_directory: str = option(
        "https://acme-v02.api.letsencrypt.org/directory", "URL of the ACME server's directory.", check=NOT_EMPTY
    )
    ssl_autocert_email: str = option("", "Where Let's Encrypt writes about problems.")
    ssl_autocert_force_rsa: bool = option(False, "Get certificates with RSA keys, for old browsers.")
    ssl_autocert_server_name: str = option("", "Server name for clients that send none.")
    ssl_autocert_http: bool = option(False, "Answer challenges over plain HTTP.")
    ssl_autocert_http_addr: str = option(":80", "Address for the challenges over plain HTTP.")

    redis_host: str = option("127.0.0.1", "Host; several, comma-separated, are shards.", flag=True)
    redis_port: str = option("6379", "Port; several, comma-separated, are shards.", flag=True, numeric=True)
    redis_password: str = option("", "Password.", flag=True, secret=True)
    redis_db: str = option("0", "Number of the database.", flag=True, numeric=True)
    redis_url: str = option(
        "",
        "redis://user:password@host:port/db in place of the four above, or rediss:// for TLS; several are shards.",
        flag=True,
        secret=True,
    )
    redis_pool: int = option(
        256,
        "Accepted for Centrifugo's sake.",
        flag=True,
        check=POSITIVE,
        no_effect="all commands share one connection, subscriptions have another, each API queue one more",
    )
    redis_prefix: str = option("centrifugo", "Begins every key and channel in Redis.", check=NOT_EMPTY)
    redis_master_name: str = option("", "Name of the master that Sentinel watches.", flag=True)
    redis_sentinels: str = option("", "Addresses of Sentinels, comma-separated.", flag=True)
    redis_connect_timeout: float = option(
        1, "How long connecting to Redis may take.", unit="seconds", check=POSITIVE_TIME
    )
    redis_read_timeout: float = option(10, "How long an answer of Redis may take.", unit="seconds", check=POSITIVE_TIME)
    redis_write_timeout: float = option(1, "How long a write to Redis may take.", unit="seconds", check=POSITIVE_TIME)
    redis_pubsub_num_workers: int = option(
        0, "Accepted for Centrifugo's sake.", no_effect="one greenlet handles what Redis publishes"
    )
    redis_api: bool = option(False, "Take API commands from a queue in Redis.", flag=True)
    redis_api_num_shards: int = option(0, "How many more API queues to read.", flag=True)

    @property
    def speaks_tls(self) -> bool:
        """Whether every port of ours speaks TLS."""
        return self.ssl or self.ssl_autocert

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", default_name(self.port))


def default_name(port: int) -> str:
    """The name of a node that was given none."""
    return f"{socket.gethostname()}_{port}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked configuration, what its owner should know about it, and the file it came from."""

    config: Config
    warnings: list[str]
    path: Path | None = None
    origin: str = "flags and environment only"
    """Where it came from when it was no file."""


def load(argv: Sequence[str], environ: Mapping[str, str]) -> Loaded:
    """Read file, environment and flags, each beating the one before, and check the values that count.

    Raises `ConfigError` with every problem at once. The file may be missing when the flags and the environment
    hold what is required.
    """
    return settle(command_line.read(options_of(Config), argv, environ))


def from_mapping(mapping: Mapping[str, Any], source: str = "options") -> Loaded:
    """Check options given as a mapping in code; `source` names it in problems and warnings."""
    return settle(command_line.Given(Document(source, mapping)))


def reload(current: Config, argv: Sequence[str], environ: Mapping[str, str]) -> Loaded:
    """Load again while the server runs: options that only a restart can change keep their value, with a warning."""
    loaded = load(argv, environ)
    fixed = [declared.name for declared in options_of(Config) if not declared.facts.reload]
    kept = {name: getattr(current, name) for name in fixed if getattr(current, name) != getattr(loaded.config, name)}
    warnings = [
        f"option {name} has changed, but only a restart applies it"
        for name in kept
        if name != "name" or loaded.config.name != default_name(loaded.config.port)
    ]
    return Loaded(replace(loaded.config, **kept), loaded.warnings + warnings, loaded.path)


def settle(given: Given) -> Loaded:
    """Turn what was given into a configuration, or raise `ConfigError` with all that is wrong with it."""
    document = given.document
    checked, wrong = schema.check(Config, given.values)
    problems = [*given.problems, *(f"{given.place(path)}: {text}" for path, text in wrong.items())]
    problems += [f"{given.place(path)}: {text}" for path, text in shared_names(given.values.get("namespaces"))]
    redis_options_are_usable = not any(name.startswith("redis_") for name in wrong)
    if checked.get("engine") == "redis" and redis_options_are_usable:
        shown = {name: value for name, value in checked.items() if name.startswith("redis_")}
        problems += redis_settings(replace(Config(), **shown))[1]
    usable = checked.get("secret") or checked.get("insecure") or {"secret", "insecure"} & wrong.keys()
    warnings = list(source_warnings(given))
    if document.missing and usable:
        warnings.insert(0, f"{document.path}: not found; only flags and environment count")
    elif document.problem:
        problems.append(f"{document.path}: {document.problem}")
    elif not usable:
        problems.append(f"secret: not set in {document.path}; add one, or use --insecure for experiments")
    if problems:
        raise ConfigError(problems, warnings)
    namespaces = tuple(Namespace(**namespace) for namespace in checked.pop("namespaces", ()))
    config = Config(namespaces=namespaces, **checked)
    return Loaded(config, [*warnings, *cautions(config)], document.file)


def shared_names(namespaces: Any) -> Iterator[tuple[str, str]]:
    """The path and what to say of each namespace whose name an earlier one has."""
    first: dict[Any, int] = {}
    for index, namespace in enumerate(namespaces if isinstance(namespaces, (list, tuple)) else ()):
        name = namespace.get("name") if isinstance(namespace, Mapping) else None
        if isinstance(name, str) and first.setdefault(name, index) != index:
            yield f"namespaces[{index}].name", f"namespaces[{first[name]}] has the name {name} already."


def source_warnings(given: Given) -> Iterator[str]:
    """What the sources themselves give reason to say, whatever the values."""
    document = given.document
    yield from (f"{document.path}: {text}" for text in document.warnings)
    yield from (f"{document.path}: {text}" for text in schema.unknown_options(Config, document.values))
    yield from (f"app.config: {text}" for text in schema.unknown_options(Config, given.application))
    yield from given.warnings


def cautions(config: Config) -> Iterator[str]:
    """What the owner of a server should know before it runs with this configuration."""
    for name, sentence in INSECURE.items():
        if getattr(config, name):
            yield f"option {name} is on: {sentence}"
    if config.presence_expire_interval <= config.presence_ping_interval:
        yield "option presence_expire_interval should exceed presence_ping_interval, or presence comes and goes"
    if config.ssl and config.ssl_autocert:
        yield "options ssl and ssl_autocert are both on: the certificate of ssl_cert counts, and none is got"
    if (config.ssl_cert or config.ssl_key) and not config.ssl:
        yield "options ssl_cert and ssl_key have no effect without ssl"
    if config.redis_api_num_shards and not config.redis_api:
        yield "option redis_api_num_shards is set, but without redis_api no queue is read"
    if bool(config.hook_url) != bool(listed(config.hook_events)):
        yield "options hook_url and hook_events go together: one says where, the other of what"
    if config.redis_api and config.engine != "redis":
        yield f"option redis_api is on, but the {config.engine} engine has no queue; use --engine=redis"
    yield from admin_cautions(config)
    yield from channel_cautions(config, "")
    for index, namespace in enumerate(config.namespaces):
        yield from channel_cautions(namespace, f"namespaces[{index}].")


def admin_cautions(config: Config) -> Iterator[str]:
    """Cautions about the admin endpoints."""
    serves_admin = config.admin or config.web
    if serves_admin and not config.insecure_admin and not (config.admin_password and config.admin_secret):
        yield "option admin is on, but nobody can log in without admin_password and admin_secret"
    if config.web_path and not config.web:
        yield "option web_path is set, but without web no web interface is served"
    elif config.web_path and not (Path(config.web_path) / "index.html").is_file():
        yield f"option web_path: {config.web_path} has no index.html"
    if config.debug:
        yield "option debug is on: anyone who can reach the debug endpoints sees what the server does"


def channel_cautions(options: ChannelOptions, path: str) -> Iterator[str]:
    """Cautions about the options that stand below `path`."""
    if options.recover and not (options.history_size and options.history_lifetime):
        yield f"option {path}recover is on, but without history_size and history_lifetime nothing can be recovered"
    declaring: type = type(options)
    for declared in options_of(declaring):
        facts = declared.facts
        if getattr(options, declared.name) == declared.default:
            continue
        if facts.no_effect:
            yield f"option {path}{declared.name} is set, but has no effect: {facts.no_effect}"
