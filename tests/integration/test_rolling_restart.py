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
from tests.judgement import Verdict, judge_all
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
    # Six hundred at a thousand a second: not all at once.
    assert closed[-1] - closed[0] > 0.3
    gevent.get_hub().threadpool.spawn(server.process.wait, seconds(15)).get()


def server_says(service: Service) -> int:
    try:
        return service.get("/health").status
    except (OSError, AssertionError):
        return 0
