"""The arguments that say which servers are measured, and checks of arguments that only fit some of them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.command_server import PORT, REDIS_PORT, ServerCommand
from benchmarks.comparison import MAX_CPU_OF_OTHERS, ROUNDS
from benchmarks.errors import BenchmarkError
from benchmarks.protocols import PROTOCOLS

DEFAULT_URL = "http://127.0.0.1:8000"
OF_RUNNING_SERVERS = (
    *("url", "pid", "against", "against_pid", "against_protocol", "against_secret", "against_api_key"),
)
OF_STARTED_SERVERS = ("nodes", "options")
"""Names of arguments."""


def add_servers(parser: argparse.ArgumentParser) -> None:
    """Add the arguments about servers."""
    add = parser.add_argument_group("server").add_argument
    add("--url", help=f"where it listens, or several nodes of it with commas between ({DEFAULT_URL})")
    add("--protocol", choices=PROTOCOLS, default="v1", help="which protocol to speak: %(choices)s (%(default)s)")
    add(
        "--secret",
        default="secret",
        help="what signs tokens and API requests; with protocol v2, what signs tokens (%(default)s)",
    )
    add("--api-key", metavar="KEY", help="the key of API requests, with protocol v2")
    add("--pid", type=_pids, help="its processes, comma-separated; without them no CPU and no memory is measured")
    _add_comparison(parser)


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("comparison of two servers, in turn").add_argument
    add("--against", metavar="URL", help="the second server, when both are running")
    add("--against-pid", type=_pids, metavar="PID", help="its processes")
    add("--against-protocol", choices=PROTOCOLS, metavar="PROTOCOL", help="its protocol, when it is another one")
    add("--against-secret", metavar="SECRET", help="its secret, when it is another one")
    add("--against-api-key", metavar="KEY", help="its key of API requests, when it is another one")
    add(
        "--beside",
        metavar="COMMAND",
        help=f"start the server of this repository and another one for each round: this command, with {PORT} for the "
        f"port, and {REDIS_PORT} for that of a Redis server, which both get then; --secret and --api-key are its own",
    )
    add("--nodes", type=positive(int), help="how many nodes each of the started servers has (1)")
    add("--options", type=_options, metavar="FILE", help="JSON with more options for the server of this repository")
    add(
        "--rounds",
        type=positive(int),
        help=f"runs of each mode; medians are printed (1, and {ROUNDS} when servers are compared)",
    )
    add(
        "--max-others",
        type=positive(float),
        metavar="PERCENT",
        help="discard and repeat a round of a comparison while which other processes used more of a core "
        f"({MAX_CPU_OF_OTHERS:g})",
    )


def check_servers(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End the program with a sentence when arguments about servers do not fit together."""
    given = [name for name, value in vars(arguments).items() if value is not None]
    for name in given:
        flag = f"--{name.replace('_', '-')}"
        if arguments.beside is not None and name in OF_RUNNING_SERVERS:
            parser.error(f"{flag} has no effect with --beside")
        if arguments.beside is None and name in OF_STARTED_SERVERS:
            parser.error(f"{flag} has no effect without --beside")
        if arguments.against is None and name.startswith("against_"):
            parser.error(f"{flag} has no effect without --against")
    if arguments.max_others is not None and not {"against", "beside"} & {*given}:
        parser.error("--max-others has no effect without --against or --beside")
    if arguments.beside is not None:
        _check_command(parser, arguments)


def _check_command(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    try:
        command = ServerCommand.parse(arguments.beside, arguments.secret)
    except BenchmarkError as error:
        parser.error(f"--beside: {error}")
    if (arguments.nodes or 1) > 1 and not command.wants_redis:
        parser.error(f"--nodes: several nodes need Redis, and the command has no {REDIS_PORT} for its port")


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that reads a number greater than 0, as a type of argparse."""

    def parse_number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
        return value

    return parse_number


def _pids(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a process id, nor several with commas between")
    return [int(part) for part in parts]


def _options(path: str) -> dict[str, Any]:
    try:
        options = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"cannot read options from {path!r}: {error}") from None
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(f"{path!r} does not contain a JSON object")
    return options
