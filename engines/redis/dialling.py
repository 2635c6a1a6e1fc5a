"""Opens connections that are ready for the engine: to the master of a shard, with scripts loaded and the epoch set."""

from __future__ import annotations

from typing import Any

import hiredis

from .connection import ConnectionLost, Dial, RedisCommand, RedisConnection
from .opening import open_connection
from .permissions import explained
from .scripts import ALL, ENTER
from .sentinel import MasterFinder
from .settings import ShardSettings, Timeouts


def dialler(shard: ShardSettings, timeouts: Timeouts, epoch_key: str) -> Dial:
    """A function that opens a connection to a shard, ready for the engine; it raises ConnectionLost."""
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
        raise ConnectionLost(explained(role, ("ROLE",)))
    if role[0] != b"master":
        raise ConnectionLost(f"{connection.address} is not the master, but a {role[0].decode()}")


def _prepare(connection: RedisConnection, epoch_key: str) -> None:
    """Load the scripts, and begin a new epoch if this server is not the one of the current epoch (lua/enter.lua)."""
    load_scripts(connection)
    (server,) = connection.ask([("INFO", "server")])
    (entered,) = connection.ask([enter_command(epoch_key, server)])
    if isinstance(entered, hiredis.ReplyError):
        raise ConnectionLost(explained(entered, ("EVALSHA",)))


def load_scripts(connection: RedisConnection) -> None:
    """Load the scripts into the server. Raises ConnectionLost when it refuses one."""
    for reply in connection.ask([("SCRIPT", "LOAD", script.source) for script in ALL]):
        if isinstance(reply, hiredis.ReplyError):
            raise ConnectionLost(explained(reply, ("SCRIPT LOAD",)))


def enter_command(epoch_key: str, server: Any) -> RedisCommand:
    """The command that begins a new epoch unless the current one is of this server; `server` is its INFO reply.

    Raises ConnectionLost when the reply has no run id.
    """
    return "EVALSHA", ENTER.sha, 1, epoch_key, _run_id(server)


def _run_id(info: Any) -> bytes:
    if isinstance(info, bytes):
        for line in info.splitlines():
            if line.startswith(b"run_id:"):
                return line.removeprefix(b"run_id:")
    if isinstance(info, hiredis.ReplyError):
        raise ConnectionLost(explained(info, ("INFO",)))
    raise ConnectionLost(f"the reply to INFO has no run id of the server: {info!r}")
