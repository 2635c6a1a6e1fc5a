"""A running server and the operating system: signals, pid file, log file, addresses in use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.api_client import APIClient
from tests.protocol_client import ProtocolClient
from tests.redis_server import free_port, redis_server
from tests.servers import STOP_LIMIT, Server
from tests.waiting import eventually, seconds
from tests.websocket_client import HandshakeRefused, WebSocketClient

StartServer = Callable[..., Server]


def reload_with(server: Server, text: str) -> None:
    """Rewrite the configuration file and send SIGHUP."""
    server.config_file.write_text(text, encoding="utf-8")
    os.kill(server.pid, signal.SIGHUP)


def channel_options(server: Server, **options: object) -> str:
    return json.dumps({**server.options, **options})


def wait_for_log(server: Server, text: str) -> None:
    eventually(lambda: text in server.log, what=lambda: f"{text!r} in the log:\n{server.log}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_shutdown_advises_clients_to_reconnect(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server(namespaces=[{"name": "talk", "join_leave": True}])
    clients = [ProtocolClient(server, user) for user in ("ann", "ben", "cid")]
    unauthenticated = WebSocketClient.connect(server.host, server.port)
    for client in clients:
        client.subscribe("news")
    os.kill(server.pid, number)
    for client in clients:
        closed = client.wait_closed()
        assert (closed.code, closed.advice) == (3000, {"reason": "shutting down", "reconnect": True})
    unauthenticated.close()
    assert server.process.wait(seconds(STOP_LIMIT)) == 0
    server.check_log()


def test_a_client_before_connect_is_closed_with_the_reason_too(start_server: StartServer) -> None:
    server = start_server()
    client = WebSocketClient.connect(server.host, server.port)
    os.kill(server.pid, signal.SIGTERM)
    assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
    client.close()
    assert server.process.wait(seconds(STOP_LIMIT)) == 0


def test_a_short_shutdown_timeout_still_lets_clients_reconnect(start_server: StartServer) -> None:
    server = start_server(shutdown_timeout=0.8)
    client = ProtocolClient(server, "ann")
    os.kill(server.pid, signal.SIGTERM)
    assert client.wait_closed().advice == {"reason": "shutting down", "reconnect": True}
    client.close()
    assert server.process.wait(seconds(STOP_LIMIT)) == 0


def test_a_client_that_does_not_answer_the_close_delays_the_stop_but_does_not_prevent_it(
    start_server: StartServer,
) -> None:
    server = start_server(shutdown_timeout=2)
    deaf = ProtocolClient(server, "ann")
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait(seconds(STOP_LIMIT)) == 0
    deaf.close()


def test_requests_are_refused_with_503_during_shutdown(start_server: StartServer) -> None:
    server = start_server(shutdown_timeout=3)
    deaf = ProtocolClient(server, "ann")  # it does not answer the close frame, so the server waits for it
    os.kill(server.pid, signal.SIGTERM)
    wait_for_log(server, "shutting down")
    answer = APIClient(server.host, server.port).post('{"method": "node"}')
    assert (answer.status, answer.body) == (503, b"the server is shutting down\n")
    with pytest.raises(HandshakeRefused) as refused:
        WebSocketClient.connect(server.host, server.port)
    assert refused.value.status == 503
    deaf.close()
    assert server.process.wait(seconds(STOP_LIMIT)) == 0


def test_an_idle_connection_of_a_backend_does_not_delay_the_stop(start_server: StartServer) -> None:
    server = start_server()
    with socket.create_connection((server.host, server.port)) as idle:
        os.kill(server.pid, signal.SIGTERM)
        assert server.process.wait(seconds(STOP_LIMIT)) == 0
        idle.settimeout(seconds(1))
        assert idle.recv(1) == b""


def test_a_second_signal_stops_the_server_immediately(start_server: StartServer) -> None:
    server = start_server(shutdown_timeout=60)
    deaf = ProtocolClient(server, "ann")
    os.kill(server.pid, signal.SIGTERM)
    wait_for_log(server, "shutting down")
    os.kill(server.pid, signal.SIGTERM)
    assert server.process.wait(seconds(5)) == 1
    deaf.close()


def test_signal_after_shutdown_has_no_effect(start_server: StartServer) -> None:
    server = start_server()
    os.kill(server.pid, signal.SIGTERM)
    wait_for_log(server, "stopped")
    while server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    assert server.process.returncode == 0


def test_a_server_without_workers_ignores_the_signal_that_replaces_workers(start_server: StartServer) -> None:
    server = start_server()
    with ProtocolClient(server, "ann") as client:
        os.kill(server.pid, signal.SIGUSR2)
        reload_with(server, channel_options(server, presence=True))
        wait_for_log(server, "configuration reloaded")
        client.subscribe("news")
    assert server.process.poll() is None
    assert "SIGUSR2" not in server.log


def test_hup_applies_channel_options(start_server: StartServer) -> None:
    server = start_server()
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        assert client.call("presence", {"channel": "news"})["error"] == "not available"
        reload_with(server, channel_options(server, presence=True))
        wait_for_log(server, "configuration reloaded")
        assert "error" not in client.call("presence", {"channel": "news"})


def test_hup_adds_and_removes_namespaces(start_server: StartServer) -> None:
    server = start_server(namespaces=[{"name": "old", "presence": True}])
    with ProtocolClient(server, "ann") as client:
        client.subscribe("old:a")
        reload_with(server, channel_options(server, namespaces=[{"name": "new"}]))
        wait_for_log(server, "configuration reloaded")
        client.subscribe("new:a")
        assert client.call("subscribe", {"channel": "old:b"})["error"] == "namespace not found"
        assert client.call("unsubscribe", {"channel": "old:a"})["error"] == "namespace not found"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "config.json"),
        ('{"secret": "secret", "history_size": "many"}', "history_size"),
        ('{"secret": "secret", "namespaces": [{"name": "x"}]}', "namespaces[0].name"),
    ],
    ids=["not JSON", "wrong type", "bad namespace"],
)
def test_hup_with_a_bad_file_keeps_the_running_options(start_server: StartServer, text: str, complaint: str) -> None:
    server = start_server(presence=True)
    reload_with(server, text)
    wait_for_log(server, "keeping the current one")
    assert complaint in server.log
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        assert "error" not in client.call("presence", {"channel": "news"})


def test_sighup_logs_options_that_need_a_restart(start_server: StartServer) -> None:
    server = start_server()
    reload_with(server, channel_options(server, http_prefix="/elsewhere"))
    wait_for_log(server, "http_prefix has changed; restart the server to apply it")


def test_pid_file_contains_the_pid_and_is_removed_at_shutdown(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "gentrifugo.pid"
    server = start_server(pid_file=str(path))
    assert path.read_text() == f"{server.pid}\n"
    server.stop()
    assert not path.exists()


def test_a_second_server_that_cannot_listen_leaves_the_pid_file_of_the_first(
    start_server: StartServer, tmp_path: Path
) -> None:
    path = tmp_path / "gentrifugo.pid"
    server = start_server(pid_file=str(path))
    with pytest.raises(AssertionError, match="Address already in use"):
        start_server(port=server.port, pid_file=str(path))
    assert path.read_text() == f"{server.pid}\n"


def test_clients_are_closed_even_if_the_engine_is_unreachable(start_server: StartServer, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        server = start_server(**redis.options, shutdown_timeout=3, namespaces=[{"name": "talk", "join_leave": True}])
        clients = [ProtocolClient(server, f"user{number}") for number in range(20)]
        for client in clients:
            client.subscribe("talk:1")
        for client in clients:
            while client.push()["body"]["data"]["client"] != clients[-1].id:
                pass  # joins
        redis.freeze()
        try:
            os.kill(server.pid, signal.SIGTERM)
            for client in clients:
                assert client.wait_closed(2).advice == {"reason": "shutting down", "reconnect": True}
            assert server.process.wait(seconds(4)) == 0
        finally:
            redis.thaw()
    server.check_log()


def test_the_log_goes_to_the_log_file(tmp_path: Path) -> None:
    path = tmp_path / "gentrifugo.log"
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"secret": "secret", "address": "127.0.0.1", "log_file": str(path)}))
    command = [sys.executable, "-m", "gentrifugo", f"--config={config}", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            eventually(lambda: path.exists() and "listening on" in path.read_text(), within=10)
        finally:
            process.terminate()
        assert process.communicate(timeout=seconds(STOP_LIMIT))[0] == b""
    assert "stopped" in path.read_text()


@pytest.mark.parametrize(("level", "shown"), [("info", True), ("error", False), ("none", False)])
def test_log_level_selects_log_messages(tmp_path: Path, level: str, shown: bool, start_server: StartServer) -> None:
    path = tmp_path / "gentrifugo.log"
    other = start_server()
    config = tmp_path / "config.json"
    options = {"secret": "secret", "address": "127.0.0.1", "port": other.port, "log_level": level}
    config.write_text(json.dumps(options | {"log_file": str(path)}))
    # The port is taken, so the server ends by itself.
    command = [sys.executable, "-m", "gentrifugo", f"--config={config}", "--insecure_api"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert ended.returncode == 1
    assert ("insecure_api" in path.read_text()) == shown
    assert ("Address already in use" in ended.stderr) == (level == "none"), "what ends it is told somewhere"


def test_an_address_in_use_is_reported_with_a_remedy(start_server: StartServer, tmp_path: Path) -> None:
    other = start_server()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"secret": "secret", "address": "127.0.0.1"}))
    command = [sys.executable, "-m", "gentrifugo", f"--config={config}", f"--port={other.port}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1, port {other.port}: Address already in use" in result.stdout
    assert "choose another with option address or port" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("option", ["log_file", "pid_file"])
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, option: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"secret": "secret", option: str(tmp_path / "missing" / "file")}))
    command = [sys.executable, "-m", "gentrifugo", f"--config={config}", "--port=0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds(20))
    assert result.returncode == 1
    assert f"{option}: cannot" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_hundreds_of_clients_are_closed_with_a_reason_before_the_server_stops(start_server: StartServer) -> None:
    server = start_server()
    clients = [WebSocketClient.connect(server.host, server.port) for _ in range(300)]
    reasons: list[object] = []

    def wait(part: list[WebSocketClient]) -> None:
        reasons.extend(client.wait_closed().advice["reason"] for client in part)

    threads = [threading.Thread(target=wait, args=(clients[start::10],)) for start in range(10)]
    for thread in threads:
        thread.start()
    os.kill(server.pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert reasons == ["shutting down"] * 300
    for client in clients:
        client.drop()
    assert server.process.wait(seconds(STOP_LIMIT)) == 0


def test_a_log_pipe_without_reader_does_not_block_the_server(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"secret": "secret", "address": "127.0.0.1", "log_level": "debug"}), encoding="utf-8")
    port = free_port()
    command = [str(Path(sys.executable).parent / "gentrifugo"), f"--config={config}", f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "listening" in line:
                    break
            api = APIClient("127.0.0.1", port)
            for number in range(1500):
                api.publish("news", number)
            read = []
            for line in process.stdout:
                read.append(line)
                if "log lines were dropped" in line:
                    break
                if len(read) % 100 == 0:
                    api.publish("news", len(read))
        finally:
            process.terminate()  # else a failure would wait for the server
        process.stdout.read()
    assert process.returncode == 0
