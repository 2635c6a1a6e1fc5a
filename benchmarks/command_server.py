"""Runs any server with a command line during a benchmark: one process or several nodes."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.ports import free_port
from benchmarks.processes import Processes, process_tree
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol
from benchmarks.redis_process import RedisProcess
from benchmarks.started_process import START_TIMEOUT, StartedProcess, run_program, server_environment
from benchmarks.target import Target

PORT = "{port}"
REDIS_PORT = "{redis_port}"
"""Placeholders in the command line."""
RESPONSE_TIMEOUT = 1.0
"""Seconds that a server may take to answer a request once it listens, before it is asked again."""
STABLE_SECONDS = 0.5
"""Seconds without a new child process after which all workers have been started."""


@dataclass(frozen=True)
class ServerCommand:
    """A command line that starts a server, and the credentials and protocol of the server."""

    arguments: tuple[str, ...]
    secret: str
    protocol: Protocol = PROTOCOLS["v1"]
    api_key: str = ""
    directory: Path | None = None
    """Where the command runs, unless in the current directory."""

    @classmethod
    def parse(cls, text: str, secret: str, protocol: Protocol = PROTOCOLS["v1"], api_key: str = "") -> ServerCommand:
        """Split a command line like a shell. Raises BenchmarkError if it is incomplete or does not contain PORT."""
        try:
            arguments = tuple(shlex.split(text))
        except ValueError as error:
            raise BenchmarkError(f"the command {text!r} is incomplete: {error}") from None
        if PORT not in text:
            raise BenchmarkError(f"the command {text!r} must contain {PORT}, which stands for the port of the server")
        return cls(arguments, secret, protocol, api_key)

    @property
    def wants_redis(self) -> bool:
        """Whether the command line contains the placeholder for the port of a Redis server."""
        return any(REDIS_PORT in argument for argument in self.arguments)

    def with_ports(self, port: int, redis: RedisProcess | None) -> list[str]:
        """Return the arguments with the placeholders replaced by ports."""
        redis_port = str(redis.port) if redis is not None else ""
        return [argument.replace(PORT, str(port)).replace(REDIS_PORT, redis_port) for argument in self.arguments]


@contextmanager
def running_command(command: ServerCommand, redis: RedisProcess | None = None, nodes: int = 1) -> Iterator[Target]:
    """Run a command `nodes` times, each on a free port, until the `with` block ends. Raises BenchmarkError."""
    with ExitStack() as stack:
        ports, pids = [], []
        for _ in range(nodes):
            port = free_port()
            arguments = command.with_ports(port, redis)
            name = Path(arguments[0]).name
            server = stack.enter_context(run_program(arguments, name, command.directory, server_environment()))
            _wait_until_ready(server, port)
            ports.append(port)
            pids += process_tree(server.pid)
        url = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        engine = redis.processes if redis is not None else None
        yield Target.of(url, command.secret, Processes(pids), command.protocol, command.api_key, engine)


def _wait_until_ready(server: StartedProcess, port: int) -> None:
    for _ in server.poll_until(f"the server answered on port {port} of 127.0.0.1"):
        if _answers(port):
            break
    before, since, deadline = 0, time.monotonic(), time.monotonic() + START_TIMEOUT
    for _ in server.poll_until("all processes of the server were started"):
        count, now = len(process_tree(server.pid)), time.monotonic()
        if count != before:
            before, since = count, now
        if now - since >= STABLE_SECONDS or now > deadline:
            return


def _answers(port: int) -> bool:
    """Return whether a server answers HTTP requests; a port may be open before the workers behind it are ready."""
    try:
        with socket.create_connection(("127.0.0.1", port), RESPONSE_TIMEOUT) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return connection.recv(5) == b"HTTP/"
    except OSError:
        return False
