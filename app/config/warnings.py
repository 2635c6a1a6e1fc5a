"""Warnings about a valid configuration: options that are insecure, contradict each other, or have no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from .channel_warnings import channel_warnings
from .config import Config
from .contradictions import contradiction_warnings
from .options import options_of, split_list

INSECURE = {
    "insecure": "anyone can connect as any user without a token, and publish to every channel",
    "insecure_api": "anyone who can reach the API can use it without a signature or an API key",
    "insecure_admin": "anyone who can reach the admin endpoints can use them without a password",
}
"""The risk of each insecure mode, logged as a warning at every start."""
SIGNING_KEYS = ("secret", "token_hmac_secret_key", "token_hmac_previous_secret_key")
"""The secrets whose signatures clients get: from one signature, a program can try out secrets without being noticed."""
MIN_SIGNING_KEY = 16
"""Characters below which a secret can be guessed, even if it is random."""
EXAMPLE_KEY = "put a long random text here"
"""The secret in the example of the documentation (docs/configuration.md)."""
QUOTES = "\"'`"
"""Characters that look like quotes around a secret."""

IN_REDIS_URL = ("redis_host", "redis_port", "redis_password", "redis_db")
"""The options that redis_url replaces."""

SHORT_TIMES = (
    "node_ping_interval",
    "node_metrics_interval",
    "worker_timeout",
    "hook_timeout",
    "http_header_timeout",
    "http_keepalive_timeout",
    "sockjs_heartbeat_delay",
    "redis_connect_timeout",
    "redis_read_timeout",
    "redis_write_timeout",
    "client_message_write_timeout",
    "stale_connection_close_delay",
    "ping_interval",
    "client_pong_timeout",
    "presence_ping_interval",
    "presence_expire_interval",
    *(each.name for each in options_of(Config) if each.name.startswith("proxy_") and each.is_time),
)
"""The times that hardly differ between servers. Others, such as lifetimes, may be as long as days."""
MILLISECONDS_FACTOR = 100
"""How many times the default such a time is at least if it is in milliseconds: 1000, but some choose less than it."""
USUAL_TIME = 5.0
"""The seconds that count as the default of a time whose default is 0, which stands for none or another option."""

NO_API_KEY = (
    "options api_key and secret are not set, so no backend can use the HTTP API: set api_key, or secret for the API of "
    "Centrifugo v1"
)
"""The warning about a server whose API refuses all requests."""


def accepts_backends(config: Config) -> bool:
    """Return whether the HTTP API accepts requests: with a key, a signature, or without both."""
    return bool(config.api_key or config.secret or config.insecure_api)


def config_warnings(config: Config, derived: Collection[str] = (), is_for_application: bool = False) -> Iterator[str]:
    """Yield warnings for the operator about a configuration, one sentence each.

    `derived` names the options that are not set, but computed from other ones. `is_for_application` is whether the
    server is part of a Flask application, which may have hooks.
    """
    for name, sentence in INSECURE.items():
        if getattr(config, name):
            yield f"option {name} is on: {sentence}"
    yield from secret_warnings(config)
    yield from weak_key_warnings(config)
    yield from api_key_warnings(config)
    yield from time_warnings(config)
    if config.presence_expire_interval <= config.presence_ping_interval:
        yield "option presence_expire_interval should exceed presence_ping_interval, or presence expires too early"
    if config.ssl and config.ssl_autocert:
        yield "options ssl and ssl_autocert are both on: ssl_cert is used, and no certificate is requested"
    if (config.ssl_cert or config.ssl_key) and not config.ssl:
        yield "options ssl_cert and ssl_key have no effect without ssl"
    if bool(config.hook_url) != bool(split_list(config.hook_events)):
        yield "options hook_url and hook_events have no effect without each other: set both"
    yield from redis_warnings(config)
    yield from contradiction_warnings(config)
    yield from admin_warnings(config)
    yield from channel_warnings(config, derived, is_for_application)
    yield from no_effect_warnings(config)


def redis_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about options of Redis that have no effect."""
    if config.redis_api_num_shards and not config.redis_api:
        yield "option redis_api_num_shards has no effect without redis_api"
    if config.redis_api and config.engine != "redis":
        yield f"option redis_api is on, but the {config.engine} engine has no queue; set the option engine to redis"
    with_own_warning = ("redis_api", "redis_api_num_shards")
    given = [
        declared.name
        for declared in options_of(Config)
        if declared.name.startswith("redis_")
        and not declared.facts.no_effect
        and getattr(config, declared.name) != declared.default
    ]
    unused = [name for name in given if name not in with_own_warning]
    if config.engine != "redis" and unused:
        yield (
            f"{_have_no_effect(unused)} without the Redis engine, and nodes with the {config.engine} engine do not "
            "share messages; set the option engine to redis"
        )
    unused = [name for name in given if name in IN_REDIS_URL]
    if config.engine == "redis" and config.redis_url and unused:
        yield f"{_have_no_effect(unused)} with redis_url: write all in the URL, as in redis://:PASSWORD@HOST:PORT/DB"


