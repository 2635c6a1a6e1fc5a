"""The servers to measure: one running server, two running servers, or two servers that are started for each round."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from benchmarks.arguments import DEFAULT_URL
from benchmarks.command_server import ServerCommand, running_command
from benchmarks.comparison import MeasuredServer
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.local_server import running_server
from benchmarks.mode import Mode
from benchmarks.processes import Processes
from benchmarks.protocols import PROTOCOLS
from benchmarks.redis_process import RedisProcess, running_redis
from benchmarks.report import Result
from benchmarks.target import Target

THIS = "this"
"""What tables and errors call the first server."""


def running_target(arguments: argparse.Namespace) -> Target:
    """Return the server at --url. Raises BenchmarkError, also if its processes do not exist."""
    processes = Processes(arguments.pid) if arguments.pid else None
    protocol = PROTOCOLS[arguments.protocol]
    return Target.of(arguments.url or DEFAULT_URL, arguments.secret, processes, protocol, arguments.api_key or "")


def against_servers(arguments: argparse.Namespace, mode: Mode, load: Load) -> tuple[MeasuredServer, MeasuredServer]:
    """Return the servers at --url and --against, both running. Raises BenchmarkError."""
    first, second = running_target(arguments), _against_target(arguments)
    return (
        _measured_server(THIS, lambda: nullcontext(first), mode, load),
        _measured_server("against", lambda: nullcontext(second), mode, load),
    )


def beside_servers(arguments: argparse.Namespace, mode: Mode, load: Load) -> tuple[MeasuredServer, MeasuredServer]:
    """Return a server of this repository and one that the command --beside starts, both new for each measurement."""
    protocol = PROTOCOLS[arguments.protocol]
    command = ServerCommand.parse(arguments.beside, arguments.secret, protocol, arguments.api_key or "")
    nodes = arguments.nodes or 1

    @contextmanager
    def start_this() -> Iterator[Target]:
        with (
            _redis_for(command) as redis,
            running_server(protocol, redis, nodes, **(arguments.options or {})) as target,
        ):
            yield target

    @contextmanager
    def start_command() -> Iterator[Target]:
        with _redis_for(command) as redis, running_command(command, redis, nodes) as target:
            yield target

    name = Path(command.arguments[0]).name
    return _measured_server(THIS, start_this, mode, load), _measured_server(name, start_command, mode, load)


def _against_target(arguments: argparse.Namespace) -> Target:
    """Return the second server; values without arguments for it are those of the first server."""
    processes = Processes(arguments.against_pid) if arguments.against_pid else None
    protocol = PROTOCOLS[arguments.against_protocol or arguments.protocol]
    secret = arguments.secret if arguments.against_secret is None else arguments.against_secret
    api_key = arguments.api_key if arguments.against_api_key is None else arguments.against_api_key
    return Target.of(arguments.against, secret, processes, protocol, api_key or "")


def _redis_for(command: ServerCommand) -> AbstractContextManager[RedisProcess | None]:
    return running_redis() if command.wants_redis else nullcontext()


def _measured_server(
    name: str, start: Callable[[], AbstractContextManager[Target]], mode: Mode, load: Load
) -> MeasuredServer:
    def measure() -> Result:
        with start() as target:
            try:
                return mode.run(target, load)
            except BenchmarkError as error:
                raise BenchmarkError(f"measuring {name} failed: {error}") from None

    return MeasuredServer(name, measure)
