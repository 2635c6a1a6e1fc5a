"""The documented permissions are sufficient for a Redis user, and errors name missing permissions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gentrifugo.engines.base import EngineError
from gentrifugo.engines.redis import permissions
from gentrifugo.engines.redis.blocking import BlockingRedis
from gentrifugo.engines.redis.connection import ConnectionLost
from gentrifugo.engines.redis.dialling import dialler
from gentrifugo.engines.redis.opening import open_connection
from gentrifugo.engines.redis.settings import RedisSettings, ServerAddress, ShardSettings, Timeouts
from tests.engines.contract import EngineContract, JoinedEnginesContract, Lab, kept, message
from tests.engines.redis.test_engine import RedisLab
from tests.greenlets import nothing_left_behind
from tests.redis_server import RedisServer, redis_server

__all__ = ["nothing_left_behind"]

DOCUMENTED = Path(__file__).parents[3] / "docs/redis.md"
PASSWORD = "open sesame"
TIMEOUTS = Timeouts(connect=1, read=5, write=1)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a password and no users, as some providers configure it."""
    with redis_server(tmp_path_factory.mktemp("redis"), "--requirepass", PASSWORD) as server:
        yield server


def user(redis: RedisServer, prefix: str, *more: str) -> RedisSettings:
    """Settings for a new user who has the documented permissions, changed by `more`."""
    name = f"user-{uuid.uuid4()}"
    redis.ask("ACL", "SETUSER", name, "on", f">{PASSWORD}", *permissions.acl_rules(prefix).split(), *more)
    shard = ShardSettings(ServerAddress("127.0.0.1", redis.port), username=name, password=PASSWORD)
    return RedisSettings((shard,), prefix=prefix, timeouts=TIMEOUTS, api=True)


class LimitedLab(RedisLab):
    """Engines of a user with the documented permissions."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__([server])
        self.settings = user(server, f"test-{uuid.uuid4()}")


class Limited:
    @pytest.fixture
    def lab(self, redis: RedisServer) -> Lab:
        return LimitedLab(redis)


class TestTheContractWithTheDocumentedPermissions(Limited, EngineContract):
    pass


class TestJoinedEnginesWithTheDocumentedPermissions(Limited, JoinedEnginesContract):
    pass


@pytest.mark.parametrize(
    ("taken", "lack"),
    [
        (("-info",), "the command INFO"),
        (("-script|load",), "the command SCRIPT LOAD"),
        (("-script",), "the command SCRIPT LOAD"),
        (("-evalsha",), "a command of a script"),
        (("-hset",), "a command of a script"),
        (("resetkeys",), "access to keys that begin with redis_prefix"),
        (("resetkeys", "~other.*"), "access to keys that begin with redis_prefix"),
    ],
)
def test_opening_a_connection_says_which_permission_is_missing(
    redis: RedisServer, taken: tuple[str, ...], lack: str
) -> None:
    settings = user(redis, f"test-{uuid.uuid4()}", *taken)
    with pytest.raises(ConnectionLost) as lost:
        dialler(settings.shards[0], TIMEOUTS, f"{settings.prefix}.epoch")()
    assert f"the Redis user lacks permissions: {lack}" in str(lost.value)
    assert "docs/redis.md" in str(lost.value)


def test_missing_channel_permission_is_reported(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    lab = LimitedLab(redis)
    lab.settings = user(redis, f"test-{uuid.uuid4()}", "resetchannels")
    engine = lab.listen().engine
    with pytest.raises(EngineError, match="access to channels that begin with redis_prefix"):
        engine.subscribe("news")
    lab.close()
    assert "&PREFIX.*" in caplog.text


@pytest.mark.parametrize(
    ("taken", "lack"), [(("-publish",), "the command PUBLISH"), (("-lrange",), "the command LRANGE")]
)
def test_refused_command_is_reported(redis: RedisServer, taken: tuple[str, ...], lack: str) -> None:
    lab = LimitedLab(redis)
    lab.settings = user(redis, f"test-{uuid.uuid4()}", *taken)
    engine = lab.listen().engine
    with pytest.raises(EngineError, match=lack):
        if "PUBLISH" in lack:
            engine.publish(message("u1"), None)
        engine.history("news")
    lab.close()


# -- a user that does not exist


def test_unknown_user_logs_in_with_the_password_alone_and_one_warning(
    hosted: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    shard = ShardSettings(ServerAddress("127.0.0.1", hosted.port), username="h", password=PASSWORD)
    for _ in range(3):
        connection = open_connection(shard.address, TIMEOUTS, shard)
        assert connection.ask([("PING",)]) == [b"PONG"]
        connection.close()
    (record,) = caplog.records
    assert "login as user 'h' failed (WRONGPASS" in record.getMessage()
    assert "connected as the default user" in record.getMessage()
    assert PASSWORD not in caplog.text


def test_other_programs_log_in_in_the_same_way(hosted: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    shard = ShardSettings(ServerAddress("127.0.0.1", hosted.port), username="heroku", password=PASSWORD)
    bus = BlockingRedis(RedisSettings((shard,), timeouts=TIMEOUTS))
    bus.publish(message("u1"), kept(5))
    assert [publication.uid for publication in bus.history("news")] == [message("u1").uid]
    bus.close()
    (record,) = caplog.records
    assert "connected as the default user" in record.getMessage()


def test_a_password_that_is_wrong_alone_too_is_refused(hosted: RedisServer) -> None:
    shard = ShardSettings(ServerAddress("127.0.0.1", hosted.port), username="h", password="wrong")
    with pytest.raises(ConnectionLost, match="WRONGPASS invalid username-password"):
        open_connection(shard.address, TIMEOUTS, shard)
    bus = BlockingRedis(RedisSettings((shard,), timeouts=TIMEOUTS))
    with pytest.raises(EngineError, match="invalid username-password"):
        bus.channels()
    bus.close()


def test_a_user_that_exists_is_not_replaced_by_the_default_user(redis: RedisServer) -> None:
    shard = user(redis, f"test-{uuid.uuid4()}", "+acl|whoami").shards[0]
    connection = open_connection(shard.address, TIMEOUTS, shard)
    assert connection.ask([("ACL", "WHOAMI")]) == [shard.username.encode()]
    connection.close()


def test_the_documentation_has_the_rules() -> None:
    assert permissions.acl_rules("centrifugo") in " ".join(DOCUMENTED.read_text(encoding="utf-8").split())
