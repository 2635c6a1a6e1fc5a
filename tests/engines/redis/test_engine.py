"""The Redis engine keeps the contract: with one shard, with two, and on other servers that speak Redis's protocol."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import gevent
import pytest

from gentrifugo.engines.redis.engine import RedisEngine
from gentrifugo.engines.redis.settings import Endpoint, RedisSettings, ShardSettings
from tests.engines.contract import EngineContract, JoinedEnginesContract, Lab
from tests.redis_server import RedisServer, redis_server


class RedisLab(Lab):
    """Engines with a prefix of their own on servers that many tests share."""

    def __init__(self, servers: list[RedisServer]) -> None:
        super().__init__()
        shards = tuple(ShardSettings(Endpoint("127.0.0.1", server.port)) for server in servers)
        self.settings = RedisSettings(shards, prefix=f"test-{uuid.uuid4()}[*]")

    def make(self) -> RedisEngine:
        return RedisEngine(self.settings)

    def pass_time(self, seconds: float) -> None:
        gevent.sleep(seconds + 0.01)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    directory = tmp_path_factory.mktemp("redis")
    with redis_server(directory) as first, redis_server(directory) as second:
        yield [first, second]


class OneShard:
    @pytest.fixture
    def lab(self, servers: list[RedisServer]) -> Iterator[Lab]:
        yield RedisLab(servers[:1])


class TwoShards:
    @pytest.fixture
    def lab(self, servers: list[RedisServer]) -> Iterator[Lab]:
        yield RedisLab(servers)


class TestRedisEngine(OneShard, EngineContract):
    pass


class TestJoinedRedisEngines(OneShard, JoinedEnginesContract):
    pass


class TestRedisEngineOfTwoShards(TwoShards, EngineContract):
    pass


class TestJoinedRedisEnginesOfTwoShards(TwoShards, JoinedEnginesContract):
    pass
