"""A connection is ready for the engine when its server is the master, has the scripts, and has the epoch."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.engines.redis import dialling
from gentrifugo.engines.redis.connection import ConnectionLost, RedisConnection
from gentrifugo.engines.redis.dialling import dialler, enter_command
from gentrifugo.engines.redis.scripts import ALL_SCRIPTS
from gentrifugo.engines.redis.settings import Sentinels, ServerAddress, ShardSettings, Timeouts
from tests.engines.redis.fakes import FakeConnection, error

INFO = b"# Server\r\nrun_id:abc\r\n"
REPLICATION = b"# Replication\r\nmaster_replid:def\r\n"


class Closing(FakeConnection):
    """A connection that records that it was closed."""

    def __init__(self, *replies: Any) -> None:
        super().__init__()
        self.answer(*replies)
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def dial(monkeypatch: pytest.MonkeyPatch, connection: FakeConnection) -> RedisConnection:
    """Dial a shard whose server answers as `connection` does."""
    monkeypatch.setattr(dialling, "open_connection", lambda *_: connection)
    return dialler(ShardSettings(ServerAddress("127.0.0.1", 1)), Timeouts(), "epoch")()


def test_a_connection_gets_the_scripts_and_the_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Closing(*([b"sha"] * len(ALL_SCRIPTS)), INFO, REPLICATION, b"entered")
    assert dial(monkeypatch, connection) is connection
    assert connection.batches[-1] == [enter_command("epoch", INFO, REPLICATION)]
    assert not connection.is_closed


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ([error("NOPERM no scripts"), *([b"sha"] * (len(ALL_SCRIPTS) - 1))], "NOPERM no scripts"),
        ([*([b"sha"] * len(ALL_SCRIPTS)), error("NOPERM no info"), REPLICATION], "NOPERM no info"),
        ([*([b"sha"] * len(ALL_SCRIPTS)), b"# Server", REPLICATION], "the reply to INFO has no run_id"),
        ([*([b"sha"] * len(ALL_SCRIPTS)), INFO, REPLICATION, error("READONLY")], "READONLY"),
    ],
    ids=["a script is refused", "no INFO", "INFO without a run id", "the epoch is refused"],
)
def test_server_that_refuses_a_script_is_not_used(
    monkeypatch: pytest.MonkeyPatch, replies: list[Any], reason: str
) -> None:
    connection = Closing(*replies)
    with pytest.raises(ConnectionLost, match=reason):
        dial(monkeypatch, connection)
    assert connection.is_closed


class KnownMaster:
    """Sentinels that name a server as the master."""

    def __init__(self, *_: object) -> None:
        pass

    def master(self) -> ServerAddress:
        return ServerAddress("127.0.0.1", 1)


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (error("NOPERM this user has no permissions to run the 'role' command"), "lacks permissions: the command ROLE"),
        ([b"slave", b"127.0.0.1", 2], "127.0.0.1:1 is not a master, its role is slave"),
    ],
    ids=["its role is secret", "it is a replica by now"],
)
def test_address_named_by_sentinel_must_be_a_master(monkeypatch: pytest.MonkeyPatch, role: Any, reason: str) -> None:
    connection = Closing(role)
    monkeypatch.setattr(dialling, "open_connection", lambda *_: connection)
    monkeypatch.setattr(dialling, "MasterFinder", KnownMaster)
    sentinels = Sentinels("main", (ServerAddress("127.0.0.1", 2),))
    shard = ShardSettings(ServerAddress("127.0.0.1", 1), sentinels=sentinels)
    with pytest.raises(ConnectionLost, match=reason):
        dialler(shard, Timeouts(), "epoch")()
    assert connection.is_closed


def test_server_is_identified_by_run_id_and_replication_id() -> None:
    command = enter_command("epoch", INFO, REPLICATION)
    assert command[-1] == b"abc def"
    assert enter_command("epoch", INFO, REPLICATION.replace(b"def", b"ghi")) != command
    assert enter_command("epoch", INFO.replace(b"abc", b"xyz"), REPLICATION) != command
    assert enter_command("epoch", INFO, b"")[-1] == b"abc "
