"""The options of the Redis engine: which shards they define, and which options are refused with which error."""

from __future__ import annotations

from typing import Any

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.config.loading import from_mapping
from gentrifugo.app.config.options import ConfigError
from gentrifugo.app.config.redis_options import redis_settings
from gentrifugo.engines.redis.settings import RedisSettings, Sentinels, ServerAddress, ShardSettings, Timeouts, Tls


def settings(**options: Any) -> RedisSettings:
    made, problems = redis_settings(Config(**options))
    assert made is not None, problems
    return made


def problem(**options: Any) -> str:
    """The error with which the configuration is refused."""
    with pytest.raises(ConfigError) as caught:
        from_mapping({"secret": "secret", "engine": "redis", **options})
    (sentence,) = caught.value.problems
    return sentence


def test_the_default_is_one_server_on_this_machine() -> None:
    assert settings() == RedisSettings((ShardSettings(ServerAddress("127.0.0.1", 6379)),))


def test_every_option_has_its_place() -> None:
    made = settings(
        redis_host="redis.example",
        redis_port="6380",
        redis_password="pass",
        redis_db="2",
        redis_prefix="p",
        redis_connect_timeout=0.5,
        redis_read_timeout=5,
        redis_write_timeout=2,
        redis_api=True,
        redis_api_num_shards=3,
    )
    shard = ShardSettings(ServerAddress("redis.example", 6380), password="pass", db=2)
    assert made == RedisSettings((shard,), "p", Timeouts(0.5, 5, 2), True, 3)


def test_list_defines_shards_and_single_values_apply_to_all() -> None:
    made = settings(redis_port="6379, 6380", redis_password="pass")
    assert [(str(shard.address), shard.password) for shard in made.shards] == [
        ("127.0.0.1:6379", "pass"),
        ("127.0.0.1:6380", "pass"),
    ]
    made = settings(redis_host="a,b", redis_port="1,2")
    assert [str(shard.address) for shard in made.shards] == ["a:1", "b:2"]


@pytest.mark.parametrize(
    ("url", "shard"),
    [
        ("redis://", ShardSettings(ServerAddress("127.0.0.1", 6379))),
        ("redis://h", ShardSettings(ServerAddress("h", 6379))),
        ("redis://:p%40ss@h:1/3", ShardSettings(ServerAddress("h", 1), password="p@ss", db=3)),
        ("redis://ann:pass@h:1/", ShardSettings(ServerAddress("h", 1), "ann", "pass")),
        ("redis://[::1]:1", ShardSettings(ServerAddress("::1", 1))),
        ("rediss://h:1", ShardSettings(ServerAddress("h", 1), tls=Tls())),
        ("rediss://h:1?ssl_cert_reqs=none", ShardSettings(ServerAddress("h", 1), tls=Tls(verify=False))),
        ("rediss://h:1?ssl_ca_certs=/ca.pem", ShardSettings(ServerAddress("h", 1), tls=Tls(ca_file="/ca.pem"))),
    ],
)
def test_url_sets_address_database_and_credentials(url: str, shard: ShardSettings) -> None:
    """The options for host, port, password and database are then ignored."""
    assert settings(redis_url=url, redis_host="a,b,c", redis_password="x", redis_db="9").shards == (shard,)


def test_sentinels_monitor_each_shard() -> None:
    made = settings(redis_master_name="one,two", redis_sentinels=":26380,s.example,[::1]:1", redis_password="pass")
    addresses = (ServerAddress("127.0.0.1", 26380), ServerAddress("s.example", 26379), ServerAddress("::1", 1))
    assert [shard.sentinels for shard in made.shards] == [Sentinels("one", addresses), Sentinels("two", addresses)]
    assert {shard.password for shard in made.shards} == {"pass"}


def test_shard_name_contains_no_secret() -> None:
    (shard,) = settings(redis_url="redis://ann:hush@h:1").shards
    assert "hush" not in shard.name + repr(shard)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"redis_host": "a,b", "redis_port": "1,2,3"},
            "redis_host, redis_port: the lists are of different lengths: "
            "redis_host has 2 items, redis_port has 3 items",
        ),
        (
            {"redis_url": "redis://a,redis://b", "redis_master_name": "x,y,z", "redis_sentinels": ":1"},
            "redis_url, redis_master_name: the lists are of different lengths: "
            "redis_url has 2 items, redis_master_name has 3 items",
        ),
        ({"redis_host": "a,,b"}, "redis_host: an entry of the list is empty"),
        ({"redis_host": "a,a"}, "two shards have the same address: a:6379"),
        ({"redis_url": "redis://a/1,redis://a/2"}, "two shards have the same address: a:6379"),
        ({"redis_master_name": "x,x", "redis_sentinels": ":1"}, "two shards have the same address: master x"),
        ({"redis_port": "0"}, "redis_port: 0 is not a port number"),
        ({"redis_port": "65536"}, "redis_port: 65536 is not a port number"),
        ({"redis_port": "http"}, "redis_port: http is not a port number"),
        ({"redis_db": "-1"}, "redis_db: -1 is not a database number"),
        ({"redis_url": "http://:hush@a"}, "redis_url: must begin with redis:// or rediss://"),
        ({"redis_url": "redis://:hush@a:b"}, "redis_url: not of the form redis://user:password@host:port/db"),
        ({"redis_url": "redis://[a"}, "redis_url: not of the form"),
        ({"redis_url": "redis://a/b"}, "redis_url: b is not a database number"),
        ({"redis_url": "redis://:hu#sh@a"}, "redis_url:"),
        ({"redis_url": "redis://a/0#hush"}, "redis_url: contains the character #; write it as %23"),
        ({"redis_url": "redis://a?ssl_cert_reqs=none"}, "redis_url: redis:// does not support parameters"),
        ({"redis_url": "rediss://a?colour=red"}, "redis_url: unknown parameter colour"),
        ({"redis_url": "rediss://a?ssl_cert_reqs=maybe"}, "redis_url: ssl_cert_reqs must be required or none"),
        ({"redis_master_name": "x"}, "redis_master_name: requires redis_sentinels"),
        ({"redis_sentinels": ":1"}, "redis_sentinels: requires redis_master_name"),
        ({"redis_sentinels": "a:b", "redis_master_name": "x"}, "redis_sentinels: a:b is not of the form host:port"),
        ({"redis_sentinels": "a/b", "redis_master_name": "x"}, "redis_sentinels: a/b is not of the form host:port"),
    ],
    ids=str,
)
def test_contradictory_options_are_refused(options: dict[str, Any], expected: str) -> None:
    sentence = problem(**options)
    assert expected in sentence
    assert "hush" not in sentence


def test_redis_is_not_checked_with_the_memory_engine() -> None:
    assert from_mapping({"secret": "secret", "redis_port": "many"}).config.redis_port == "many"


@pytest.mark.parametrize("name", ["redis_connect_timeout", "redis_read_timeout", "redis_write_timeout"])
def test_time_limit_of_zero_is_refused(name: str) -> None:
    """A publish must not hang."""
    assert name in problem(**{name: 0})


def test_number_of_queues_without_option_redis_api_causes_a_warning() -> None:
    loaded = from_mapping({"secret": "secret", "engine": "redis", "redis_api_num_shards": 2})
    assert any("redis_api_num_shards" in warning for warning in loaded.warnings)
