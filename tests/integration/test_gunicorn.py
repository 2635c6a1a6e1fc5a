"""The application of create_app under a real gunicorn, with GentrifugoWorker and with gevent-websocket's worker."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.net.bulk_send import describe_speedups
from tests.api_client import APIClient
from tests.conformance.player import CONVERSATIONS, SERVER_OPTIONS, Player
from tests.gunicorn_server import GENTRIFUGO_WORKER, GRACE, SETTINGS, STOCK_WORKER, Gunicorn, gunicorn, ready
from tests.protocol_client import ProtocolClient
from tests.waiting import eventually, seconds
from tests.websocket_client import Closed, HandshakeRefused, WebSocketClient

WORKERS = pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER, STOCK_WORKER], ids=["our worker", "stock worker"])


@pytest.fixture
def server(tmp_path: Path, worker: str) -> Iterator[Gunicorn]:
    options = json.loads(SERVER_OPTIONS.read_text(encoding="utf-8"))
    with gunicorn(tmp_path, worker, **options) as running:
        yield running


@pytest.fixture
def api(server: Gunicorn) -> APIClient:
    return APIClient(server.host, server.port)


@WORKERS
def test_every_conversation_has_the_same_result_under_gunicorn(server: Gunicorn) -> None:
    conversations = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(CONVERSATIONS.rglob("*.json"))]
    steps = [conversation["steps"] for conversation in conversations if "options" not in conversation]
    # Most are about channels of their own and can go on side by side; these are about all that a user has.
    about_users = [part for part in steps if any('"user"' in json.dumps(step.get("api", "")) for step in part)]
    assert len(steps) > 50
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda part: play(server, part), (part for part in steps if part not in about_users)))
    for part in about_users:
        play(server, part)


def play(server: Gunicorn, steps: list[dict[str, Any]]) -> None:
    Player(server.host, server.port).play(steps)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("gentrifugo.GentrifugoWorker", None),
        ("egg:gentrifugo", None),
        ("gentrifugo", SETTINGS),
        ("geventwebsocket", SETTINGS),
    ],
)
def test_worker_classes_are_accepted_in_every_spelling(name: str, settings: Path | None, tmp_path: Path) -> None:
    with ready(Gunicorn({}, tmp_path, name, settings=settings)) as server, ProtocolClient(server, "ann") as client:
        assert f"Using worker: {name}\n" in server.log
        client.subscribe("news")
        APIClient(server.host, server.port).publish("news", "hello")
        assert client.message() == "hello"


@WORKERS
def test_concurrent_writes_of_two_greenlets_lose_no_data(server: Gunicorn, api: APIClient) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        commands = [{"method": "publish", "params": {"channel": "news", "data": number}} for number in range(2000)]
        with ThreadPoolExecutor(2) as pool:
            publishing = pool.submit(api.post, json.dumps(commands))
            for _ in range(200):
                client.call("ping")
            assert publishing.result().status == 200
        assert [client.message() for _ in range(2000)] == list(range(2000))


@WORKERS
def test_too_large_and_unmasked_frames_are_refused(server: Gunicorn) -> None:
    with WebSocketClient.connect(server.host, server.port) as unmasked:
        unmasked.send_bytes(b"\x81\x02hi")
        assert unmasked.wait_closed().code == 1002
    with WebSocketClient.connect(server.host, server.port) as large:
        large.send_text("x" * 20_000)
        assert large.wait_closed().advice == {"reason": "limit exceeded", "reconnect": False}


@WORKERS
def test_request_without_upgrade_to_the_websocket_endpoint_is_refused(server: Gunicorn, api: APIClient) -> None:
    answer = api.request("GET", "/connection/websocket", b"", {})
    assert answer.status == 400
    assert b"WebSocket endpoint" in answer.body


@WORKERS
def test_sigterm_closes_every_client_and_stops_quickly(server: Gunicorn) -> None:
    clients = [ProtocolClient(server, f"user{number}") for number in range(20)]
    server.process.terminate()
    for client in clients:
        closed = client.wait_closed()
        assert (closed.code, closed.advice) == (3000, {"reason": "shutting down", "reconnect": True})
        client.close()
    assert server.process.wait(seconds(10)) == 0


@pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER], ids=["our worker"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_shutdown_closes_every_client_with_the_reason(server: Gunicorn, number: signal.Signals) -> None:
    clients = [ProtocolClient(server, "ann") for _ in range(3)]
    server.process.send_signal(number)
    for client in clients:
        assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
        client.close()
    assert server.process.wait(seconds(10)) == 0


SLOW_APPLICATION = """
import time
print("loading", flush=True)
time.sleep(2)
from gentrifugo import create_app
app = create_app({"secret": "secret"})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_loads_its_application_stops_without_an_error(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(SLOW_APPLICATION)
    server = Gunicorn({}, tmp_path, GENTRIFUGO_WORKER, application="slow:app")
    try:
        eventually(lambda: "loading" in server.log, within=30)
        server.process.send_signal(number)
        assert server.process.wait(seconds(GRACE + 5)) == 0
        assert "Traceback" not in server.log, server.log
        assert "SIGKILL" not in server.log, server.log
    finally:
        server.process.kill()


@pytest.mark.parametrize("worker", [STOCK_WORKER], ids=["stock worker"])
def test_connection_after_sigterm_is_refused(server: Gunicorn) -> None:
    with ProtocolClient(server, "ann") as client:
        server.process.terminate()
        client.wait_closed()  # so it has begun to stop; it accepts for a moment longer
        with pytest.raises(HandshakeRefused) as refused:
            WebSocketClient.connect(server.host, server.port)
        assert (refused.value.status, refused.value.body) == (503, b"the server is shutting down\n")


@WORKERS
def test_a_killed_worker_is_replaced(server: Gunicorn) -> None:
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        (pid,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        os.kill(int(pid), signal.SIGKILL)
        with pytest.raises((ConnectionError, Exception)):
            client.push()
    eventually(lambda: server.log.count("Booting worker") == 2, within=10, what=lambda: server.log)
    with ProtocolClient(server, "ann") as again:
        again.subscribe("news")


@WORKERS
def test_hup_starts_a_worker_with_the_new_configuration(server: Gunicorn) -> None:
    """gunicorn stops the old worker, and its clients reconnect to the new one."""
    options = json.loads(server.config_file.read_text(encoding="utf-8"))
    options["namespaces"] = [*options.get("namespaces", ()), {"name": "brandnew"}]
    with ProtocolClient(server, "ann") as client:
        assert client.call("subscribe", {"channel": "brandnew:1"})["error"] == "namespace not found"
        server.config_file.write_text(json.dumps(options), encoding="utf-8")
        server.process.send_signal(signal.SIGHUP)
        assert client.wait_closed(seconds(10)).advice == {"reason": "shutting down", "reconnect": True}
    eventually(lambda: server.log.count("Booting worker") == 2, within=10, what=lambda: server.log)
    eventually(lambda: knows_namespace(server, "brandnew:1"), within=10)


def knows_namespace(server: Gunicorn, channel: str) -> bool:
    try:
        with ProtocolClient(server, "bob") as client:
            return "error" not in client.call("subscribe", {"channel": channel})
    except (OSError, HandshakeRefused, Closed):  # the old one, which still ends
        return False


@pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER], ids=["our worker"])
def test_idle_backend_connection_does_not_delay_the_shutdown(server: Gunicorn) -> None:
    with socket.create_connection((server.host, server.port)):
        server.process.terminate()
        assert server.process.wait(seconds(5)) == 0


