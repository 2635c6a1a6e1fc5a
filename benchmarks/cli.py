"""The command line: `python -m benchmarks MODE ... --url URL --secret SECRET --pid PID`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from benchmarks import open_files
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.mode import Mode
from benchmarks.modes import MODES
from benchmarks.processes import Processes
from benchmarks.protocols import PROTOCOLS
from benchmarks.report import Result, combine, table
from benchmarks.target import Target

ROUNDS = 3
"""How often each mode runs on both servers when two are compared."""

EPILOG = """
examples:
  python -m benchmarks fanout paced --secret secret --pid 1234
  python -m benchmarks fanout --channels 100 --batch 100 --pid 1234
  python -m benchmarks api --batch 100 --pid 1234 --against http://127.0.0.1:9000 --against-pid 5678
  python -m benchmarks fanout --protocol v2 --secret TOKEN_HMAC_SECRET_KEY --api-key API_KEY --pid 1234

With protocol v2, the channels must have allow_subscribe_for_client.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the exit status is 1 when something went wrong, 2 for a wrong call."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
    return 1


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments, checked as far as they can be without a server. Exits with a sentence for what is wrong."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    for name in _given(arguments):
        if not any(name in MODES[mode].defaults for mode in arguments.modes):
            parser.error(f"--{name} has no effect on {' and '.join(arguments.modes)}")
    _check_against(parser, arguments)
    _check_protocols(parser, arguments)
    return arguments


def _check_against(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    names = [name for name in vars(arguments) if name.startswith("against_") and getattr(arguments, name) is not None]
    if arguments.against is None and names:
        parser.error(f"--{names[0].replace('_', '-')} has no effect without --against")


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
    target, other = _target(arguments), _other_target(arguments)
    rounds = arguments.rounds or (1 if other is None else ROUNDS)
    is_good = True
    for name, load in loads.items():
        is_good &= _run_mode(MODES[name], load, target, other, rounds)
    return 0 if is_good else 1


def _run_mode(mode: Mode, load: Load, target: Target, other: Target | None, rounds: int) -> bool:
    """Run a mode on one server or in turn on both, and print it; whether there were no problems."""
    results: list[Result] = []
    against: list[Result] = []
    for _ in range(rounds if mode.repeatable else 1):
        results.append(mode.run(target, load))
        if other is not None:
            against.append(mode.run(other, load))
    result = combine(results)
    compared = combine(against) if against else None
    print("\n" + table(result, compared), flush=True)
    return not result.problems and (compared is None or not compared.problems)


def _load(mode: Mode, arguments: argparse.Namespace) -> Load:
    given = {name: value for name, value in _given(arguments).items() if name in mode.defaults}
    return Load(**mode.defaults).with_given(given)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The numbers of the load that the command line names."""
    return {name: value for name, value in vars(arguments).items() if name in Load.__dataclass_fields__}


def _target(arguments: argparse.Namespace) -> Target:
    processes = Processes(arguments.pid) if arguments.pid else None
    protocol = PROTOCOLS[arguments.protocol]
    return Target.of(arguments.url, arguments.secret, processes, protocol, arguments.api_key or "")


def _other_target(arguments: argparse.Namespace) -> Target | None:
    """The second server; what is not named for it is as for the first."""
    if arguments.against is None:
        return None
    processes = Processes(arguments.against_pid) if arguments.against_pid else None
    protocol = PROTOCOLS[arguments.against_protocol or arguments.protocol]
    secret = arguments.secret if arguments.against_secret is None else arguments.against_secret
    api_key = arguments.api_key if arguments.against_api_key is None else arguments.against_api_key
    return Target.of(arguments.against, secret, processes, protocol, api_key or "")


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, without the long usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"benchmarks: {message}; see python -m benchmarks --help\n")


def _parser() -> argparse.ArgumentParser:
    modes = "\n".join(f"  {name:8} {mode.about}" for name, mode in MODES.items())
    parser = _Parser(
        prog="python -m benchmarks",
        description=f"Measure a server that speaks a protocol of Centrifugo.\n\nmodes:\n{modes}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("modes", nargs="+", choices=MODES, metavar="MODE", help="one or more of the modes above")
    _add_server(parser)
    _add_load(parser.add_argument_group("load (each mode has its own defaults)"))
    return parser


def _add_server(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("server").add_argument
    add("--url", default="http://127.0.0.1:8000", help="where it listens (%(default)s)")
    add("--protocol", choices=PROTOCOLS, default="v1", help="which protocol to speak: %(choices)s (%(default)s)")
    add(
        "--secret",
        default="secret",
        help="what signs tokens and API requests; with protocol v2, what signs tokens (%(default)s)",
    )
    add("--api-key", metavar="KEY", help="the key of API requests, with protocol v2")
    add("--pid", type=_pids, help="its processes, comma-separated; without them no CPU and no memory is measured")
    add("--against", metavar="URL", help="a second server: each mode runs on both in turn, and the ratio is printed")
    add("--against-pid", type=_pids, metavar="PID", help="its processes")
    add("--against-protocol", choices=PROTOCOLS, metavar="PROTOCOL", help="its protocol, when it is another one")
    add("--against-secret", metavar="SECRET", help="its secret, when it is another one")
    add("--against-api-key", metavar="KEY", help="its key of API requests, when it is another one")
    add("--rounds", type=_positive(int), help=f"runs of each mode; medians are printed (1, with --against {ROUNDS})")


def _add_load(group: argparse._ArgumentGroup) -> None:
    def add(name: str, *short: str, **rest: Any) -> None:
        # Only what is given becomes an attribute: the defaults are the modes'.
        group.add_argument(*short, f"--{name}", default=argparse.SUPPRESS, **rest)

    add("connections", "-n", type=_positive(int), help="subscribers")
    add("channels", type=_positive(int), help="channels they are spread over")
    add("namespace", help="put before the name of each channel, with its boundary: 'quiet:'")
    add("publishers", type=_positive(int), help="API connections that publish")
    add("rate", type=_positive(float), help="messages a second, of all publishers together")
    add("batch", type=_positive(int), help="messages in one API request")
    add("size", type=_positive(int), help="bytes of the JSON that is published")
    add("seconds", type=_positive(float), help="how long to publish")
    add("settle", type=_positive(float), help="seconds before the memory of idle connections is read")
    add("cycles", type=_positive(int), help="how often the clients of churn come and go")
    add("parallel", type=_positive(int), help="connections that are being opened at a time")
    add("check", action="store_true", help="look at every message of every connection; slow")
    add("compress", action="store_true", help="subscribers ask for compressed messages (permessage-deflate, gzip)")


def _positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
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
