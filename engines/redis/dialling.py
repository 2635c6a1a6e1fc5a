"""Opens connections that the engine can use: to the master of a shard, with scripts loaded and the epoch checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hiredis

from .connection import ConnectionLost, Dial, RedisCommand, RedisConnection
from .opening import open_connection
from .permissions import explain_error
from .scripts import ALL_SCRIPTS, ENTER
from .sentinel import MasterFinder
from .settings import ShardSettings, Timeouts


def dialler(shard: ShardSettings, timeouts: Timeouts, epoch_key: str) -> Dial:
    """Return a function that opens a connection to a shard, ready for the engine, and raises ConnectionLost."""
    finder = MasterFinder(shard.sentinels, timeouts) if shard.sentinels else None

    def dial() -> RedisConnection:
        connection = _open_master(finder) if finder else open_connection(shard.address, timeouts, shard)
        try:
            if finder is not None:
                _check_is_master(connection)
            _prepare(connection, epoch_key)
            connection.expect_answers_within(timeouts.read)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_master(finder: MasterFinder) -> RedisConnection:
        address = finder.master()
        try:
            return open_connection(address, timeouts, shard)
        except ConnectionLost as error:
            raise ConnectionLost(f"the master at {address}: {error}") from None

    return dial


def _check_is_master(connection: RedisConnection) -> None:
    (role,) = connection.ask([("ROLE",)])
    if isinstance(role, hiredis.ReplyError):
        raise ConnectionLost(explain_error(role, ("ROLE",)))
    if role[0] != b"master":
        raise ConnectionLost(f"{connection.address} is not a master, its role is {role[0].decode()}")


def _prepare(connection: RedisConnection, epoch_key: str) -> None:
    """Load the scripts, and begin a new epoch if the current one belongs to another server (lua/enter.lua)."""
    load_scripts(connection)
    entering = enter_command(epoch_key, *connection.ask(IDENTITY))
    (entered,) = connection.ask([entering])
    if isinstance(entered, hiredis.ReplyError):
        raise ConnectionLost(explain_error(entered, ("EVALSHA",)))


def load_scripts(connection: RedisConnection) -> None:
    """Load the scripts into the server. Raises ConnectionLost if it refuses one."""
    for reply in connection.ask([("SCRIPT", "LOAD", script.source) for script in ALL_SCRIPTS]):
        if isinstance(reply, hiredis.ReplyError):
            raise ConnectionLost(explain_error(reply, ("SCRIPT LOAD",)))


IDENTITY: Sequence[RedisCommand] = (("INFO", "server"), ("INFO", "replication"))
"""The commands whose replies identify a server, for `enter_command`."""


def enter_command(epoch_key: str, server: Any, replication: Any) -> RedisCommand:
    """Build the command that begins a new epoch unless the current one is of this server, from replies to IDENTITY.

    A server is identified by its run id, which changes with each start, and by its replication id, which changes with
    each promotion: a server that was a replica for a while may have lost data that it had accepted before. Raises
    ConnectionLost if the replies have no run id.
    """
    run_id = _value(server, b"run_id")
    if not run_id:
        raise ConnectionLost(f"the reply to INFO has no run_id: {server!r}")
    return "EVALSHA", ENTER.sha, 1, epoch_key, b"%b %b" % (run_id, _value(replication, b"master_replid"))


def _value(info: Any, name: bytes) -> bytes:
    """Return a value from a reply to INFO; empty if it is missing. Raises ConnectionLost for an error."""
    if isinstance(info, hiredis.ReplyError):
        raise ConnectionLost(explain_error(info, ("INFO",)))
    for line in info.splitlines() if isinstance(info, bytes) else ():
        if line.startswith(name + b":"):
            return bytes(line[len(name) + 1 :])
    return b""
