"""Every mode, run as a command against a real server with small numbers. The measured speed is not checked."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.modes import MODES
from benchmarks.processes import process_tree
from tests.parts import program
from tests.servers import Server, running
from tests.waiting import eventually, seconds

ROOT = Path(__file__).parents[2]

SMALL: dict[str, tuple[str, ...]] = {
    "fanout": ("-n", "40", "--channels", "4", "--seconds", "0.3"),
    "paced": ("-n", "40", "--seconds", "0.3", "--rate", "30"),
    "api": ("--batch", "5", "--seconds", "0.3"),
    "connect": (
        "-n",
        "40",
    ),
    "idle": ("-n", "40", "--settle", "0.1"),
    "small-channels": ("-n", "40", "--channels", "10", "--seconds", "0.3"),
    "many-channels": ("-n", "40", "--channels", "20", "--seconds", "0.3"),
    "api-batch": ("--seconds", "0.3"),
    "pings": ("-n", "20", "--seconds", "1.2"),
    "churn": ("-n", "20", "--cycles", "2"),
    "polls": ("-n", "40", "--seconds", "0.5"),
    "streams": ("-n", "40", "--seconds", "0.5", "--settle", "0.1"),
}
MEASURED = {
    "fanout": ("published", "delivered", "server CPU per delivery", "latency p50", "server memory"),
    "paced": ("published", "delivered", "server CPU per delivery", "latency p99", "server memory"),
    "api": ("requests", "commands", "server CPU per command"),
    "connect": ("connected and subscribed", "server CPU per client", "time p50"),
    "idle": ("memory of a connection", "server memory"),
    "small-channels": ("published", "delivered", "server CPU per delivery", "latency p99"),
    "many-channels": ("published", "delivered", "server CPU per delivery", "latency p99"),
    "api-batch": ("requests", "commands", "server CPU per command"),
    "pings": ("pings ", "server CPU per ping"),
    "churn": ("clients came and went", "node_num_clients, after", "open files, after", "server memory, after"),
    "polls": ("published", "delivered", "latency p99", "memory of a session", "server memory"),
    "streams": ("published", "delivered", "latency p99", "body of a delivery", "memory of an idle stream"),
}


KEYS = {"token_hmac_secret_key": "a key of tokens that is long enough", "api_key": "key"}


def bench(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark command against the server."""
    secret = KEYS["token_hmac_secret_key"] if "--protocol" in arguments else server.secret
    return run(*arguments, "--url", server.url, "--secret", secret)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these arguments alone."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds(40),
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"ping_interval": 1}, tmp_path_factory.mktemp("server")) as server:
        yield server


def test_every_mode_has_a_test() -> None:
    assert SMALL.keys() == MEASURED.keys() == MODES.keys()


@pytest.mark.parametrize("mode", [name for name, mode in MODES.items() if not mode.is_for_v2])
def test_mode_reports_its_figures(mode: str, server: Server) -> None:
    done = bench(server, mode, *SMALL[mode], "--pid", str(server.pid))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("the limit of open files allows")
    assert f"\n{mode}: " in done.stdout
    for name in (*MEASURED[mode], "server CPU ", "load generator CPU", "CPU of all others"):
        assert any(line.startswith(f"  {name}") for line in lines), name


