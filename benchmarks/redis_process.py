"""Runs a Redis server during a benchmark: on the loopback interface, empty, without files."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks.errors import BenchmarkError
from benchmarks.ports import free_port
from benchmarks.processes import Processes
from benchmarks.started_process import run_program

TIMEOUT = 1.0
"""Seconds that Redis may take to answer a ping."""


class RedisProcess(NamedTuple):
    """A running Redis server: its port, and its process for measurements."""

    port: int
    processes: Processes


def redis_program() -> str | None:
    """Return the path of redis-server, or None when it is not installed."""
    return shutil.which("redis-server", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


@contextmanager
def running_redis() -> Iterator[RedisProcess]:
    """Run a Redis server on a free port. Raises BenchmarkError when Redis is not installed."""
    program = redis_program()
    if program is None:
        raise BenchmarkError("redis-server is not installed")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with run_program(command, "redis-server") as redis:
        for _ in redis.poll_until("it answered"):
            if _answers(port):
                break
        yield RedisProcess(port, Processes([redis.pid]))


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(100).startswith(b"+PONG")
    except OSError:
        return False
