"""A server that runs for the length of a benchmark."""

from __future__ import annotations

import os

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.gauges import gauges
from benchmarks.load import Load
from benchmarks.local_server import HISTORY, running_server
from benchmarks.modes import MODES
from benchmarks.protocols import PROTOCOLS
from benchmarks.redis_process import running_redis
from tests.parts import program


def test_the_server_runs_until_the_block_ends() -> None:
    with running_server(client_write_delay=0.02) as target:
        assert gauges(target)["node_num_clients"] == 0
        assert target.processes is not None
        assert target.processes.memory() > 0
    with pytest.raises(BenchmarkError, match=r"process \d+ does not exist"):
        target.processes.memory()


def test_the_server_accepts_the_keys_of_protocol_v2() -> None:
    with running_server(PROTOCOLS["v2"]) as target:
        result = MODES["connect"].run(target, Load(connections=2, parallel=2))
        assert result.value("connected and subscribed") > 0


def test_the_server_ends_when_the_benchmark_fails() -> None:
    with pytest.raises(ZeroDivisionError), running_server() as target:
        raise ZeroDivisionError
    with pytest.raises(BenchmarkError, match="Connection refused"):
        gauges(target)


def test_environment_variables_of_the_developer_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "CENTRIFUGO_PING_INTERVAL", "never")
    with running_server() as target:
        assert gauges(target)["node_num_clients"] == 0


def test_channels_of_one_namespace_keep_a_history() -> None:
    with running_server(speedups=False) as target:
        load = Load(namespace=HISTORY, connections=2, publishers=1, rate=50, seconds=0.2, check=True)
        assert MODES["paced"].run(target, load).problems == []


def test_nodes_with_redis_pass_messages_to_each_other() -> None:
    program("redis-server")
    with running_redis() as redis, running_server(redis=redis, nodes=2) as target:
        load = Load(connections=4, publishers=1, rate=50, seconds=0.3, check=True)
        assert MODES["paced"].run(target, load).problems == []


def test_server_that_does_not_start_is_reported_with_its_output() -> None:
    with pytest.raises(BenchmarkError, match="client_write_delay"), running_server(client_write_delay=-1):
        pass
