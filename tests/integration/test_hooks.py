"""Hooks of a site under load: they block, fail and hang, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_flask import PROGRAM, running
from tests.waiting import seconds
from tests.websocket_client import WebSocketClient

HERE = Path(__file__).parent
COMMAND = [PROGRAM, "--app=hooked_site:create_app", "--address=127.0.0.1", "--port=0", "--shutdown_timeout=2"]
TOGETHER = 500


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


def test_five_hundred_clients_are_asked_about_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with site(tmp_path / "site.log", monkeypatch, TOGETHER) as connect:
        clients = [connect(str(number)) for number in range(TOGETHER)]
        for client in clients:
            send(client, "connect")
        assert not [client for client in clients if "error" in reply(client)]


def test_a_hook_that_fails_or_hangs_costs_its_own_operation_only(
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
