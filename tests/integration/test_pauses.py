"""Processes that are suspended for some seconds, and continue without losing messages or connections.

Data that arrives during the suspension waits in the sockets, and must not be discarded because of a timeout.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest

from tests.api_client import APIClient
from tests.credentials import connect_params
from tests.greenlets import eventually
from tests.judgement import Backend, Verdict, judge_all
from tests.protocol_client import ProtocolClient
from tests.redis_server import RedisServer, Sentinel, redis_server, stop
from tests.servers import Server
from tests.swarm import Swarm
from tests.websocket_client import WebSocketClient

StartNode = Callable[..., Server]

PAUSES = (2, 5, 10)
"""Seconds."""
RATE = 200
"""Messages a second in each channel."""
CLIENTS = 10
LIVE, KEPT = "live", "kept:news"
OPTIONS: dict[str, Any] = {
    "node_ping_interval": 1,
    "namespaces": [{"name": "kept", "history_size": 100, "history_lifetime": 60, "recover": True}],
}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def start_node(start_server: StartNode, redis: RedisServer) -> StartNode:
    """Start a node: `start_node(option=value, ...)`."""
    return lambda **options: start_server(**{**OPTIONS, **redis.options, **options})


def pause(pid: int, duration: float) -> None:
    """Suspend a process while other greenlets run."""
    os.kill(pid, signal.SIGSTOP)
    try:
        gevent.sleep(duration)
    finally:
        os.kill(pid, signal.SIGCONT)


def has_all(backend: Backend, *swarms: tuple[str, Swarm]) -> bool:
    return all(
        set(backend.accepted[channel]) <= set(got) for channel, swarm in swarms for got in swarm.received_messages
    )


@pytest.mark.timeout(120)
def test_suspended_nodes_lose_no_messages_and_no_clients(start_node: StartNode) -> None:
    """Three nodes are suspended at the same time for different durations, while a fourth one publishes."""
    publishing, *paused = [start_node(name=f"node{number}") for number in range(1 + len(PAUSES))]
    swarms = [(channel, Swarm([node.port], channel, CLIENTS)) for node in paused for channel in (LIVE, KEPT)]
    with ProtocolClient(publishing, "42") as client:
        client.subscribe(LIVE)
        for _, swarm in swarms:
            swarm.__enter__()
        eventually(lambda: all(swarm.subscribed == CLIENTS for _, swarm in swarms), within=20)
        with Backend(publishing, (LIVE, KEPT), RATE) as backend:
            gevent.sleep(0.5)
            pausing = [gevent.spawn(pause, node.pid, seconds) for node, seconds in zip(paused, PAUSES, strict=True)]
            gevent.joinall(pausing, raise_error=True)
            gevent.sleep(1)
            backend.stop()
        eventually(lambda: has_all(backend, *swarms), within=20, what="everything arrives")
        for channel, swarm in swarms:
            assert judge_all(backend.accepted[channel], swarm.received_messages) == Verdict()
            assert swarm.closes == []
        for _, swarm in swarms:
            swarm.__exit__()
    assert backend.count >= 2000
    assert backend.refused == {LIVE: [], KEPT: []}
    for node in paused:
        assert "read timeout" not in node.log


def test_clients_that_may_have_missed_messages_are_disconnected_with_reconnect(
    start_node: StartNode, redis: RedisServer
) -> None:
    """Redis closes the connection of a suspended node, and the history is too short to recover everything."""
    publishing, paused = start_node(), start_node()
    with Swarm([paused.port], KEPT, CLIENTS) as stricken, Swarm([paused.port], LIVE, CLIENTS) as others:
        eventually(lambda: stricken.subscribed == others.subscribed == CLIENTS, within=20)
        with Backend(publishing, (KEPT,), RATE) as backend:
            eventually(lambda: all(stricken.received_messages), within=10)
            os.kill(paused.pid, signal.SIGSTOP)
            redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
            gevent.sleep(2)
            os.kill(paused.pid, signal.SIGCONT)
            eventually(lambda: len(stricken.closes) == CLIENTS, within=10, what="they are told")
            eventually(lambda: stricken.subscribed == CLIENTS, within=10, what="they are back")
        assert set(stricken.closes) == {'3000 {"reason": "insufficient state", "reconnect": true}'}
        assert [member.incomplete for member in stricken.members] == [1] * CLIENTS
        assert others.closes == []
        eventually(lambda: all(backend.accepted[KEPT][-1] in got for got in stricken.received_messages), within=10)
        verdict = judge_all(backend.accepted[KEPT], stricken.received_messages)
        assert (verdict.doubled, verdict.reordered) == (0, 0)


def test_suspended_node_keeps_its_clients(start_node: StartNode) -> None:
    """These are clients that have answered a ping, and clients that have sent `connect`, during the suspension."""
    node = start_node(ping_interval=3, stale_connection_close_delay=2)
    with Swarm([node.port], LIVE, CLIENTS) as swarm, ExitStack() as newcomers:
        eventually(lambda: swarm.subscribed == CLIENTS, within=10)
        for _ in range(3):
            sockets = [newcomers.enter_context(WebSocketClient.connect(node.host, node.port)) for _ in range(CLIENTS)]
            gevent.sleep(0.7)
            pausing = gevent.spawn(pause, node.pid, 4)
            gevent.sleep(0.1)
            for socket in sockets:
                socket.send_json({"uid": "1", "method": "connect", "params": connect_params("42")})
            pausing.get()
            assert ["body" in socket.recv_json() for socket in sockets] == [True] * CLIENTS
        assert swarm.closes == []


def test_resumed_node_has_its_registry_and_presence_immediately(start_node: StartNode) -> None:
    options = {"presence": True, "presence_expire_interval": 3, "presence_ping_interval": 2}
    nodes = [start_node(**options) for _ in range(2)]
    with Swarm([nodes[1].port], LIVE, CLIENTS) as swarm:
        eventually(lambda: swarm.subscribed == CLIENTS, within=10)
        api = APIClient(nodes[1].host, nodes[1].port)
        eventually(lambda: len(api.call("stats")["body"]["data"]["nodes"]) == 2, within=5)
        pause(nodes[1].pid, 5)
        assert len(api.call("stats")["body"]["data"]["nodes"]) == 2
        eventually(lambda: len(api.call("presence", channel=LIVE)["body"]["data"]) == CLIENTS, within=1)


def test_suspended_workers_lose_no_messages(start_server: StartNode, redis: RedisServer) -> None:
    publishing = start_server(**OPTIONS, **redis.options)
    server = start_server(**OPTIONS, **redis.options, workers=2)
    eventually(lambda: server.log.count(" ready") == 2, within=15)
    with Swarm([server.port], LIVE, CLIENTS) as live, Swarm([server.port], KEPT, CLIENTS) as kept:
        eventually(lambda: live.subscribed == kept.subscribed == CLIENTS, within=20)
        with Backend(publishing, (LIVE, KEPT), RATE) as backend:
            for worker in psutil.Process(server.pid).children():
                pause(worker.pid, 5)
            gevent.sleep(0.5)
            backend.stop()
        eventually(lambda: has_all(backend, (LIVE, live), (KEPT, kept)), within=20)
        for channel, swarm in ((LIVE, live), (KEPT, kept)):
            assert judge_all(backend.accepted[channel], swarm.received_messages) == Verdict()
            assert swarm.closes == []


@pytest.mark.parametrize("duration", PAUSES)
def test_suspended_redis_loses_no_accepted_messages(start_node: StartNode, redis: RedisServer, duration: float) -> None:
    options = {"redis_connect_timeout": 0.5, "redis_read_timeout": 1, "redis_write_timeout": 1}
    nodes = [start_node(**options) for _ in range(2)]
    with Swarm([nodes[1].port], KEPT, CLIENTS) as swarm:
        eventually(lambda: swarm.subscribed == CLIENTS, within=20)
        with Backend(nodes[0], (KEPT,), RATE) as backend:
            gevent.sleep(0.5)
            pause(redis.process.pid, duration)
            known = backend.count
            eventually(lambda: backend.accepted[KEPT][-1] >= known, within=10, what="it publishes again")
            gevent.sleep(0.5)
            backend.stop()
        eventually(lambda: has_all(backend, (KEPT, swarm)), within=20)
        assert judge_all(backend.accepted[KEPT], swarm.received_messages) == Verdict()
        assert swarm.closes == []


def test_suspended_sentinel_has_no_effect_while_another_runs(
    start_server: StartNode, redis: RedisServer, tmp_path: Path
) -> None:
    """This holds even if the nodes must look up the master in the meantime."""
    sentinels = [Sentinel(tmp_path, {"main": redis}) for _ in range(2)]
    try:
        times = {"redis_connect_timeout": 0.5, "redis_read_timeout": 2, "redis_write_timeout": 1}
        addresses = ",".join(sentinel.address for sentinel in sentinels)
        where = {"engine": "redis", "redis_master_name": "main", "redis_sentinels": addresses}
        nodes = [start_server(**OPTIONS, **where, **times) for _ in range(2)]
        with Swarm([nodes[1].port], KEPT, CLIENTS) as swarm:
            eventually(lambda: swarm.subscribed == CLIENTS, within=20)
            with Backend(nodes[0], (KEPT,), RATE) as backend:
                pausing = gevent.spawn(pause, sentinels[0].process.pid, 5)
                gevent.sleep(1)
                for kind in ("normal", "pubsub"):
                    redis.ask("CLIENT", "KILL", "TYPE", kind)
                pausing.get()
                known = backend.count
                eventually(lambda: backend.accepted[KEPT][-1] >= known, within=10, what="it publishes again")
                backend.stop()
            eventually(lambda: has_all(backend, (KEPT, swarm)), within=20)
            assert judge_all(backend.accepted[KEPT], swarm.received_messages) == Verdict()
            assert swarm.closes == []
    finally:
        stop(sentinels)
