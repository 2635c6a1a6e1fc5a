"""`gentrifugo doctor`: checks configuration, system limits, ports, files, certificates and Redis, and reports problems.

The checks block. They run in a process that gevent has not patched.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.sentinel import MasterNotFoundError

from ...engines.redis.blocking import client_of, reason
from ...engines.redis.permissions import is_refusal, missing_permission, permission_checks
from ...engines.redis.settings import RedisSettings, ServerAddress, ShardSettings, Timeouts
from ..config.config import Config
from ..config.endpoints import own_ports
from ..config.loading import LoadedConfig
from ..config.options import ConfigError
from ..config.redis_options import redis_settings
from ..net import bulk_send
from ..runtime import limits
from ..tls.context import server_context

OK, WARNING, PROBLEM = "ok", "warning", "problem"

MIN_REDIS_VERSION = (6, 2)
"""Major and minor version of the oldest Redis that supports all commands of the engine."""
ACME_TIMEOUT = 5.0
"""Maximum seconds until an ACME server answers."""
SELECT_REMEDY = "give it the ACL rules in docs/redis.md, and +select, which a database other than 0 needs"
UNKNOWN_ISSUER = ("self-signed certificate", "self signed certificate", "unable to get local issuer certificate")
"""What OpenSSL says about a certificate whose CA is not known here."""
HANGUP = ("Connection reset by peer", "Connection closed by server")
"""What redis-py says if the server ends a new connection."""
MAX_CLOCK_SKEW = 1.0
"""Maximum difference in seconds between the clocks of this machine and of Redis."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: a state (ok, warning or problem), a text, and what to do about it."""

    state: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.state:8} {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def examine(loaded: LoadedConfig) -> Iterator[Finding]:
    """Run all checks and yield their findings. Checks that connect to other machines can take seconds."""
    config = loaded.config
    yield Finding(OK, f"configuration: {loaded.path or loaded.origin}")
    yield from (Finding(WARNING, text) for text in (*loaded.warnings, *loaded.notes))
    yield from (Finding(OK if limit.is_enough else WARNING, limit.text, limit.remedy) for limit in limits.all_limits())
    yield _speedups()
    yield from _ports(config)
    yield from _files(config)
    yield from _certificates(config)
    if config.engine == "redis":
        settings, _ = redis_settings(config)  # its problems were already reported when the configuration was loaded
        if settings is not None:
            yield from _redis(settings)


def summary_line(problems: int, warnings: int) -> str:
    """Return the last line of the report, with the numbers of problems and warnings."""
    found = f"doctor: {problems or 'no'} problem{'' if problems == 1 else 's'}"
    return f"{found}, {warnings} warning{'' if warnings == 1 else 's'}" if warnings else f"{found} found"


def invalid_configuration_line(problems: int, warnings: int) -> str:
    """Return the last line of the report if the configuration is invalid, so that nothing else could be checked."""
    found = summary_line(problems, warnings)
    return f"{found}; correct the configuration and run the doctor again, which then checks machine and Redis too"


# -- this machine


def _speedups() -> Finding:
    remedy = "install a C compiler and the header files of Python, and install Gentrifugo again"
    is_missing = bulk_send.compiled_send_waiting is None
    return Finding(OK, bulk_send.describe_speedups(), f"to use less CPU time, {remedy}" if is_missing else "")


def _ports(config: Config) -> Iterator[Finding]:
    main = {} if config.unix_socket else {"port": config.port}
    ports = main | {f"{endpoints}_port": port for endpoints, port in own_ports(config).items()}
    for name, number in ports.items():
        if number:  # 0 picks a free one
            yield _check_port(name, config.address, number)
    host, _, port = config.ssl_autocert_http_addr.rpartition(":")
    if config.ssl_autocert and config.ssl_autocert_http and port.isdecimal():
        yield _check_port("ssl_autocert_http_addr", host.strip("[]"), int(port))


def _check_port(name: str, address: str, number: int) -> Finding:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"{name} {number}"
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return Finding(
                    WARNING,
                    f"{where}: in use",
                    f"expected while the server runs, otherwise choose another with option {name}",
                )
            if error.errno == errno.EACCES:
                remedy = "choose a port above 1023, or grant CAP_NET_BIND_SERVICE with setcap or systemd"
                return Finding(PROBLEM, f"{where}: permission denied, only root can use this port", remedy)
            return Finding(PROBLEM, f"{where}: {error.strerror}", "choose another with option address")
    return Finding(OK, f"{where}: free")


def _files(config: Config) -> Iterator[Finding]:
    named = ("log_file", config.log_file), ("pid_file", config.pid_file), ("unix_socket", config.unix_socket)
    for name, text in named:
        if text:
            path = Path(text)
            place = path if path.is_file() else path.parent  # a socket is created again in its directory
            if os.access(place, os.W_OK):
                yield Finding(OK, f"{name}: {text} is writable")
            else:
                remedy = f"allow this user to write to {place}" if place.exists() else f"create the directory {place}"
                yield Finding(PROBLEM, f"{name}: {text} is not writable", remedy)


def _certificates(config: Config) -> Iterator[Finding]:
    if config.ssl:
        yield from _own_certificate(config)
    elif config.ssl_autocert:
        yield _acme_server(config)
        if config.ssl_autocert_cache_dir:
            for file in sorted(Path(config.ssl_autocert_cache_dir).glob("*.pem")):
                remedy = "the running server renews it automatically; check its log for errors"
                yield _certificate("ssl_autocert_cache_dir", file, remedy)


def _acme_server(config: Config) -> Finding:
    try:
        import requests  # comes with what ssl_autocert needs
    except ImportError:
        return Finding(PROBLEM, "ssl_autocert: the acme library is not installed", "pip install 'gentrifugo[autocert]'")
    url = config.ssl_autocert_directory
    try:
        requests.get(url, timeout=ACME_TIMEOUT).raise_for_status()
    except requests.RequestException as error:
        return Finding(
            PROBLEM, f"ssl_autocert_directory: {url} is not reachable: {error}", "check network and firewall"
        )
    return Finding(OK, f"ssl_autocert_directory: {url} is reachable")


def _own_certificate(config: Config) -> Iterator[Finding]:
    try:
        server_context(config)
    except ConfigError as error:
        yield from (Finding(PROBLEM, problem) for problem in error.problems)
    else:
        yield _certificate("ssl_cert", Path(config.ssl_cert), "renew it, then reload with SIGHUP")


def _certificate(option: str, path: Path, remedy: str) -> Finding:
    try:
        from ..tls import certificate_dates
    except ImportError:
        return Finding(WARNING, f"{option}: expiry date not checked", "pip install 'gentrifugo[autocert]'")
    try:
        days = certificate_dates.time_left(path).days
    except (OSError, ValueError) as error:
        return Finding(
            PROBLEM, f"{option}: {path} cannot be read: {error}", "set it to a file with a certificate in PEM"
        )
    if days < 0:
        return Finding(PROBLEM, f"{option}: {path} has expired", remedy)
    state = WARNING if days < certificate_dates.EXPIRY_WARNING_TIME.days else OK
    return Finding(state, f"{option}: {path} is valid for {days} more days", remedy if state is WARNING else "")


# -- Redis


def _redis(settings: RedisSettings) -> Iterator[Finding]:
    for shard in settings.shards:
        yield from _sentinels(shard, settings.timeouts)
        yield from _shard(shard, settings)


def _sentinels(shard: ShardSettings, timeouts: Timeouts) -> Iterator[Finding]:
    if shard.sentinels is None:
        return
    for address in shard.sentinels.addresses:
        yield _check_sentinel(address, shard.sentinels.master, timeouts)


def _check_sentinel(address: ServerAddress, master: str, timeouts: Timeouts) -> Finding:
    client: Any = redis.Redis(
        address.host,
        address.port,
        socket_timeout=timeouts.connect,
        socket_connect_timeout=timeouts.connect,
        decode_responses=True,
    )
    with client:
        try:
            found = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
        except redis.RedisError as error:
            return Finding(PROBLEM, f"Sentinel {address}: {reason(error)}", "start it, or check redis_sentinels")
    if not found:
        return Finding(PROBLEM, f"Sentinel {address}: no master named {master!r}", "check redis_master_name")
    return Finding(OK, f"Sentinel {address}: the master {master} is at {found[0]}:{found[1]}")


def _shard(shard: ShardSettings, settings: RedisSettings) -> Iterable[Finding]:
    name = f"Redis {shard.name}"
    with client_of(shard, settings.timeouts) as client:
        try:
            if (refusal := _error_of(client, ("PING",))) is not None and _is_about_select(refusal):
                return [
                    Finding(PROBLEM, f"{name}: the Redis user lacks permissions: the command SELECT", SELECT_REMEDY)
                ]
            lacking = _missing_permissions(client, shard, settings.prefix)
            if lacking:
                text = f"{name}: the Redis user lacks permissions: {', '.join(lacking)}"
                return [Finding(PROBLEM, text, "give it the ACL rules in docs/redis.md")]
            return list(_server_findings(name, client))
        except MasterNotFoundError as error:
            return [
                Finding(PROBLEM, f"{name}: {reason(error)}", "check the Sentinels and the master that they monitor")
            ]
        except redis.AuthenticationError as error:
            return [Finding(PROBLEM, f"{name}: {reason(error)}", "check redis_password, or the user in redis_url")]
        except redis.RedisError as error:
            return [
                Finding(PROBLEM, f"{name}: {reason(error)}", _connection_remedy(error, uses_tls=shard.tls is not None))
            ]


def _is_about_select(refusal: redis.ResponseError) -> bool:
    """Return whether a connection was refused because the user may not select its database."""
    return is_refusal(refusal) and "'select'" in str(refusal)


def _connection_remedy(error: redis.RedisError, *, uses_tls: bool) -> str:
    """Return what to do about a failed connection, also if the server and the URL disagree about TLS."""
    text = str(error)
    if any(sign in text for sign in UNKNOWN_ISSUER):
        return "name the file with its CA in redis_url, as in rediss://HOST:PORT?ssl_ca_certs=/path/to/ca.pem"
    remedy = "start it, or check redis_host and redis_port"
    if not uses_tls and any(sign in text for sign in HANGUP):  # a TLS port gets no handshake, and hangs up
        return f"{remedy}; if this port is for TLS, write rediss:// in redis_url"
    return remedy


def _missing_permissions(client: Any, shard: ShardSettings, prefix: str) -> list[str]:
    """Return the commands and channels that the engine needs but the Redis user may not use; tries each of them."""
    sentinel = [("ROLE",)] if shard.sentinels is not None else []
    lacking = [
        missing_permission(error, command)
        for command in [*permission_checks(prefix), *sentinel]
        if (error := _error_of(client, command)) is not None and is_refusal(error)
    ]
    try:
        with client.pubsub() as subscription:
            subscription.subscribe(f"{prefix}.doctor")
            subscription.get_message(timeout=1.0)
    except redis.ResponseError as error:
        lacking.append(missing_permission(error, ("SUBSCRIBE",)))
    return list(dict.fromkeys(lacking))


def _error_of(client: Any, command: Any) -> redis.ResponseError | None:
    """Return the error that Redis returns for `command`; None if there is none.

    Redis checks permissions first, so an error about the type of a key shows that the command is permitted.
    """
    try:
        client.execute_command(*command)
    except redis.ResponseError as error:
        return error
    return None


def _server_findings(name: str, client: Any) -> Iterator[Finding]:
    """Yield findings about version, role, eviction policy and clock of a reachable Redis server."""
    version = str(client.info("server")["redis_version"])
    if tuple(map(int, version.split(".")[:2])) < MIN_REDIS_VERSION:
        least = ".".join(map(str, MIN_REDIS_VERSION))
        yield Finding(PROBLEM, f"{name}: version {version}", f"install {least} or newer")
    else:
        yield Finding(OK, f"{name}: reachable, version {version}")
    role = client.info("replication")["role"]
    if role != "master":
        yield Finding(PROBLEM, f"{name}: this is a read-only replica", "use the address of its master, or Sentinel")
    policy = client.info("memory").get("maxmemory_policy", "noeviction")
    if policy not in ("noeviction", "volatile-ttl"):
        remedy = "set maxmemory-policy to noeviction"
        yield Finding(WARNING, f"{name}: evicts keys when its memory is full (maxmemory-policy {policy})", remedy)
    yield _clock(name, client)


def _clock(name: str, client: Any) -> Finding:
    began = time.time()
    seconds, microseconds = client.time()
    skew = seconds + microseconds / 1e6 - (began + time.time()) / 2
    if abs(skew) > MAX_CLOCK_SKEW:
        return Finding(
            WARNING,
            f"{name}: clock differs from the clock of this machine by {skew:+.1f} s",
            "run NTP on both machines",
        )
    return Finding(OK, f"{name}: clock in sync")
