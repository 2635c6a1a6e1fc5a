"""Hooks of a site in real servers: they block, fail and hang, run concurrently, and may finish at shutdown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER
from tests.integration.test_flask import PROGRAM, get, running
from tests.waiting import seconds
from tests.websocket_client import WebSocketClient

HERE = Path(__file__).parent
COMMAND = [PROGRAM, "--app=hooked_site:create_app", "--address=127.0.0.1", "--port=0", "--shutdown_timeout=2"]
TOGETHER = 500
GUNICORN = [sys.executable, "-m", "gunicorn", "--bind=127.0.0.1:0", "--no-control-socket", "--graceful-timeout=8"]
SERVERS = {
    "command": [PROGRAM, "--app=telling_site:app", "--address=127.0.0.1", "--port=0", "--shutdown_timeout=8"],
    "ours": [*GUNICORN, f"--worker-class={GENTRIFUGO_WORKER}", "telling_site:app"],
    "stock": [*GUNICORN, f"--worker-class={STOCK_WORKER}", "telling_site:app"],
}


@contextmanager
def site(log_file: Path, monkeypatch: pytest.MonkeyPatch, together: int) -> Iterator[Callable[[str], WebSocketClient]]:
    """The site; call it to open a WebSocket as a user."""
    monkeypatch.setenv("TOGETHER", str(together))
    with running(COMMAND, HERE, log_file, logs_tracebacks=True) as url, ExitStack() as clients:
        port = int(url.rpartition(":")[2])

        def opened(user: str) -> WebSocketClient:
            path = f"/realtime/connection/websocket?user={user}"
            client = WebSocketClient.connect("127.0.0.1", port, path)
            clients.callback(client.drop)
            return client

        yield opened


def send(client: WebSocketClient, method: str, **params: Any) -> None:
    client.send_json({"uid": method, "method": method, "params": params})


def reply(client: WebSocketClient) -> Any:
    return client.recv_json(seconds(20))


def test_hooks_of_five_hundred_clients_run_concurrently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site(tmp_path / "site.log", monkeypatch, TOGETHER) as connect:
        clients = [connect(str(number)) for number in range(TOGETHER)]
        for client in clients:
            send(client, "connect")
        assert not [client for client in clients if "error" in reply(client)]


def test_failing_or_hanging_hook_affects_only_its_own_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_file = tmp_path / "site.log"
    with site(log_file, monkeypatch, 1) as connect:
        ann, bob, eve = (connect(user) for user in ("ann", "bob", "eve"))
        for client in (ann, bob, eve):
            send(client, "connect")
            assert "error" not in reply(client)
        send(eve, "subscribe", channel="hangs")
        for _ in range(50):
            send(bob, "subscribe", channel="broken")
            answer = reply(bob)
            assert (answer["error"], answer["advice"]) == ("internal server error", "retry")
        for client in (ann, bob):
            send(client, "subscribe", channel="news")
            assert "error" not in reply(client)
        send(ann, "publish", channel="news", data="hello")
        assert reply(bob)["body"]["data"] == {"from": "ann", "text": "hello"}
    log = log_file.read_text()
    assert log.count("ValueError: a defect of the site") == 1  # once for all fifty
    assert "create_app.<locals>.subscribe (subscribe) failed" in log


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_each_hook_has_its_own_context_and_can_finish(tmp_path: Path, command: list[str]) -> None:
    """Here a view that publishes before the first connection starts the node."""
    log_file = tmp_path / "site.log"
    with ThreadPoolExecutor() as pool, running(command, HERE, log_file, logs_tracebacks=True) as url:
        assert get(f"{url}/publish", form={}) == (200, "published")
        port = int(url.rpartition(":")[2])
        with WebSocketClient.connect("127.0.0.1", port, "/realtime/connection/websocket?exit=1") as exits:
            send(exits, "connect")
            assert exits.wait_closed().advice == {"reason": "internal server error", "reconnect": True}
        client = WebSocketClient.connect("127.0.0.1", port, "/realtime/connection/websocket")
        send(client, "connect")
        assert "error" not in reply(client)
        for channel in ("news", "board"):
            send(client, "subscribe", channel=channel)
            assert "error" not in reply(client)
        assert told(log_file) == ["torn down board", "torn down news"]
        closed = pool.submit(client.wait_closed)
        stopped = time.monotonic()
    assert closed.result().advice == {"reason": "shutting down", "reconnect": True}
    assert time.monotonic() - stopped < seconds(7)
    assert [line for line in told(log_file) if "torn" not in line] == [
        "disconnect ann",
        "vacated board",
        "vacated news",
    ]
    assert "have not finished within" not in log_file.read_text()


def told(log_file: Path) -> list[str]:
    return sorted(line[5:] for line in log_file.read_text().splitlines() if line.startswith("TOLD "))
