"""The checks of `gentrifugo doctor` that connect to Redis and to Sentinels: TLS, login, permissions, version, clock."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import redis
from redis.sentinel import MasterNotFoundError

from ...engines.redis.blocking import client_of, reason
from ...engines.redis.permissions import is_refusal, missing_permission, permission_checks
from ...engines.redis.settings import RedisSettings, ServerAddress, ShardSettings, Timeouts
from .finding import OK, PROBLEM, WARNING, Finding

MIN_REDIS_VERSION = (6, 2)
"""Major and minor version of the oldest Redis that supports all commands of the engine."""
SELECT_REMEDY = "give it the ACL rules in docs/redis.md, and +select, which a database other than 0 needs"
UNKNOWN_ISSUER = ("self-signed certificate", "self signed certificate", "unable to get local issuer certificate")
"""What OpenSSL says about a certificate whose CA is not known here."""
HANGUP = ("Connection reset by peer", "Connection closed by server")
"""What redis-py says if the server ends a new connection."""
MAX_CLOCK_SKEW = 1.0
"""Maximum difference in seconds between the clocks of this machine and of Redis."""


def examine_redis(settings: RedisSettings) -> Iterator[Finding]:
    """Connect to each server and Sentinel, and yield the findings. Can take seconds."""
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
            return list(server_findings(name, client))
        except MasterNotFoundError as error:
            return [
                Finding(PROBLEM, f"{name}: {reason(error)}", "check the Sentinels and the master that they monitor")
            ]
        except redis.AuthenticationError as error:
            return [Finding(PROBLEM, f"{name}: {reason(error)}", "check redis_password, or the user in redis_url")]
        except redis.RedisError as error:
            return [Finding(PROBLEM, f"{name}: {reason(error)}", _connection_remedy(error, shard, settings.timeouts))]


def _is_about_select(refusal: redis.ResponseError) -> bool:
    """Return whether a connection was refused because the user may not select its database."""
    return is_refusal(refusal) and "'select'" in str(refusal)


def _connection_remedy(error: redis.RedisError, shard: ShardSettings, timeouts: Timeouts) -> str:
    """Return what to do about a failed connection, also if the server and the URL disagree about TLS."""
    text = str(error)
    if any(sign in text for sign in UNKNOWN_ISSUER):
        return "name the file with its CA in redis_url, as in rediss://HOST:PORT?ssl_ca_certs=/path/to/ca.pem"
    if shard.tls is not None and _answers_without_tls(shard, timeouts):
        return "the server answers without TLS; write redis:// in redis_url"
    remedy = "start it, or check redis_host and redis_port"
    if shard.tls is None and any(sign in text for sign in HANGUP):  # a TLS port gets no handshake, and hangs up
        return f"{remedy}; if this port is for TLS, write rediss:// in redis_url"
    return remedy


def _answers_without_tls(shard: ShardSettings, timeouts: Timeouts) -> bool:
    """Return whether the server answers a command without TLS. No secret is sent."""
    unencrypted = replace(shard, tls=None, username="", password="", db=0)
    with client_of(unencrypted, replace(timeouts, read=timeouts.connect)) as client:
        try:
            client.ping()
        except (redis.AuthenticationError, redis.ResponseError):  # it wants a password first
            return True
        except redis.RedisError:
            return False
    return True


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


def server_findings(name: str, client: Any) -> Iterator[Finding]:
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
