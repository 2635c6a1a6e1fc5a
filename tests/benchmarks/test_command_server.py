"""Servers that a command line starts, and errors for invalid command lines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import started_process
from benchmarks.command_server import ServerCommand, running_command
from benchmarks.errors import BenchmarkError
from benchmarks.gauges import gauges
from benchmarks.load import Load
from benchmarks.modes import MODES
from benchmarks.processes import Processes, process_tree
from benchmarks.redis_process import running_redis
from tests.parts import program

GENTRIFUGO = Path(sys.executable).with_name("gentrifugo")
SECRET = "a secret of the other server"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config file.json"
    file.write_text(json.dumps({"secret": SECRET, "address": "127.0.0.1"}), encoding="utf-8")
    return file


def command(*words: str) -> ServerCommand:
    return ServerCommand(words, SECRET)


def test_a_server_runs_until_the_block_ends(config: Path) -> None:
    with running_command(ServerCommand.parse(f"{GENTRIFUGO} '--config={config}' --port={{port}}", SECRET)) as target:
        assert gauges(target)["node_num_clients"] == 0
        assert target.processes is not None
        assert target.processes.memory() > 0
    with pytest.raises(BenchmarkError, match="Connection refused"):
        gauges(target)


def test_the_workers_of_a_server_are_measured_and_stopped_with_it(config: Path) -> None:
    program("redis-server")
    words = (str(GENTRIFUGO), f"--config={config}", "--port={port}", "--workers=2")
    with (
        running_redis() as redis,
        running_command(command(*words, "--engine=redis", "--redis_port={redis_port}"), redis) as target,
    ):
        assert MODES["connect"].run(target, Load(connections=4, parallel=4)).value("connected and subscribed") > 0
        assert isinstance(target.processes, Processes)
        assert target.engine is redis.processes
        server_pids = target.processes.pids
        assert len(server_pids) >= 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in server_pids)


def test_nodes_share_the_connections(config: Path) -> None:
    program("redis-server")
    words = (str(GENTRIFUGO), f"--config={config}", "--port={port}", "--engine=redis", "--redis_port={redis_port}")
    with running_redis() as redis, running_command(command(*words), redis, nodes=2) as target:
        assert target.node(0).address != target.node(1).address
        result = MODES["paced"].run(target, Load(connections=6, publishers=2, rate=50, seconds=0.3, check=True))
        assert result.problems == []
        assert result.value("Redis CPU per delivery") >= 0


def test_children_of_a_shell_are_stopped(config: Path) -> None:
    shell = f"{GENTRIFUGO} '--config={config}' --port={{port}}; true"
    with running_command(command("sh", "-c", shell)) as target:
        assert target.processes is not None
        assert len(target.processes.pids) == 2
    with pytest.raises(BenchmarkError, match="Connection refused"):
        gauges(target)


@pytest.mark.parametrize("text", ["centrifugo --port=8000", ""])
def test_a_command_without_a_port_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match=r"must contain \{port\}"):
        ServerCommand.parse(text, SECRET)


def test_an_incomplete_command_is_refused() -> None:
    with pytest.raises(BenchmarkError, match="is incomplete: No closing quotation"):
        ServerCommand.parse("centrifugo '--port={port}", SECRET)


def test_an_unknown_command_is_named() -> None:
    with (
        pytest.raises(BenchmarkError, match="/nowhere/centrifugo is neither an executable file"),
        running_command(command("/nowhere/centrifugo", "{port}")),
    ):
        pass


def test_a_command_that_exits_at_once_is_shown_with_its_output() -> None:
    with (
        pytest.raises(
            BenchmarkError, match=r"sh exited with status 3 before the server answered(?s:.*)  no such option"
        ),
        running_command(command("sh", "-c", "echo no such option >&2; exit 3", "{port}")),
    ):
        pass


def test_a_command_that_never_listens_is_stopped_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started_process.StartedProcess.poll_until, "__defaults__", (0.3,))
    with (
        pytest.raises(BenchmarkError, match=r"sleep: timeout after 0.3 s before the server answered on port \d+"),
        running_command(command("sleep", "987.{port}")),
    ):
        pass
    assert not any(b"sleep\x00987." in each for each in _command_lines())


def test_process_tree_contains_all_descendants() -> None:
    assert process_tree(os.getppid())[0] == os.getppid()
    assert os.getpid() in process_tree(os.getppid())


def _command_lines() -> list[bytes]:
    found = []
    for directory in Path("/proc").iterdir():
        try:
            found.append((directory / "cmdline").read_bytes())
        except OSError:
            continue
    return found
