"""Converts the options of the Redis engine to its settings, and checks that the options fit together.

Several options are comma-separated lists with one item for each shard; a single item applies to all shards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ...engines.redis.settings import RedisSettings, Sentinels, ServerAddress, ShardSettings, Timeouts, Tls
from .config import Config

REDIS_PORT = 6379
SENTINEL_PORT = 26379
LOCALHOST = "127.0.0.1"
SHARD_LISTS = ("redis_host", "redis_port", "redis_url", "redis_master_name")
"""The options that may name several shards."""
URL_FORM = "redis://user:password@host:port/db, or rediss:// for TLS"


class _InvalidOption(ValueError):
    """An option is invalid; the text begins with its name and contains no secret."""


def redis_settings(config: Config) -> tuple[RedisSettings | None, list[str]]:
    """Return the settings of the engine (None if there is a problem), and one sentence for each problem."""
    try:
        shards = _shards(config)
        _check_all_differ(shards)
    except _InvalidOption as wrong:
        return None, [str(wrong)]
    timeouts = Timeouts(config.redis_connect_timeout, config.redis_read_timeout, config.redis_write_timeout)
    settings = RedisSettings(shards, config.redis_prefix, timeouts, config.redis_api, config.redis_api_num_shards)
    return settings, []


def _shards(config: Config) -> tuple[ShardSettings, ...]:
    lists = {name: _items(name, getattr(config, name)) for name in SHARD_LISTS}
    if lists["redis_url"]:  # it replaces host and port
        lists["redis_host"] = lists["redis_port"] = []
    count = _count_of_shards(lists)
    hosts, ports, urls, masters = ([*items] * count if len(items) == 1 else items for items in lists.values())
    if urls:
        shards = [_of_url(url) for url in urls]
    else:
        db = _parse_number("redis_db", config.redis_db, "a database number")
        shards = [
            ShardSettings(ServerAddress(host, _parse_port("redis_port", port)), password=config.redis_password, db=db)
            for host, port in zip(hosts or [LOCALHOST] * count, ports or [str(REDIS_PORT)] * count, strict=True)
        ]
    return _with_sentinels(shards, masters, config.redis_sentinels)


def _items(name: str, text: str) -> list[str]:
    items = [item.strip() for item in text.split(",")] if text else []
    if "" in items:
        raise _InvalidOption(f"{name}: an entry of the list is empty")
    return items


def _count_of_shards(lists: dict[str, list[str]]) -> int:
    several = {name: len(items) for name, items in lists.items() if len(items) > 1}
    if len(set(several.values())) > 1:
        lengths = ", ".join(f"{name} has {count} items" for name, count in several.items())
        raise _InvalidOption(f"{', '.join(several)}: the lists are of different lengths: {lengths}")
    return max(several.values(), default=1)


def _with_sentinels(shards: list[ShardSettings], masters: list[str], listed: str) -> tuple[ShardSettings, ...]:
    sentinels = tuple(_sentinel(address) for address in _items("redis_sentinels", listed))
    if not masters and not sentinels:
        return tuple(shards)
    if not masters:
        raise _InvalidOption(
            "redis_sentinels: requires redis_master_name, the name of the master that the Sentinels monitor"
        )
    if not sentinels:
        raise _InvalidOption("redis_master_name: requires redis_sentinels, the addresses of the Sentinels")
    return tuple(
        replace(shard, sentinels=Sentinels(master, sentinels)) for shard, master in zip(shards, masters, strict=True)
    )


def _check_all_differ(shards: Sequence[ShardSettings]) -> None:
    """Check that no two shards are the same server: even two of its databases share the PUB/SUB channels."""
    seen: set[str] = set()
    for shard in shards:
        if shard.name in seen:
            raise _InvalidOption(f"{', '.join(SHARD_LISTS)}: two shards have the same address: {shard.name}")
        seen.add(shard.name)


def _of_url(url: str) -> ShardSettings:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _InvalidOption(f"redis_url: not of the form {URL_FORM}") from None
    if parts.scheme not in ("redis", "rediss"):
        raise _InvalidOption(f"redis_url: must begin with redis:// or rediss://, as in {URL_FORM}")
    if parts.fragment:
        raise _InvalidOption("redis_url: contains the character #; write it as %23")
    return ShardSettings(
        ServerAddress(parts.hostname or LOCALHOST, REDIS_PORT if port is None else _parse_port("redis_url", str(port))),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        _parse_number("redis_url", parts.path.strip("/") or "0", "a database number after the address"),
        _tls(parts),
    )


def _tls(parts: SplitResult) -> Tls | None:
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "rediss":
        if parameters:
            raise _InvalidOption(f"redis_url: redis:// does not support parameters, remove {', '.join(parameters)}")
        return None
    verify = parameters.pop("ssl_cert_reqs", "required")
    ca_file = parameters.pop("ssl_ca_certs", "")
    if parameters:
        raise _InvalidOption(
            f"redis_url: unknown parameter {next(iter(parameters))}; supported: ssl_cert_reqs, ssl_ca_certs"
        )
    if verify not in ("required", "none"):
        raise _InvalidOption("redis_url: ssl_cert_reqs must be required or none")
    return Tls(verify == "required", ca_file)


def _sentinel(address: str) -> ServerAddress:
    """Parse the address of a Sentinel: `host:port`, where either may be missing; `[host]:port` for IPv6."""
    try:
        parts = urlsplit(f"//{address}")
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.netloc != address or parts.username is not None:
        raise _InvalidOption(f"redis_sentinels: {address} is not of the form host:port")
    return ServerAddress(parts.hostname or LOCALHOST, port or SENTINEL_PORT)


def _parse_port(name: str, text: str) -> int:
    number = _parse_number(name, text, "a port number")
    if not 0 < number <= 65535:
        raise _InvalidOption(f"{name}: {text} is not a port number")
    return number


def _parse_number(name: str, text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise _InvalidOption(f"{name}: {text} is not {what}")
    return int(text)
