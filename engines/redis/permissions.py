"""The permissions that the engine needs in Redis, and error texts about missing permissions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import hiredis

from ...app.runtime.log_throttle import ONCE, ThrottledLog
from .connection import RedisCommand

log = logging.getLogger(__name__)

WITHOUT_KEYS = ("PING", "INFO", "SCRIPT|LOAD", "EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", "PUBSUB", "TIME")
"""Commands without a key that nodes send or their scripts call."""
ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "BLMOVE": ("{key}", "LEFT", "LEFT", "0.01"),
    "EXISTS": (),
    "GET": (),
    "HDEL": ("a",),
    "HGET": ("a",),
    "HGETALL": (),
    "HINCRBY": ("a", "1"),
    "HMGET": ("a",),
    "HSET": ("a", "b"),
    "LINDEX": ("0",),
    "LLEN": (),
    "LPUSH": ("a",),
    "LRANGE": ("0", "0"),
    "LTRIM": ("0", "0"),
    "PEXPIRE": ("1000",),
    "PTTL": (),
    "RENAMENX": ("{key}",),
    "RPUSH": ("a",),
    "SADD": ("a",),
    "SISMEMBER": ("a",),
    "SMOVE": ("{key}", "a"),
    "SREM": ("a",),
    "SSCAN": ("0",),
    "SUNIONSTORE": ("{key}",),
    "ZADD": ("1", "a"),
    "ZCOUNT": ("0", "1"),
    "ZRANGEBYSCORE": ("0", "1"),
    "ZREM": ("a",),
    "ZSCAN": ("0",),
    "ZSCORE": ("a",),
    "SET": ("a", "PX", "1000"),
    "DEL": (),
}
"""Commands with a key, and arguments with which they change nothing if its value is a string, created by SET."""

SEE_RULES = "see the ACL rules in docs/redis.md"

_logins = ThrottledLog(log, logging.WARNING, interval=ONCE)


def acl_rules(prefix: str) -> str:
    """Return the rules for ACL SETUSER that give a user exactly the permissions that the engine needs."""
    commands = " ".join(f"+{name.lower()}" for name in (*WITHOUT_KEYS, *sorted(ARGUMENTS)))
    return f"resetkeys ~{prefix}.* resetchannels &{prefix}.* -@all {commands}"


def permission_checks(prefix: str) -> Iterator[RedisCommand]:
    """Yield commands that check the permissions of a user one by one. They create a key that expires after 1 s."""
    key = f"{prefix}.doctor"
    yield ("PING",)
    yield "INFO", "server"
    yield ("TIME",)
    yield "SCRIPT", "LOAD", "return 1"
    yield "PUBSUB", "CHANNELS", f"{prefix}.doctor"
    yield "PUBLISH", f"{prefix}.doctor", ""
    yield "SET", key, *ARGUMENTS["SET"]
    for name, arguments in ARGUMENTS.items():
        yield name, key, *(argument.format(key=key) for argument in arguments)


def is_refusal(error: object) -> bool:
    """Return whether Redis refused a command, or one in a script, because the user lacks the permission for it."""
    text = str(error)
    return "has no permissions to" in text or "user executing the script" in text or "ACL failure" in text


def missing_permission(error: object, command: Any) -> str:
    """Return the permission that the Redis user lacks, given a command and the `error` with which it was refused."""
    text = str(error).lower()
    if "channel" in text:
        return "access to channels that begin with redis_prefix (ACL rule &PREFIX.*)"
    if "key" in text:
        return "access to keys that begin with redis_prefix (ACL rule ~PREFIX.*)"
    return f"the command {command[0]}" if command[0] != "EVALSHA" else "a command of a script"


def explain_error(error: hiredis.ReplyError, command: Any) -> str:
    """Return the text of an error of Redis for the log and for errors, with the name of a missing permission."""
    text = str(error).rstrip(".")
    if not is_refusal(error):
        return text
    return f"{text}: the Redis user lacks permissions: {missing_permission(error, command)}; {SEE_RULES}"


def is_unknown_user(error: object) -> bool:
    """Return whether a login with user and password failed, but a login with the password alone may succeed."""
    text = str(error)
    return text.startswith(("WRONGPASS", "NOAUTH", "invalid username")) or "wrong number of arguments" in text


def note_default_user(username: str, address: object, refusal: object) -> None:
    """Log a warning, once for each server, that the user does not exist and the default user is used."""
    _logins.log(
        f"{address} {username}",
        "redis %s: login as user %r failed (%s), connected as the default user with the password alone. Remove the "
        "user from redis_url (redis://:PASSWORD@HOST), or create it with ACL SETUSER",
        address,
        username,
        str(refusal).rstrip("."),
    )
