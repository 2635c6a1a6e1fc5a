"""Losses by failures of Redis: real servers are killed, suspended, disconnected and failed over.

The guarantees, and the table of measured losses, are in docs/redis.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, Sentinel, free_port, redis_server, stop
from tests.servers import Server
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, seconds
from tests.websocket_client import Closed

StartNode = Callable[..., Server]

READ_TIMEOUT = 1.0
PATIENCE = 0.5 + READ_TIMEOUT + 1.0
"""Seconds within which every publish has to be answered: the three time limits of the nodes."""
OPTIONS = {
    "redis_connect_timeout": 0.5,
    "redis_read_timeout": READ_TIMEOUT,
    "redis_write_timeout": 1,
    "node_ping_interval": 0.5,
    "namespaces": [{"name": "kept", "history_size": 1000, "history_lifetime": 600, "recover": True}],
}
CHANNELS = ("kept:news", "live")


@pytest.fixture
def start_node(start_server: StartNode) -> StartNode:
    """Start a node: `start_node(redis, option=value, ...)`."""

    def start(redis: RedisServer | TcpProxy | None, **options: Any) -> Server:
        where = {"redis_port": str(redis.port)} if redis else {}
        return start_server(**{"engine": "redis", **OPTIONS, **where, **options})

    return start


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


class Audience:
    """A client on each node, subscribed to both channels, and a backend that publishes numbers on the last node."""

    def __init__(self, *nodes: Server, channels: tuple[str, ...] = CHANNELS) -> None:
        self.channels = channels
        self.clients = [ProtocolClient(node, "ann") for node in nodes]
        for client in self.clients:
            for channel in channels:
                client.subscribe(channel)
        self.api = APIClient(nodes[-1].host, nodes[-1].port)
        self.accepted: dict[str, list[int]] = {channel: [] for channel in channels}
        self.refused: dict[str, list[int]] = {channel: [] for channel in channels}
        self.slowest = 0.0
        self._number = 0

    def publish(self, channel: str) -> bool:
        """Publish the next number, and return whether the server has accepted it."""
        self._number += 1
        began = time.monotonic()
        command = {"method": "publish", "params": {"channel": channel, "data": self._number}}
        answer = self.api.post(json.dumps(command))
        self.slowest = max(self.slowest, time.monotonic() - began)
        (reply,) = json.loads(answer.body)
        assert reply["error"] in (None, "internal server error"), reply
        outcome = self.refused if reply["error"] else self.accepted
        outcome[channel].append(self._number)
        return reply["error"] is None

    def publish_for(self, duration: float) -> None:
        """Publish into all channels, one number after the other."""
        end = time.monotonic() + duration
        while time.monotonic() < end:
            for channel in self.channels:
                self.publish(channel)
            time.sleep(0.002)

    def publish_until_well(self, within: float = 10) -> None:
        """Publish until every channel accepts it and every client has received it."""
        waiting = {(id(client), channel) for client in self.clients for channel in self.channels}
        self.received: dict[tuple[int, str], list[int]] = {pair: [] for pair in waiting}
        marks: dict[str, int] = {}

        def well() -> bool:
            for channel in self.channels:
                if self.publish(channel):
                    marks.setdefault(channel, self._number)
            for client in self.clients:
                self._read(client)
            return all(
                channel in marks and max(self.received[id(client), channel], default=0) >= marks[channel]
                for client in self.clients
                for channel in self.channels
            )

        eventually(well, within=within, what="all clients have messages again")

    def finish(self) -> None:
        """Read the remaining messages."""
        for client in self.clients:
            client.call("ping")
            self._read(client)

    def _read(self, client: ProtocolClient) -> None:
        while True:
            try:
                push = client.push(0.05)
            except TimeoutError:
                return
            self.received[id(client), push["body"]["channel"]].append(push["body"]["data"])

    def lost(self, channel: str) -> list[int]:
        """Return the largest number of lost messages of a client; check that none is duplicate or out of order."""
        most: list[int] = []
        for client in self.clients:
            received = self.received[id(client), channel]
            assert received == sorted(set(received)), "twice or out of order"
            missed = sorted(set(self.accepted[channel]) - set(received))
            most = max(most, missed, key=len)
        return most

    def check_recovery(self, node: Server) -> None:
        """Check that a recovery from any last message is reported as complete only if it is complete."""
        accepted = self.accepted["kept:news"]
        with ProtocolClient(node, "bob") as bob:
            kept = [
                (message["uid"], message["data"]) for message in bob.subscribe("kept:news", recover=True)["messages"]
            ]
        assert kept, "nothing in the history"
        for uid, number in kept:
            with ProtocolClient(node, "bob") as bob:
                body = bob.subscribe("kept:news", recover=True, last=uid)
            if body["recovered"]:
                missed = [newer for newer in accepted if newer > number]
                assert [message["data"] for message in body["messages"]] == missed[::-1]

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def report(self, fault: str) -> None:
        """Print a row for the table in docs/redis.md, which `pytest -s` shows."""
        for channel in self.channels:
            accepted, refused = len(self.accepted[channel]), len(self.refused[channel])
            print(f"{fault}, {channel}: accepted {accepted}, refused {refused}, lost {len(self.lost(channel))}")
        print(f"{fault}: slowest answer {self.slowest:.2f} s")


@pytest.fixture
def watch() -> Iterator[Callable[..., Audience]]:
    with ExitStack() as audiences:

        def make(*nodes: Server, **options: Any) -> Audience:
            audience = Audience(*nodes, **options)
            audiences.callback(audience.close)
            return audience

        yield make


def run_fault(audience: Audience, fault: str, start_fault: Callable[[], None], end_fault: Callable[[], None]) -> None:
    """Publish before, during and after a fault; no request takes too long, and no client is disconnected."""
    audience.publish_for(0.3)
    start_fault()
    audience.publish_for(seconds(1.5))
    end_fault()
    audience.publish_until_well()
    audience.publish_for(0.3)
    audience.finish()
    audience.report(fault)
    assert audience.slowest < seconds(PATIENCE)


# -- Redis itself


def test_node_starts_while_redis_is_unavailable(
    start_node: StartNode, tmp_path: Path, watch: Callable[..., Audience]
) -> None:
    port = free_port()
    node = start_node(None, redis_port=str(port))
    assert f"redis 127.0.0.1:{port} (commands): " in node.log
    assert "Connection refused; retrying until connected" in node.log
    began = time.monotonic()
    answer = APIClient(node.host, node.port).post('{"method": "publish", "params": {"channel": "a", "data": 1}}')
    assert b'"error":"internal server error"' in answer.body
    assert time.monotonic() - began < seconds(PATIENCE)
    with ProtocolClient(node, "ann") as early:
        early.socket.send_json({"uid": "1", "method": "subscribe", "params": {"channel": "live"}})
        assert early.wait_closed().advice == {"reason": "internal server error", "reconnect": True}
    late = RedisServer(tmp_path, port=port)
    try:
        eventually(lambda: node.log.count("connected to") == 2, within=5, what=node.log)
        audience = watch(node)
        audience.publish_until_well()
        assert not audience.refused["live"]
    finally:
        stop([late])


def test_node_recovers_after_redis_was_killed_and_restarted_empty(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    nodes = start_node(redis), start_node(redis)
    audience = watch(*nodes)
    run_fault(audience, "killed, back empty", redis.kill, redis.start)
    assert audience.refused["live"]
    assert audience.lost("kept:news") == []
    audience.check_recovery(nodes[0])


def test_node_recovers_after_an_immediate_redis_restart(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    nodes = start_node(redis), start_node(redis)
    audience = watch(*nodes)
    run_fault(audience, "restarted at once", redis.restart, lambda: None)
    assert audience.lost("kept:news") == []
    audience.check_recovery(nodes[1])


def test_node_recovers_after_redis_was_frozen(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    nodes = start_node(redis), start_node(redis)
    audience = watch(*nodes)
    run_fault(audience, "frozen for 1.5 s", redis.freeze, redis.thaw)
    assert audience.refused["live"]
    assert audience.lost("kept:news") == []


def test_node_recovers_after_redis_was_frozen_for_long(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    """Redis is suspended so long that the subscriptions are closed, too."""
    nodes = start_node(redis), start_node(redis)
    audience = watch(*nodes)

    def freeze() -> None:
        redis.freeze()
        time.sleep(5)

    run_fault(audience, "frozen for 6.5 s", freeze, redis.thaw)
    assert audience.lost("kept:news") == []
    assert "(subscriptions): connection lost, reconnecting: read timeout" in nodes[0].log


def test_node_recovers_after_script_flush(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    """Redis loses its scripts also when it restarts."""
    audience = watch(start_node(redis))
    run_fault(audience, "SCRIPT FLUSH", lambda: redis.ask("SCRIPT", "FLUSH"), lambda: None)
    assert audience.refused == {"kept:news": [], "live": []}
    assert audience.lost("kept:news") == audience.lost("live") == []


def test_node_recovers_after_flushall(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    node = start_node(redis)
    audience = watch(node)
    run_fault(audience, "FLUSHALL", lambda: redis.ask("FLUSHALL"), lambda: None)
    assert audience.refused == {"kept:news": [], "live": []}
    assert audience.lost("kept:news") == audience.lost("live") == []
    audience.check_recovery(node)


# -- the network


def test_node_recovers_after_its_network_dropped_data(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    """The other node continues to publish; publications in the history are delivered later."""
    with TcpProxy("127.0.0.1", redis.port) as network:
        near, far = start_node(redis), start_node(network)
        audience = watch(far, near)
        run_fault(audience, "network of one node", network.break_connections, network.restore)
        assert audience.refused == {"kept:news": [], "live": []}
        assert audience.lost("live"), "the network did not drop"
        assert audience.lost("kept:news") == []
        audience.check_recovery(far)


def test_publishing_node_recovers_after_its_network_dropped_data(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    with TcpProxy("127.0.0.1", redis.port) as network:
        near, far = start_node(redis), start_node(network)
        audience = watch(near, far)
        run_fault(audience, "network of the publishing node", network.break_connections, network.restore)
        assert audience.refused["live"]
        assert audience.lost("kept:news") == []
        audience.check_recovery(near)


def test_node_recovers_after_its_connections_were_killed(
    redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    audience = watch(start_node(redis), start_node(redis))

    def kill() -> None:
        for kind in ("normal", "pubsub"):
            redis.ask("CLIENT", "KILL", "TYPE", kind)

    run_fault(audience, "CLIENT KILL", kill, kill)
    assert audience.lost("kept:news") == []


# -- several servers


def test_sentinel_replaces_a_killed_master(
    tmp_path: Path, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    master = RedisServer(tmp_path)
    replica = RedisServer(tmp_path, "--replicaof", "127.0.0.1", str(master.port))
    sentinel = Sentinel(tmp_path, {"main": master})
    try:
        eventually(lambda: f"slave0:ip=127.0.0.1,port={replica.port},state=online" in replication(master), within=10)
        eventually(lambda: sentinel.ask("SENTINEL", "REPLICAS", "main"), within=15, what="Sentinel finds the replica")
        watched = {"redis_master_name": "main", "redis_sentinels": f"127.0.0.1:{free_port()},{sentinel.address}"}
        nodes = start_node(None, **watched), start_node(None, **watched)
        audience = watch(*nodes)
        audience.publish_for(0.3)
        master.kill()
        audience.publish_until_well(within=20)
        audience.finish()
        audience.report("Sentinel failover")
        assert audience.lost("kept:news") == []
        assert audience.slowest < seconds(PATIENCE)
        eventually(lambda: f"redis master main (commands): connected to {replica.address}" in nodes[0].log, within=10)
        audience.check_recovery(nodes[0])
    finally:
        stop([sentinel, replica, master])


def replication(server: RedisServer) -> str:
    return str(server.ask("INFO", "replication").decode())


def test_other_shard_continues_while_one_fails(
    tmp_path: Path, redis: RedisServer, start_node: StartNode, watch: Callable[..., Audience]
) -> None:
    with redis_server(tmp_path) as other:
        ports = f"{redis.port},{other.port}"
        nodes = start_node(None, redis_port=ports), start_node(None, redis_port=ports)
        names = tuple(f"kept:{number}" for number in range(8))
        audience = watch(*nodes, channels=names)
        run_fault(audience, "one shard of two", other.kill, other.start)
        stricken = [name for name in names if audience.refused[name]]
        assert 0 < len(stricken) < len(names)
        for name in names:
            assert audience.lost(name) == []


# -- many channels


@pytest.mark.parametrize("count", [10_000])
def test_thousands_of_subscriptions_are_restored_within_seconds(
    count: int, redis: RedisServer, start_node: StartNode
) -> None:
    node = start_node(redis, client_channel_limit=count, client_request_max_size=1 << 24)
    names = [f"kept:{number}" for number in range(count)]
    with ProtocolClient(node, "ann") as client:
        for start in range(0, count, 1000):
            commands = [{"method": "subscribe", "params": {"channel": name}} for name in names[start : start + 1000]]
            client.socket.send_json(commands)
            assert len(client.socket.recv_json(30)) == 1000
        redis.restart()
        began = time.monotonic()
        eventually(lambda: len(redis.ask("PUBSUB", "CHANNELS", "centrifugo.channel.*")) == count, within=10)
        print(f"{count} subscriptions were back after {time.monotonic() - began:.2f} s")
        eventually(lambda: publishes(node, names[-1]), within=5)
        assert client.message() == "after"


def publishes(node: Server, channel: str) -> bool:
    command = {"method": "publish", "params": {"channel": channel, "data": "after"}}
    answer = APIClient(node.host, node.port).post(json.dumps(command))
    return b'"error":null' in answer.body


# -- a node


def test_node_that_ends_is_removed_from_the_registry(redis: RedisServer, start_node: StartNode) -> None:
    options: dict[str, Any] = {"presence": True, "presence_expire_interval": 2, "presence_ping_interval": 1}
    alive, dying = start_node(redis, name="alive", **options), start_node(redis, name="dying", **options)
    with ProtocolClient(alive, "ann") as ann, ProtocolClient(dying, "bob") as bob:
        for client in (ann, bob):
            client.subscribe("live")
        eventually(lambda: names_of_nodes(alive) == {"alive", "dying"}, within=5)
        assert len(ann.call("presence", {"channel": "live"})["body"]["data"]) == 2
        dying.kill()
        with pytest.raises((Closed, OSError)):
            bob.push()
        eventually(lambda: names_of_nodes(alive) == {"alive"}, within=5)
        eventually(lambda: len(ann.call("presence", {"channel": "live"})["body"]["data"]) == 1, within=5)


def names_of_nodes(node: Server) -> set[str]:
    (reply,) = json.loads(APIClient(node.host, node.port).post('{"method": "stats"}').body)
    return {known["name"] for known in reply["body"]["data"]["nodes"]}