def test_several_workers_with_the_memory_engine_refuse_to_start(tmp_path: Path) -> None:
    server = Gunicorn({}, tmp_path, GENTRIFUGO_WORKER, workers=2)
    assert server.process.wait(seconds(20)) != 0
    assert "cannot serve with 2 workers: several workers require the Redis engine" in server.log


@WORKERS
def test_a_bad_configuration_ends_gunicorn_with_the_reason(tmp_path: Path, worker: str) -> None:
    server = Gunicorn({"history_size": "many"}, tmp_path, worker)
    assert server.process.wait(seconds(20)) != 0
    assert "history_size" in server.log


def test_our_worker_logs_each_mistake_of_an_application_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "news.py").write_text(
        "from flask import Flask\nfrom gentrifugo import Gentrifugo\napp = Flask(__name__)\n"
        'app.config.update(SECRET_KEY="key", GENTRIFUGO_PORT="abc", GENTRIFUGO_ENGIN="redis")\nGentrifugo(app)\n'
    )
    server = Gunicorn({}, tmp_path, GENTRIFUGO_WORKER, application="news:app")
    assert server.process.wait(seconds(20)) != 0
    assert '[ERROR] app.config: GENTRIFUGO_PORT: Must be an integer; the value is "abc".\n' in server.log
    assert "[WARNING] app.config: unknown option GENTRIFUGO_ENGIN; did you mean GENTRIFUGO_ENGINE?\n" in server.log
    assert "Traceback" not in server.log


def test_sigusr1_reopens_the_log(tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    with gunicorn(tmp_path, GENTRIFUGO_WORKER, log_file=str(log), log_level="debug") as server:
        log.rename(tmp_path / "own.log.1")
        server.process.send_signal(signal.SIGUSR1)
        eventually(lambda: log.exists() and "SIGUSR1: log file" in log.read_text())
        with ProtocolClient(server, "ann") as client:
            client.subscribe("news")
        eventually(lambda: "/connection/websocket" in log.read_text())


@WORKERS
def test_the_log_says_once_whether_the_c_module_is_used(server: Gunicorn, api: APIClient) -> None:
    for number in range(3):
        api.publish("news", number)
    eventually(lambda: describe_speedups() in server.log)
    assert server.log.count("C module for sending: ") == 1


def test_only_the_first_worker_warns_of_a_low_limit(tmp_path: Path) -> None:
    server = Gunicorn({}, tmp_path, GENTRIFUGO_WORKER, flags=["--worker-connections=1000"])
    try:
        server.wait_until_ready()
        (pid,) = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        os.kill(int(pid), signal.SIGTERM)
        eventually(lambda: server.log.count("Booting worker") == 2, within=10, what=lambda: server.log)
        server.wait_until_ready()
        assert server.log.count("further connections to a worker would hang") == 1
        assert server.log.count("C module for sending: ") == 1
    finally:
        server.stop()