def _have_no_effect(names: Sequence[str]) -> str:
    """Return the beginning of a sentence which says that these options have no effect."""
    if len(names) == 1:
        return f"option {names[0]} has no effect"
    return f"options {', '.join(names[:-1])} and {names[-1]} have no effect"


def admin_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about the admin endpoints."""
    serves_admin = config.admin or config.web
    can_log_in = config.admin_secret and (config.admin_password or config.admin_trusted_header)
    if serves_admin and not config.insecure_admin and not can_log_in:
        name = "admin" if config.admin else "web"
        yield (
            f"option {name} is on, but nobody can log in without admin_password and admin_secret: set both to a long "
            'random text, such as "gentrifugo genconfig" writes'
        )
    if config.web_path and not config.web:
        yield "option web_path has no effect without web"
    elif config.web_path and not (Path(config.web_path) / "index.html").is_file():
        yield f"option web_path: {config.web_path} has no index.html"
    if config.debug:
        yield "option debug is on: anyone who can reach the debug endpoints can read internal state of the server"


def secret_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about secrets with a space, line end or quotes around them, which may be copied by mistake."""
    for declared in options_of(Config):
        value = getattr(config, declared.name)
        if not declared.facts.secret or not isinstance(value, str):
            continue
        if value != value.strip():
            yield f"option {declared.name} begins or ends with a space or a line end, which is part of the secret"
        elif len(value) > 1 and value[0] == value[-1] and value[0] in QUOTES:
            yield f"option {declared.name} begins and ends with a quote, which is part of the secret"


def weak_key_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about secrets that can be guessed from a signature; the secrets are not part of the text."""
    for name in SIGNING_KEYS:
        yield from weak_key_warning(f"option {name}", getattr(config, name), '"gentrifugo genconfig" writes')


def weak_key_warning(place: str, key: str | bytes, source: str) -> Iterator[str]:
    """Yield a warning if a secret can be guessed from a signature; `source` completes the advice how to get another."""
    yield from _guessable(place, key, "clients can guess it from a signature", source)


def _guessable(place: str, key: str | bytes, consequence: str, source: str) -> Iterator[str]:
    advice = f"use a long random text, such as {source}"
    if key == EXAMPLE_KEY:
        yield f"{place} is the one in the documentation, which everybody knows; {advice}"
    elif key and len(key) < MIN_SIGNING_KEY:
        yield f"{place} has fewer than {MIN_SIGNING_KEY} characters, so {consequence}; {advice}"


def api_key_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about a key of backends that can be guessed, or that also signs what identifies clients."""
    yield from _guessable("option api_key", config.api_key, "it can be guessed", '"gentrifugo genconfig" writes')
    for name in SIGNING_KEYS:
        if config.api_key and config.api_key == getattr(config, name):
            yield (
                f"options api_key and {name} have the same value: whoever learns the key of a backend can then sign as "
                "any user; use two different texts"
            )


def time_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about times that are probably given in milliseconds."""
    for declared in options_of(Config):
        seconds = getattr(config, declared.name)
        usual = declared.default or USUAL_TIME
        if declared.name in SHORT_TIMES and seconds >= MILLISECONDS_FACTOR * usual:
            yield (
                f"option {declared.name} is {seconds:.10g} s, at least {MILLISECONDS_FACTOR} times what is usual: "
                'times are in seconds, or have a unit, as in "500ms"'
            )


def no_effect_warnings(config: Config) -> Iterator[str]:
    """Yield warnings about options that are accepted only so that a file of Centrifugo works unchanged."""
    for declared in options_of(Config):
        if declared.facts.no_effect and getattr(config, declared.name) != declared.default:
            yield f"option {declared.name} is set, but has no effect: {declared.facts.no_effect}"
