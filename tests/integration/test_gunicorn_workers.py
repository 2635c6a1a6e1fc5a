"""Several gunicorn workers with the Redis engine act as one server for clients and backends."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.api_client import APIClient
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, Gunicorn, gunicorn
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.waiting import eventually, seconds

WORKERS = 3
CLIENTS = 90
MESSAGES = 200


@pytest.fixture(params=[GENTRIFUGO_WORKER, STOCK_WORKER], ids=["our worker", "stock worker"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Gunicorn]:
    with redis_server(tmp_path) as redis:
        options = {**redis.options, "node_ping_interval": 0.3, "presence": True, "redis_api": True, "api_key": "key"}
        with gunicorn(tmp_path, request.param, WORKERS, **options) as running:
            # The stock worker knows nothing of us until the first request reaches it. Each time another worker may
            # answer, so they are asked several times.
            eventually(lambda: all(len(nodes(running)) == WORKERS for _ in range(12)), within=15, what="all know all")
            yield running


def command(server: Gunicorn, method: str, **params: Any) -> Any:
    """Send a command to any worker, and return the body of the reply."""
    answer = APIClient(server.host, server.port).post(json.dumps({"method": method, "params": params}))
    (reply,) = json.loads(answer.body)
    assert reply["error"] is None, reply
    return reply["body"]


def nodes(server: Gunicorn) -> list[dict[str, Any]]:
    known = command(server, "stats")["data"]["nodes"]
    return list(known)


def test_each_node_has_its_process_in_its_name_and_in_its_log_lines(server: Gunicorn) -> None:
    children = {str(worker.pid) for worker in psutil.Process(server.process.pid).children()}
    # A node whose pings come late for a moment is missing.
    eventually(lambda: {node["name"].rpartition("_")[2] for node in nodes(server)} == children)
    marks = re.findall(r"^[-\d]+ [:\d]+\.\d{3} [A-Z]+ (?:\[(\d+)\] )?", server.log, re.MULTILINE)
    assert marks
    assert set(marks) <= children


def test_every_client_receives_every_message_once_and_in_order(server: Gunicorn) -> None:
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(lambda number: ProtocolClient(server, f"user{number}"), range(CLIENTS)))
        for client in clients:
            client.subscribe("news")
        assert len(command(server, "presence", channel="news")["data"]) == CLIENTS
        assert command(server, "channels")["data"] == ["news"]
        for number in range(MESSAGES):
            command(server, "publish", channel="news", data=number)
        for received in pool.map(lambda client: [client.message() for _ in range(MESSAGES)], clients):
            assert received == list(range(MESSAGES))
        for client in clients:
            client.close()
    eventually(lambda: command(server, "presence", channel="news")["data"] == {}, within=5)


def test_every_worker_serves_the_api_of_later_versions(server: Gunicorn) -> None:
    client = ProtocolClient(server, "ann")
    client.subscribe("news")
    api = APIClient(server.host, server.port)
    headers = {"X-API-Key": "key", "Content-Type": "application/json"}
    for number in range(12):
        body = json.dumps({"channel": "news", "data": number}).encode()
        assert api.request("POST", "/api/publish", body, headers).json() == {"result": {}}
    assert [client.message() for _ in range(12)] == list(range(12))
    info = api.request("POST", "/api/info", b"{}", headers).json()["result"]
    assert sum(node["num_clients"] for node in info["nodes"]) <= len(info["nodes"]) == WORKERS
    assert api.request("POST", "/api/publish", b"{}", {}).status == 401
    client.close()


def connected(server: Gunicorn, count: int) -> list[ProtocolClient]:
    """Clients that `close_clients` closes."""
    clients = [ProtocolClient(server, "ann") for _ in range(count)]
    _connected.extend(clients)
    return clients


_connected: list[ProtocolClient] = []


@pytest.fixture(autouse=True)
def close_clients(server: Gunicorn) -> Iterator[None]:
    """Close all clients before the server stops, because clients that do not read would delay it."""
    yield
    while _connected:
        _connected.pop().close()


def test_clients_are_spread_over_the_workers(server: Gunicorn) -> None:
    clients = connected(server, 30)
    eventually(lambda: command(server, "node")["data"]["metrics"]["node_num_clients"] < 30, within=5)
    command(server, "disconnect", user="ann")
    for client in clients:
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_a_killed_worker_disconnects_only_its_own_clients(server: Gunicorn) -> None:
    (victim, *_) = (int(pid) for pid in children(server))
    clients = connected(server, 30)
    for client in clients:
        client.subscribe("news")
    before = {node["uid"] for node in nodes(server)}
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len({node["uid"] for node in nodes(server)} - before) == 1, within=10, what="a new worker")
    command(server, "publish", channel="news", data="still here")
    survivors = sum(receives(client, "still here") for client in clients)
    assert 0 < survivors <= 30


def receives(client: ProtocolClient, data: str) -> bool:
    try:
        return bool(client.message() == data)
    except Exception:  # its worker is gone, in one of the many ways in which a connection can end
        return False


def children(server: Gunicorn) -> list[str]:
    pid = server.process.pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


def test_sigterm_closes_every_client_with_the_reason(server: Gunicorn) -> None:
    clients = connected(server, 20)
    server.process.terminate()
    for client in clients:
        assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
    assert server.process.wait(seconds(10)) == 0