@pytest.fixture(scope="module")
def server_v2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = {"allow_subscribe_for_client": True, "stream_compression": True, "ping_interval": 1, **KEYS}
    with running(options, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.mark.parametrize(
    ("protocol", "mode"),
    [
        (protocol, name)
        for protocol in ("v2", "v2-protobuf")
        for name, mode in MODES.items()
        if not mode.is_for_v1 and (protocol == "v2" or not mode.is_for_v2)
    ],
)
def test_a_mode_measures_protocol_v2(server_v2: Server, protocol: str, mode: str) -> None:
    key = ("--protocol", protocol, "--api-key", KEYS["api_key"])
    done = bench(server_v2, mode, *SMALL[mode], *key, "--pid", str(server_v2.pid))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for name in MEASURED[mode]:
        assert any(line.startswith(f"  {name}") for line in done.stdout.splitlines()), name


def test_streams_can_be_compressed(server_v2: Server) -> None:
    key = ("--protocol", "v2", "--api-key", KEYS["api_key"])
    done = bench(server_v2, "streams", *SMALL["streams"], *key, "--compress", "--size", "1000")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "compressed" in done.stdout


@pytest.mark.parametrize("protocol", ["v2", "v2-protobuf"])
def test_every_message_of_protocol_v2_can_be_checked(server_v2: Server, protocol: str) -> None:
    key = ("--protocol", protocol, "--api-key", KEYS["api_key"])
    done = bench(server_v2, "fanout", *SMALL["fanout"], *key, "--check", "--batch", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all messages were checked on 40 connections\n" in done.stdout


@pytest.mark.parametrize("mode", ["fanout", "paced"])
def test_every_message_can_be_checked(mode: str, server: Server) -> None:
    done = bench(server, mode, *SMALL[mode], "--check", "--batch", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all messages were checked on 40 connections\n" in done.stdout


def test_a_namespace_is_put_before_the_channels(start_server: Callable[..., Server]) -> None:
    server = start_server(namespaces=[{"name": "quiet"}])
    assert bench(server, "fanout", *SMALL["fanout"], "--namespace", "quiet:").returncode == 0
    done = bench(server, "fanout", *SMALL["fanout"], "--namespace", "unknown:")
    assert done.returncode == 1
    assert "the reply to subscribe was the error namespace not found; check --namespace" in done.stderr
    done = bench(server, "polls", *SMALL["polls"], "--namespace", "unknown:")
    assert "the reply to subscribe was the error namespace not found; check --namespace" in done.stderr


@pytest.mark.parametrize(("protocol", "mode"), [("v2", "connect"), ("v2-protobuf", "connect"), ("v2", "streams")])
def test_a_missing_option_of_the_channels_is_named(
    protocol: str, mode: str, start_server: Callable[..., Server]
) -> None:
    server = start_server(**KEYS)
    done = bench(server, mode, *SMALL[mode], "--protocol", protocol, "--api-key", KEYS["api_key"])
    assert done.returncode == 1
    assert "was the error 103 permission denied; set option allow_subscribe_for_client" in done.stderr


def test_an_address_without_a_server_is_named(server: Server) -> None:
    done = run("connect", *SMALL["connect"], "--url", f"{server.url}/elsewhere", "--secret", server.secret)
    assert "' to the WebSocket handshake; check --url, with the http_prefix" in done.stderr


def test_two_running_servers_are_compared(server: Server, start_server: Callable[..., Server]) -> None:
    other = start_server(secret="another")
    pids = ("--pid", str(server.pid), "--against-pid", str(other.pid))
    against = ("--against", other.url, "--against-secret", "another", "--max-others", "1000")
    done = bench(server, "api", *SMALL["api"], *pids, *against, "--rounds", "2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.split("\n")[3].split() == ["this", "against", "ratio"]
    assert " to " in done.stdout


@pytest.fixture
def other_server(tmp_path: Path) -> str:
    """A command line that starts another server of this repository."""
    config = tmp_path / "config.json"
    history = {"name": "history", "history_size": 10, "history_lifetime": 60}
    config.write_text(json.dumps({"secret": "x", "address": "127.0.0.1", "namespaces": [history]}), encoding="utf-8")
    return f"{Path(sys.executable).with_name('gentrifugo')} {shlex.quote(f'--config={config}')} --port={{port}}"


def test_second_server_is_started_for_a_comparison(other_server: str) -> None:
    flags = ("--secret", "x", "--max-others", "1000", "--rounds", "2", "--namespace", "history:")
    done = run("api", "--seconds", "0.2", "--beside", other_server, *flags)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for name in ("commands", "server CPU per command"):
        assert re.search(rf"^  {name} .* \(.* to .*\) .* \(.* to .*\)", done.stdout, re.MULTILINE), name


def test_several_nodes_share_a_redis_server(other_server: str) -> None:
    program("redis-server")
    flags = ("--secret", "x", "--max-others", "1000", "--rounds", "1", "--nodes", "2")
    command = f"{other_server} --engine=redis --redis_port={{redis_port}}"
    done = run("connect", "-n", "10", "--beside", command, *flags)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for name in ("connected and subscribed", "server CPU per client", "Redis CPU per client"):
        assert re.search(rf"^  {name} +\d", done.stdout, re.MULTILINE), name


def listening_child(pid: int) -> int | None:
    """The process that a benchmark has started, once it listens: until then the benchmark may not know its number."""
    children = process_tree(pid)[1:]
    if children and any(one.status == "LISTEN" for one in psutil.Process(children[0]).net_connections("tcp")):
        return children[0]
    return None


def test_servers_are_stopped_when_the_benchmark_is_terminated(other_server: str) -> None:
    command = [sys.executable, "-m", "benchmarks", "api", "--seconds", "60", "--secret", "x", "--beside", other_server]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as benchmark:
        server = eventually(lambda: listening_child(benchmark.pid), within=15, what="a server listens")
        benchmark.terminate()
        assert benchmark.wait(seconds(20)) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{server}").exists()


def test_a_command_that_fails_is_reported() -> None:
    done = run("api", "--beside", "sh -c 'echo no such option; exit 3' {port}")
    assert done.returncode == 1
    assert "sh exited with status 3 before the server answered on port" in done.stderr
    assert "  no such option" in done.stderr


@pytest.mark.parametrize("mode", MODES)
def test_wrong_secret_is_reported(mode: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server.options, "secret", "wrong")
    key = ("--protocol", "v2", "--api-key", "wrong") if MODES[mode].is_for_v2 else ()
    done = bench(server, mode, *SMALL[mode], *key, "--pid", str(server.pid))
    assert done.returncode == 1
    assert "; check --secret" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_lost_messages_are_detected(start_server: Callable[..., Server]) -> None:
    server = start_server(client_queue_max_size=5000)
    done = bench(server, "fanout", *SMALL["fanout"], "--channels", "1", "--batch", "100")
    assert done.returncode == 1
    assert "messages did not arrive" in done.stdout
    assert '40 connections: 3000 {"reason": "slow"' in done.stdout
    assert "; increase option client_queue_max_size of the server" in done.stdout


def test_joins_among_the_messages_are_refused(start_server: Callable[..., Server]) -> None:
    server = start_server(join_leave=True)
    done = bench(server, "fanout", *SMALL["fanout"])
    assert done.returncode == 1
    assert "turn off option join_leave" in done.stderr
