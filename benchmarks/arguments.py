"""The arguments about the measured servers, and checks that they can be combined."""

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
    """Add the arguments about the measured servers."""
    add = parser.add_argument_group("server").add_argument
    add("--url", help=f"URL of the server, or comma-separated URLs of its nodes ({DEFAULT_URL})")
    add("--protocol", choices=PROTOCOLS, default="v1", help="protocol of the clients: %(choices)s (%(default)s)")
    add(
        "--secret",
        default="secret",
        help="key that signs tokens and API requests; with protocol v2, only tokens (%(default)s)",
    )
    add("--api-key", metavar="KEY", help="API key for requests, with protocol v2")
    add(
        "--pid",
        type=_pids,
        help="process IDs of the server, comma-separated; without --pid no CPU and memory is measured",
    )
    _add_comparison(parser)


def _add_comparison(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("comparison of two servers, in turn").add_argument
    add("--against", metavar="URL", help="URL of the second server, if both are running")
    add("--against-pid", type=_pids, metavar="PID", help="process IDs of the second server")
    add(
        "--against-protocol",
        choices=PROTOCOLS,
        metavar="PROTOCOL",
        help="protocol of the second server, if it is another one",
    )
    add("--against-secret", metavar="SECRET", help="secret of the second server, if it is another one")
    add("--against-api-key", metavar="KEY", help="API key of the second server, if it is another one")
    add(
        "--beside",
        metavar="COMMAND",
        help="compare with a second server, and start both servers for each round; COMMAND starts the second one, with "
        f"{PORT} for its port and {REDIS_PORT} for the port of a Redis server, which both servers use then; --secret "
        "and --api-key are those of the second server",
    )
    add("--nodes", type=positive(int), help="number of nodes of each started server (1)")
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
        help="discard and repeat a round of a comparison in which other processes used more of a core "
        f"({MAX_CPU_OF_OTHERS:g})",
    )


def check_servers(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Exit with an error message if arguments about servers cannot be combined."""
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
        parser.error(f"--nodes: several nodes require Redis, so the command must contain {REDIS_PORT}")


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a function that parses a number greater than 0, for the parameter `type` of argparse."""

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
        raise argparse.ArgumentTypeError(f"{text!r} is not a comma-separated list of process IDs")
    return [int(part) for part in parts]


def _options(path: str) -> dict[str, Any]:
    try:
        options = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"cannot read options from {path!r}: {error}") from None
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(f"{path!r} does not contain a JSON object")
    return options
