"""Every mode, run as a command against a real server with tiny numbers. How fast it was is nobody's business here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.modes import MODES
from tests.servers import Server
from tests.waiting import seconds

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
    "churn": ("-n", "20", "--cycles", "2"),
    "polls": ("-n", "40", "--seconds", "0.5"),
}
MEASURED = {
    "fanout": ("published", "delivered", "server CPU per delivery", "latency p50", "server memory"),
    "paced": ("published", "delivered", "server CPU per delivery", "latency p99", "server memory"),
    "api": ("requests", "commands", "server CPU per command"),
    "connect": ("connected and subscribed", "server CPU per client", "time p50"),
    "idle": ("memory of a connection", "server memory"),
    "churn": ("clients came and went", "node_num_clients, after", "open files, after", "server memory, after"),
    "polls": ("published", "delivered", "latency p99", "memory of a session", "server memory"),
}


def bench(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--url", server.url, "--secret", server.secret],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds(30),
    )


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


def test_every_mode_is_tried() -> None:
    assert SMALL.keys() == MEASURED.keys() == MODES.keys()


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_measures_what_it_promises(mode: str, server: Server) -> None:
    done = bench(server, mode, *SMALL[mode], "--pid", str(server.pid))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].startswith("the limit of open files allows")
    assert f"{mode}: " in done.stdout
    for name in (*MEASURED[mode], "server CPU ", "load generator CPU", "CPU of all others"):
        assert any(line.startswith(f"  {name}") for line in lines), name


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
    assert "the reply to subscribe was the error 'namespace not found'" in done.stderr


def test_two_servers_are_compared(server: Server, start_server: Callable[..., Server]) -> None:
    other = start_server(secret="another")
    pids = ("--pid", str(server.pid), "--against-pid", str(other.pid))
    done = bench(
        server, "api", *SMALL["api"], *pids, "--against", other.url, "--against-secret", "another", "--rounds", "2"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "this  against  ratio" in " ".join(done.stdout.split("\n")[3].split("   "))


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_secret_is_said_to_be_wrong(mode: str, server: Server) -> None:
    server.options["secret"] = "wrong"
    done = bench(server, mode, *SMALL[mode], "--pid", str(server.pid))
    assert done.returncode == 1
    assert "invalid token" in done.stderr or "secret" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_messages_that_were_lost_are_found_out(start_server: Callable[..., Server]) -> None:
    server = start_server(client_queue_max_size=5000)
    done = bench(server, "fanout", *SMALL["fanout"], "--channels", "1", "--batch", "100")
    assert done.returncode == 1
    assert "messages did not arrive" in done.stdout
    assert '40 connections: 3000 {"reason": "slow"' in done.stdout


def test_joins_among_the_messages_are_refused(start_server: Callable[..., Server]) -> None:
    server = start_server(join_leave=True)
    done = bench(server, "fanout", *SMALL["fanout"])
    assert done.returncode == 1
    assert "free of join and leave" in done.stderr
