"""Commands from queues in Redis are carried out once and in order, by any node."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server
from tests.waiting import eventually

StartNode = Callable[..., Server]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def start_node(redis: RedisServer, start_server: StartNode) -> StartNode:
    def start(**options: Any) -> Server:
        return start_server(**{**redis.options, "redis_api": True, **options})

    return start


def publish(data: Any, channel: str = "news") -> dict[str, Any]:
    return {"method": "publish", "params": {"channel": channel, "data": data}}


def push(redis: RedisServer, *entries: Any, queue: str = "centrifugo.api") -> None:
    texts = [entry if isinstance(entry, (str, bytes)) else json.dumps(entry) for entry in entries]
    redis.ask("RPUSH", queue, *texts)


def is_empty(redis: RedisServer, queue: str = "centrifugo.api") -> bool:
    return all(redis.ask("LLEN", key) == 0 for key in (queue, f"{queue}.taken"))


def test_both_formats_are_carried_out_in_order(redis: RedisServer, start_node: StartNode) -> None:
    with ProtocolClient(start_node(), "ann") as ann:
        ann.subscribe("news")
        push(redis, publish(1), {"data": publish(2)}, {"data": [publish(3), publish(4)]}, [publish(5), publish(6)])
        assert [ann.message() for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    eventually(lambda: is_empty(redis))


def test_every_method_works_through_the_queue(redis: RedisServer, start_node: StartNode) -> None:
    node = start_node()
    with ProtocolClient(node, "ann") as ann, ProtocolClient(node, "bob") as bob:
        ann.subscribe("news")
        push(
            redis,
            {"method": "broadcast", "params": {"channels": ["news", "other"], "data": 1}},
            {"method": "unsubscribe", "params": {"user": "ann", "channel": "news"}},
            {"method": "disconnect", "params": {"user": "bob"}},
        )
        assert ann.message() == 1
        assert ann.push()["method"] == "unsubscribe"
        assert bob.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_bad_entries_are_logged_and_skipped(redis: RedisServer, start_node: StartNode) -> None:
    node = start_node()
    garbage: list[Any] = [
        "", "{", "null", "[]", "42", b"\xff\xfe", "[" * 100_000, {}, {"data": 1}, {"data": None}, {"method": "sing"},
        {"method": "publish"}, {"method": "publish", "params": {"channel": 42, "data": 1}},
        {"method": "publish", "params": {"data": 1}}, publish(0, channel="nowhere:news"), [publish(1), {"method": 1}],
        [publish(2), {"method": "publish", "params": {}}, publish(3)],
    ]  # fmt: skip
    with ProtocolClient(node, "ann") as ann:
        ann.subscribe("news")
        push(redis, *garbage, publish(4))
        assert [ann.message() for _ in range(3)] == [2, 3, 4]
    for words in ("skipping invalid", "unknown method 'sing'", "namespace not found", "channel and data are required"):
        assert words in node.log
    eventually(lambda: is_empty(redis))


def test_queue_with_a_wrong_type_does_not_stop_the_others(redis: RedisServer, start_node: StartNode) -> None:
    redis.ask("SET", "centrifugo.api.0", "what is this")
    node = start_node(redis_api_num_shards=2)
    with ProtocolClient(node, "ann") as ann:
        ann.subscribe("news")
        push(redis, publish(1), queue="centrifugo.api.1")
        assert ann.message() == 1
        redis.ask("DEL", "centrifugo.api.0")
        push(redis, publish(2), queue="centrifugo.api.0")
        assert ann.message() == 2
    assert node.log.count("WRONGTYPE") == 1


def test_queue_with_a_wrong_type_is_logged_again_after_recovery(redis: RedisServer, start_node: StartNode) -> None:
    redis.ask("SET", "centrifugo.api", "no list")
    node = start_node()
    eventually(lambda: node.log.count("WRONGTYPE") == 1)
    with ProtocolClient(node, "ann") as ann:
        ann.subscribe("news")
        redis.ask("DEL", "centrifugo.api")
        push(redis, publish(1))
        assert ann.message() == 1
    redis.ask("SET", "centrifugo.api", "no list")
    eventually(lambda: node.log.count("WRONGTYPE") == 2)


def test_several_nodes_share_several_queues(redis: RedisServer, start_node: StartNode) -> None:
    """No command is repeated or lost, and each queue keeps its order."""
    nodes = [start_node(redis_api_num_shards=3, namespaces=[{"name": "queue"}]) for _ in range(3)]
    with ProtocolClient(nodes[0], "ann") as ann:
        for queue in range(3):
            ann.subscribe(f"queue:{queue}")
        for start in range(0, 1000, 50):
            for queue in range(3):
                entries = [publish(number, f"queue:{queue}") for number in range(start, start + 50)]
                push(redis, *entries, queue=f"centrifugo.api.{queue}")
        received: dict[str, list[int]] = {f"queue:{queue}": [] for queue in range(3)}
        for _ in range(3000):
            body = ann.push()["body"]
            received[body["channel"]].append(body["data"])
        assert all(numbers == list(range(1000)) for numbers in received.values())
        ann.socket.assert_quiet()


def test_stopped_node_loses_no_queued_commands(redis: RedisServer, start_node: StartNode) -> None:
    """The other nodes continue where it stopped."""
    staying, leaving = start_node(), start_node()
    with ProtocolClient(staying, "ann") as ann:
        ann.subscribe("news")
        for start in range(0, 4000, 100):
            push(redis, *map(publish, range(start, start + 100)))
            if start == 2000:
                leaving.process.send_signal(signal.SIGTERM)
        assert [ann.message() for _ in range(4000)] == list(range(4000))
        ann.socket.assert_quiet()


def test_commands_taken_by_a_dead_node_are_carried_out_by_another(redis: RedisServer, start_node: StartNode) -> None:
    """They are carried out before later commands. The test simulates the dead node."""
    with ProtocolClient(start_node(), "ann") as ann:
        ann.subscribe("news")
        redis.ask("SET", "centrifugo.api.lease", "a node that died", "PX", 1500)
        redis.ask("RPUSH", "centrifugo.api.taken", json.dumps(publish(1)))
        push(redis, publish(2))
        assert [ann.message() for _ in range(2)] == [1, 2]
    eventually(lambda: is_empty(redis))


def test_each_shard_has_its_own_queues(tmp_path: Path, redis: RedisServer, start_node: StartNode) -> None:
    with (
        redis_server(tmp_path) as other,
        ProtocolClient(start_node(redis_port=f"{redis.port},{other.port}"), "ann") as ann,
    ):
        ann.subscribe("news")
        push(redis, publish(1))
        assert ann.message() == 1
        push(other, publish(2))
        assert ann.message() == 2


def test_queue_is_read_after_a_redis_restart(redis: RedisServer, start_node: StartNode) -> None:
    node = start_node()
    with ProtocolClient(node, "ann") as ann:
        ann.subscribe("news")
        redis.restart()
        eventually(lambda: node.log.count("reconnecting") >= 3, within=5)
        # The queue may be back before the subscriptions; but who publishes waits for these.
        push(redis, publish(1))
        assert ann.message() == 1


def test_without_the_option_no_queue_is_read(redis: RedisServer, start_node: StartNode) -> None:
    with ProtocolClient(start_node(redis_api=False), "ann") as ann:
        ann.subscribe("news")
        push(redis, publish(1))
        ann.socket.assert_quiet()
    assert redis.ask("LLEN", "centrifugo.api") == 1
