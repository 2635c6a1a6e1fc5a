"""Many streams over several nodes behind nginx, which sends each request to the next node: nothing is lost.

The default is few clients and a short time. The environment variables GENTRIFUGO_TEST_STREAMS (clients) and
GENTRIFUGO_TEST_STORM (seconds) increase both.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gevent
import pytest

from tests.integration.test_proxies import nginx_of
from tests.integration.test_streams import API_KEY, KEY, OPTIONS
from tests.nginx_server import free_port, proxy
from tests.parts import ROOT
from tests.redis_server import redis_server
from tests.servers import Server
from tests.stream_client import request
from tests.stream_swarm import OneWayMember, StreamMember, StreamSwarm, TwoWayMember
from tests.waiting import eventually, seconds

StartServer = Callable[..., Server]
NODES = 4
CLIENTS = int(os.environ.get("GENTRIFUGO_TEST_STREAMS", "60"))
STORM = float(os.environ.get("GENTRIFUGO_TEST_STORM", "4"))
"""Seconds of a storm."""
CUT_INTERVAL = 0.2
"""Seconds between two cuts of a stream in a storm."""
MESSAGES = 50
COMMANDS = 5
"""What each client sends."""

pytestmark = pytest.mark.timeout(seconds(120 + STORM + CLIENTS))


class Cluster(NamedTuple):
    """Nodes behind nginx."""

    port: int
    """Of nginx."""
    api_port: int
    """Of one of the nodes."""

    def publish(self, data: int) -> None:
        """Publish a message in the channel of all clients."""
        params = {"channel": "log:all", "data": data}
        status, _, body = request(self.api_port, "POST", "/api/publish", params, X_API_Key=API_KEY)
        assert status == 200, body


@pytest.fixture
def cluster(start_server: StartServer, tmp_path: Path) -> Iterator[Cluster]:
    """nginx configured as in conf/nginx.conf, but for the choice of the node."""
    namespace = {"name": "log", "allow_subscribe_for_client": True, "recover": True}
    limits = {"history_size": 10_000, "history_ttl": 300}
    with redis_server(tmp_path) as redis:
        options: dict[str, Any] = {
            **OPTIONS,
            **redis.options,
            "namespaces": [{**namespace, **limits}],
            "client_recovery_max_publication_limit": 10_000,
            "node_ping_interval": 1,
            "log_level": "info",
        }
        servers = [start_server(**options) for _ in range(NODES)]
        port = free_port()
        text = (ROOT / "conf" / "nginx.conf").read_text().replace("ip_hash;", "")
        text = text.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("connections 40000", "connections 8000")
        ports = " ".join(f"server 127.0.0.1:{server.port};" for server in servers)
        command = nginx_of(text.replace("server 127.0.0.1:8000 max_fails=0;", ports), tmp_path)
        with proxy(command, port, tmp_path):
            eventually(lambda: [known_nodes(server) for server in servers] == [NODES] * NODES, within=10)
            yield Cluster(port, servers[0].port)
        for server in servers:
            server.stop()


def known_nodes(server: Server) -> int:
    body = request(server.port, "POST", "/api/info", {}, X_API_Key=API_KEY)[2]
    return len(json.loads(body)["result"]["nodes"])


def members(port: int) -> list[StreamMember]:
    """Clients of every kind, all in the same channel."""
    kinds: list[Callable[[str], StreamMember]] = [
        lambda user: TwoWayMember(port, KEY, user, "log:all", "/connection/http_stream"),
        lambda user: TwoWayMember(port, KEY, user, "log:all", "/connection/sse"),
        lambda user: OneWayMember(port, KEY, user, "log:all"),
    ]
    return [kinds[number % len(kinds)](f"user{number}") for number in range(CLIENTS)]


def test_many_clients_lose_no_messages_in_either_direction(cluster: Cluster) -> None:
    """Each command is posted to the next node, which is seldom the one that has the stream."""
    with StreamSwarm(members(cluster.port)) as swarm:
        assert swarm.wait(lambda member: member.is_subscribed.is_set(), within=30 + CLIENTS / 10) == []
        two_way = [member for member in swarm.members if isinstance(member, TwoWayMember)]
        ids = [number + 3 for number in range(COMMANDS)]
        sending = [gevent.spawn(send_all, member, ids) for member in two_way]
        for number in range(MESSAGES):
            cluster.publish(number)
            gevent.sleep(0.02)
        gevent.joinall(sending, timeout=seconds(30 + CLIENTS / 10), raise_error=True)
        swarm.wait(lambda member: len(member.got) >= MESSAGES)
        assert [member.user for member in swarm.members if member.got != list(range(MESSAGES))] == []
        swarm.wait(lambda member: not isinstance(member, TwoWayMember) or len(member.replies) >= COMMANDS)
        assert [member.user for member in two_way if member.replies != ids] == []
        assert len(set().union(*(member.nodes for member in two_way))) == NODES
        assert {member.streams for member in swarm.members} == {1}


def send_all(member: TwoWayMember, ids: list[int]) -> None:
    for id_ in ids:
        assert member.send({"id": id_, "unsubscribe": {"channel": "log:other"}}) == 204


def test_frequently_cut_streams_recover_everything_in_the_history(cluster: Cluster) -> None:
    """Every stream is cut every fifth of a second, wherever it is, while messages are published."""
    with StreamSwarm(members(cluster.port)) as swarm:
        assert swarm.wait(lambda member: member.is_subscribed.is_set(), within=30 + CLIENTS / 10) == []
        storms = [gevent.spawn(cut_for_ever, member) for member in swarm.members]
        ends, published = time.monotonic() + STORM, 0
        while time.monotonic() < ends:
            cluster.publish(published)
            published += 1
            gevent.sleep(0.01)
        gevent.killall(storms)
        swarm.wait(lambda member: len(member.got) >= published, within=30)
        assert [member.user for member in swarm.members if member.got != list(range(published))] == []
        assert sum(member.incomplete for member in swarm.members) == 0
        streams = sum(member.streams for member in swarm.members)
        assert streams > CLIENTS
        print(f"{streams} streams, {published} messages, {CLIENTS} clients, {STORM:g} s")


def cut_for_ever(member: StreamMember) -> None:
    gevent.sleep(random.uniform(0, CUT_INTERVAL))
    while True:
        member.cut()
        gevent.sleep(CUT_INTERVAL)
