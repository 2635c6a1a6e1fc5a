"""Nodes that are replaced one after the other, with a thousand clients and a publisher that continues."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

from gentrifugo import Publisher, publisher
from tests.greenlets import eventually
from tests.integration.test_proxies import nginx_of
from tests.judgement import Verdict, judge_all
from tests.nginx_server import proxy
from tests.parts import ROOT
from tests.redis_server import free_port, redis_server
from tests.servers import Server
from tests.sockjs_client import Service
from tests.swarm import Swarm
from tests.waiting import seconds

CLIENTS = 1000
CHAT = {"name": "chat", "history_size": 10_000, "history_lifetime": 600, "recover": True}
OPTIONS: dict[str, Any] = {"namespaces": [CHAT], "health": True, "drain_time": 2, "shutdown_timeout": 8}


@pytest.mark.timeout(120)
def test_rolling_restart_loses_no_messages(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    with redis_server(tmp_path) as redis:
        ports = [free_port(), free_port()]
        nodes = [start_server(port=port, **OPTIONS, **redis.options) for port in ports]
        outside = publisher({"namespaces": [CHAT], **redis.options})
        outside.publish("chat:1", "before")  # from it on they recover
        published: list[int] = []
        with Swarm(ports, "chat:1", CLIENTS) as swarm:
            eventually(lambda: swarm.subscribed == CLIENTS, within=40, what="all are subscribed")
            publishing = gevent.spawn(publish, outside, published)
            for number in (0, 1):
                restart(nodes, number, partial(start_server, port=ports[number], **OPTIONS, **redis.options))
                eventually(lambda: swarm.subscribed == CLIENTS, within=40, what="all are back")
            publishing.kill()
            everything = set(published)
            eventually(lambda: all(everything <= set(member.got) for member in swarm.members), within=20)
        outside.close()
        assert sum(member.incomplete for member in swarm.members) == 0
        assert judge_all(published, swarm.received_messages) == Verdict()
        assert len(published) > 20


@pytest.mark.timeout(120)
def test_nginx_sends_every_client_to_a_node_while_they_are_replaced(
    tmp_path: Path, start_server: Callable[..., Server]
) -> None:
    clients = 80
    with redis_server(tmp_path) as redis:
        ports, entrance = [free_port(), free_port()], free_port()
        nodes = [start_server(port=port, **OPTIONS, **redis.options) for port in ports]
        outside = publisher({"namespaces": [CHAT], **redis.options})
        outside.publish("chat:1", "before")
        with (
            proxy(nginx_of(nginx_with_two_nodes(entrance, ports), tmp_path), entrance, tmp_path),
            Swarm([entrance], "chat:1", clients) as swarm,
        ):
            eventually(lambda: swarm.subscribed == clients, within=20, what="all are subscribed")
            for number in (0, 1):
                restart(nodes, number, partial(start_server, port=ports[number], **OPTIONS, **redis.options))
                eventually(lambda: swarm.subscribed == clients, within=20, what="all are back")
            outside.publish("chat:1", "after")
            eventually(lambda: all(member.got[-1:] == ["after"] for member in swarm.members), within=10)
        outside.close()
    assert "cut" not in swarm.closes, "nginx refused clients, although a node was there"
    assert len(swarm.closes) >= clients
    assert sum(member.incomplete for member in swarm.members) == 0


def nginx_with_two_nodes(entrance: int, ports: list[int]) -> str:
    """The text of conf/nginx.conf on the port `entrance`, with its second node and with both nodes in turns."""
    text = (ROOT / "conf" / "nginx.conf").read_text()
    for old, new in {
        "        listen 80;": f"listen 127.0.0.1:{entrance};",
        "ip_hash;": "",  # all clients have the same address, and would get the same node
        "#server 127.0.0.1:8001": "server 127.0.0.1:8001",
        "127.0.0.1:8000": f"127.0.0.1:{ports[0]}",
        "127.0.0.1:8001": f"127.0.0.1:{ports[1]}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


def publish(outside: Publisher, published: list[int]) -> None:
    while True:
        published.append(len(published))
        outside.publish("chat:1", published[-1])
        gevent.sleep(0.05)


def restart(nodes: list[Server], number: int, start: Callable[[], Server]) -> None:
    node = nodes[number]
    node.process.send_signal(signal.SIGTERM)
    ended = gevent.get_hub().threadpool.spawn(node.process.wait, seconds(15))
    assert ended.get(timeout=seconds(20)) == 0
    node.check_log()
    nodes[number] = start()


def test_draining_node_logs_it_and_spreads_the_closing(start_server: Callable[..., Server]) -> None:
    server = start_server(port=(port := free_port()), health=True, drain_time=1, namespaces=[CHAT])
    service = Service(server.host, port, "")
    assert service.get("/health").status == 200
    with Swarm([port], "chat:1", 600) as swarm:
        eventually(lambda: swarm.subscribed == 600, within=20)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: server_says(service) == 503, within=5, what="it says that it drains")
        eventually(lambda: all(member.closed_at for member in swarm.members), within=10, what="all are told")
    closed = sorted(member.closed_at[0] for member in swarm.members)
    # Six hundred, spread over drain_time: not all at once.
    assert closed[-1] - closed[0] > 0.3
    gevent.get_hub().threadpool.spawn(server.process.wait, seconds(15)).get()


def server_says(service: Service) -> int:
    try:
        return service.get("/health").status
    except (OSError, AssertionError):
        return 0
