"""The command line: `python -m benchmarks MODE ...`, for a running server, or for the comparison of two servers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from benchmarks import open_files
from benchmarks.arguments import add_servers, check_servers, positive
from benchmarks.comparison import MAX_CPU_OF_OTHERS, ROUNDS, compare, comparison_table
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.modes import MODES
from benchmarks.report import combine, table
from benchmarks.servers import against_servers, beside_servers, running_target

EPILOG = """
examples:
  python -m benchmarks fanout paced --secret secret --pid 1234
  python -m benchmarks fanout --channels 100 --batch 100 --pid 1234
  python -m benchmarks fanout --protocol v2 --secret TOKEN_HMAC_SECRET_KEY --api-key API_KEY --pid 1234

two servers in turn, both running, or both started for each round:
  python -m benchmarks api --pid 1234 --against http://127.0.0.1:9000 --against-pid 5678
  python -m benchmarks fanout api --beside "centrifugo --config=c.json --port={port}" --secret secret
  python -m benchmarks api paced --namespace history: --beside "centrifugo --config=c.json --port={port}"
  python -m benchmarks paced connect --nodes 2 \\
      --beside "centrifugo --config=c.json --port={port} --engine=redis --redis_port={redis_port}"

c.json holds the secret, a client_queue_max_size that is never reached, such as 1000000000, and for --namespace history:
a namespace of this name with history_size 10 and history_lifetime 60. The server of this repository has the same.
With --protocol v2 or v2-protobuf it holds token_hmac_secret_key, which is then the value of --secret, api_key, which is
the value of --api-key, and allow_subscribe_for_client, also in the namespace.

With GENTRIFUGO_SPEEDUPS=0 in the environment, the server of this repository does without its C module for sending.

With protocol v2, the channels of running servers must have allow_subscribe_for_client too.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the requested modes. Returns the exit status: 1 for a failure, 2 for an invalid command line."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
    return 1


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse and check the arguments, without a server. Exits with an error message for invalid ones."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    for name in _given_numbers(arguments):
        if not any(name in MODES[mode].defaults for mode in arguments.modes):
            parser.error(f"--{name} has no effect on {' and '.join(arguments.modes)}")
    check_servers(parser, arguments)
    _check_protocols(parser, arguments)
    return arguments


def _check_protocols(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    protocols = {arguments.protocol, arguments.against_protocol or arguments.protocol}
    only_v1 = [mode for mode in arguments.modes if MODES[mode].is_for_v1]
    if only_v1 and protocols != {"v1"}:
        parser.error(f"{only_v1[0]} measures protocol v1 only")
    only_v2 = [mode for mode in arguments.modes if MODES[mode].is_for_v2]
    if only_v2 and protocols != {"v2"}:
        parser.error(f"{only_v2[0]} measures protocol v2 only")
    if arguments.protocol != "v1" and not arguments.api_key:
        parser.error(f"protocol {arguments.protocol} needs --api-key, the option api_key of the server")


def _run(arguments: argparse.Namespace) -> int:
    loads = {name: _load(MODES[name], arguments) for name in arguments.modes}
    allowed = open_files.raise_limit()
    print(f"the limit of open files allows {allowed:,} connections")
    for load in loads.values():
        open_files.check(load.connections, allowed)
    run_mode = _run_mode if arguments.against is None and arguments.beside is None else _compare_mode
    results = [run_mode(arguments, MODES[name], load) for name, load in loads.items()]
    return 0 if all(results) else 1


def _run_mode(arguments: argparse.Namespace, mode: Mode, load: Load) -> bool:
    """Run a mode on a running server, and print the result. Returns whether there were no problems."""
    target = running_target(arguments)
    rounds = (arguments.rounds or 1) if mode.repeatable else 1
    result = combine([mode.run(target, load) for _ in range(rounds)])
    print("\n" + table(result), flush=True)
    return not result.problems


def _compare_mode(arguments: argparse.Namespace, mode: Mode, load: Load) -> bool:
    """Run a mode on two servers in turn, and print the comparison. Returns whether all rounds could be measured."""
    rounds = arguments.rounds or ROUNDS
    if arguments.beside is not None:
        servers = beside_servers(arguments, mode, load)
    else:
        servers = against_servers(arguments, mode, load)
        rounds = rounds if mode.repeatable else 1
    limit = MAX_CPU_OF_OTHERS if arguments.max_others is None else arguments.max_others
    comparison = compare(*servers, rounds, limit, lambda reason: print(reason, file=sys.stderr, flush=True))
    print("\n" + comparison_table(comparison), flush=True)
    return comparison.is_complete


def _load(mode: Mode, arguments: argparse.Namespace) -> Load:
    given = {name: value for name, value in _given_numbers(arguments).items() if name in mode.defaults}
    return Load(**mode.defaults).with_given(given)


def _given_numbers(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters of the load that are set on the command line."""
    return {name: value for name, value in vars(arguments).items() if name in Load.__dataclass_fields__}


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the long usage text."""

    def error(self, message: str) -> NoReturn:
        """Print one line to standard error, and exit with status 2."""
        self.exit(2, f"benchmarks: {message}; see python -m benchmarks --help\n")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, MODES))
    modes = "\n".join(f"  {name:{width}} {mode.description}" for name, mode in MODES.items())
    parser = _Parser(
        prog="python -m benchmarks",
        description=f"Measure a server that speaks a protocol of Centrifugo.\n\nmodes:\n{modes}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("modes", nargs="+", choices=MODES, metavar="MODE", help="one or more of the modes above")
    add_servers(parser)
    _add_load(parser.add_argument_group("load (each mode has its own defaults)"))
    return parser


def _add_load(group: argparse._ArgumentGroup) -> None:
    def add(name: str, *short: str, **rest: Any) -> None:
        # Only what is given becomes an attribute: the defaults are the modes'.
        group.add_argument(*short, f"--{name}", default=argparse.SUPPRESS, **rest)

    add("connections", "-n", type=positive(int), help="subscribers")
    add("channels", type=positive(int), help="number of channels that the subscribers are spread over")
    add("namespace", help="put before the name of each channel, with its boundary: 'quiet:'")
    add("publishers", type=positive(int), help="API connections that publish")
    add("rate", type=positive(float), help="messages per second of all publishers together")
    add("batch", type=positive(int), help="messages in one API request")
    add("size", type=positive(int), help="bytes of the JSON that is published")
    add("seconds", type=positive(float), help="seconds to publish")
    add("settle", type=positive(float), help="seconds before the memory of idle connections is read")
    add("cycles", type=positive(int), help="number of times that the clients of churn connect and disconnect")
    add("parallel", type=positive(int), help="connections that are being opened at a time")
    add("check", action="store_true", help="check every message of every connection; slow")
    add("compress", action="store_true", help="subscribers request compressed messages (permessage-deflate, gzip)")
