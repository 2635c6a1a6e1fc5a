"""`python -m benchmarks.page` measures the server of this repository and writes docs/benchmarks.md and its plots."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import machine, open_files
from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.plots import check_matplotlib, draw_all
from benchmarks.report import Result, number_text
from benchmarks.started_process import stop_on_sigterm
from benchmarks.suite import NODES, ROUNDS, SUBSCRIBER_COUNTS, WRITE_DELAY_LOAD, RedisResults, Scale, Suite, run_suite

DOCS = Path(__file__).parent.parent / "docs"
TRIAL = Scale(time=0.1, size=0.05, rounds=1)
LATENCIES = ("latency p50", "latency p90", "latency p99", "latency max")

OPENING = f"""\
# Benchmarks

Written by `make bench`, which measures the server of this repository on the machine it runs on: run it on yours.
Server and load generator share the machine and talk over the loopback interface. Where a section says nothing else, the
server is one process with the memory engine. What is published is {Load.size} bytes of JSON. Figures are medians of
{ROUNDS} runs, except for memory.
"""

FANOUT = """\
## Fan-out, saturated

Backends publish in batches, as fast as the server accepts them.

![Deliveries a second by number of subscribers](benchmarks/deliveries.svg)
"""

PACED = """\
## Fan-out, paced

One channel, 50 messages a second. Latency is from publish to receive.

![Latency by number of subscribers](benchmarks/latency.svg)
"""

WRITE_DELAY = f"""\
## Latency against throughput: `client_write_delay`

Under load the server rests between two rounds of writing, so that messages for the same client gather and leave in one
system call. The option `client_write_delay` is the longest rest, for when the process is busy or each client gets
hundreds of messages a second. Otherwise, and for channels of few subscribers, it rests for a quarter of it at most, and
only if messages gather meanwhile. A message that comes alone is written at once. Here
{WRITE_DELAY_LOAD["connections"]} subscribers of one channel get {WRITE_DELAY_LOAD["rate"]:g} messages a second.

![CPU of a delivery and latency by client_write_delay](benchmarks/write_delay.svg)
"""

SMALL_CHANNELS = """\
## Many small channels

Four backends publish messages one by one, as fast as the server accepts them, into all channels in turn.
"""

SENDING = """\
## The C module for sending

The same server with and without its optional C module, which the environment variable `GENTRIFUGO_SPEEDUPS=0` switches
off, measured in turn. There are 1000 subscribers.
"""

API = """\
## The HTTP API

Publish commands over keep-alive connections, no subscribers.
"""

HISTORY = """\
## Channels with a history

The same server, and channels that keep their last 10 messages beside channels that keep none, measured in turn.
"""

REDIS = f"""\
## {NODES} nodes with Redis

{NODES} processes with the Redis engine on one machine. Subscribers and backends are spread over both. The CPU of the
server is that of all nodes together. [Sizing](sizing.md#several-processes) says how this grows with more.
"""

CLIENTS = """\
## Clients

A client connects with a token and subscribes to one channel.
"""

PROTOCOLS = """\
## The protocols

1000 subscribers of one channel, who use protocol v1, or protocol v2 in JSON or in Protobuf. Backends
use the HTTP API that belongs to it. Each protocol was measured with a server of its own.
"""

READING = """\
## How to read this

- **One process uses one core.** Where the server's CPU is near 100 %, the server is at its limit; where the load
  generator's is, the generator may be the limit, and the server could do more.
- **Deliveries, not messages.** One message to 1000 subscribers is 1000 deliveries. What a delivery costs is mostly the
  system call that writes to the subscriber's socket, so messages that leave together are cheap.
- **Saturated and paced answer different questions.** Saturated, messages wait in queues because backends publish
  without pause: that tells how much the server can do, and its latency says only how long the queues are. Paced, the
  server has time: that tells how long a message takes, and what it costs when little can be written together.
- **Latency** is from just before the request to publish is sent until the subscriber has read the message, by one
  clock. It contains the time that the load generator takes to read what the other subscribers got.
- **Compare ratios, from one sitting.** Another processor or another kernel changes all figures, and so does other work
  on the machine, which every run shows as the CPU of all others. Work of other virtual machines on the same host
  changes them too, from one minute to the next: where two sections have the same load, their figures differ by up to a
  half. So compare figures of one section, which were measured in turn. To compare two servers, or two versions of this
  one, start both and let the modes run on both in turn:

      python -m benchmarks fanout paced api --url http://127.0.0.1:8000 --pid 1234 \\
          --against http://127.0.0.1:9000 --against-pid 5678

  or let both be started for each round, here for Centrifugo v1. The table has medians, the range of the rounds, and
  ratios. A round while which other processes were busy is discarded and repeated:

      python -m benchmarks fanout paced api --secret secret \\
          --beside "centrifugo --config=config.json --port={port}"

`python -m benchmarks --help` lists the modes and every number that can be changed. Any server that speaks a protocol of
Centrifugo can be measured; `--protocol` says which. Every run makes sure that each subscriber got as many messages as
were published; on a sample of the connections, or with `--check` on all of them, also that each message is the right
one, and that none is missing, doubled or out of order.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks and write the page; returns the exit status."""
    arguments = _arguments(argv)
    start = time.monotonic()
    try:
        check_matplotlib()
        allowed = open_files.raise_limit()
        print(f"the limit of open files allows {allowed:,} connections\n")
        open_files.check(max(SUBSCRIBER_COUNTS), allowed)
        suite = run_suite(TRIAL if arguments.trial else Scale())
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("benchmarks: interrupted, nothing was written", file=sys.stderr)
        return 1
    write(suite, arguments.directory)
    print(
        f"wrote {arguments.directory / 'benchmarks.md'} and the pictures in {arguments.directory / 'benchmarks'} "
        f"after {time.monotonic() - start:.0f} s"
    )
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DOCS, help="where to write (default: %(default)s)")
    parser.add_argument("--trial", action="store_true", help="measure little, to try whether everything works")
    return parser.parse_args(argv)


def write(suite: Suite, docs: Path) -> None:
    """Write the page and its pictures into a directory."""
    pictures = docs / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    draw_all(suite, pictures)
    (docs / "benchmarks.md").write_text("\n".join(sections(suite, machine.describe())), encoding="utf-8")


def sections(suite: Suite, about_machine: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Return the parts of the page in order, each ending with a newline."""
    yield OPENING
    yield _table(["Machine", ""], about_machine)
    yield FANOUT
    yield _table(
        ["", "published /s", "delivered /s", "CPU of a delivery, µs", "server CPU", "generator CPU"],
        [*_fanout_rows(suite)],
    )
    yield PACED
    yield _table(
        ["subscribers", "delivered /s", "CPU of a delivery, µs", "p50, ms", "p90", "p99", "max"],
        [[f"{count:,}", *_values(result, *_PACED)] for count, result in suite.paced.items()],
    )
    yield SMALL_CHANNELS
    yield _table(
        ["", "published /s", "delivered /s", "CPU of a delivery, µs", "p50, ms", "p99"],
        [*_small_channel_rows(suite)],
    )
    yield WRITE_DELAY
    yield _table(
        ["`client_write_delay`, ms", "delivered /s", "CPU of a delivery, µs", "p50, ms", "p90", "p99", "max"],
        [[str(delay), *_values(result, *_PACED)] for delay, result in suite.write_delays.items()],
    )
    if suite.sending:
        yield SENDING
        yield _table(["", *(f"{name} the module" for name in suite.sending)], [*_sending_rows(suite)])
    yield API
    yield _table(["", "commands /s", "CPU of a command, µs", "server CPU", "generator CPU"], [*_api_rows(suite)])
    yield HISTORY
    yield _table(["", *(f"{name} a history" for name in suite.history)], [*_history_rows(suite)])
    if suite.redis is not None:
        yield REDIS
        yield _table(["", ""], [*_redis_rows(suite.redis)])
    yield CLIENTS
    yield _table(["", ""], [*_client_rows(suite)])
    yield PROTOCOLS
    yield _table(["", *(PROTOCOL_NAMES[name] for name in suite.protocols)], [*_protocol_rows(suite)])
    yield READING


_PACED = ("delivered", "server CPU per delivery", *LATENCIES)
_LOADS = ("server CPU", "load generator CPU")
IDLE_SUBSCRIBERS = 5000
DEFAULT_PING_INTERVAL = 25
"""Seconds; what the row about idle subscribers is calculated for."""
SMALL_CHANNEL_NAMES = {
    "small-channels": "100 channels of 10 subscribers",
    "many-channels": "1,000 channels of 5 subscribers",
}
PROTOCOL_NAMES = {"v1": "v1", "v2": "v2, JSON", "v2-protobuf": "v2, Protobuf"}


def _fanout_rows(suite: Suite) -> Iterator[list[str]]:
    loads = [(f"{count:,} subscribers of one channel", result) for count, result in suite.fanout.items()]
    for name, result in [*loads, ("100 channels of 10 subscribers", suite.channels)]:
        yield [name, *_values(result, "published", "delivered", "server CPU per delivery"), *_percents(result)]


def _api_rows(suite: Suite) -> Iterator[list[str]]:
    for name, result in (("one command a request", suite.api), ("100 commands a request", suite.api_batches)):
        yield [name, *_values(result, "commands", "server CPU per command"), *_percents(result)]


def _client_rows(suite: Suite) -> Iterator[tuple[str, str]]:
    yield "connect and subscribe", f"{suite.connect.text('connected and subscribed')} clients/s"
    yield "CPU of a client that connects and subscribes", f"{suite.connect.text('server CPU per client')} µs"
    yield "memory of an idle subscriber", f"{suite.idle.text('memory of a connection')} KiB"
    yield "CPU of a ping and its answer", f"{suite.pings.text('server CPU per ping')} µs"
    yield (
        f"{IDLE_SUBSCRIBERS:,} idle subscribers, a ping every {DEFAULT_PING_INTERVAL} s",
        f"{_share_of_pings(suite.pings)} % of a core",
    )
    yield "left of clients that came and went", "; ".join(suite.churn.problems) or "nothing"


def _small_channel_rows(suite: Suite) -> Iterator[list[str]]:
    figures = ("published", "delivered", "server CPU per delivery", "latency p50", "latency p99")
    for mode, name in SMALL_CHANNEL_NAMES.items():
        yield [name, *_values(suite.small_channels[mode], *figures)]


def _sending_rows(suite: Suite) -> Iterator[list[str]]:
    return _comparison_rows(
        suite.sending,
        ("delivered /s, saturated", "fanout", "delivered"),
        ("CPU of a delivery, µs, saturated", "fanout", "server CPU per delivery"),
        ("CPU of a delivery, µs, 50 messages a second", "paced", "server CPU per delivery"),
        ("p50, ms, 50 messages a second", "paced", "latency p50"),
        ("p99, ms, 50 messages a second", "paced", "latency p99"),
        ("delivered /s, 100 channels of 10, saturated", "small_channels", "delivered"),
        ("p99, ms, 100 channels of 10, saturated", "small_channels", "latency p99"),
    )


def _history_rows(suite: Suite) -> Iterator[list[str]]:
    return _comparison_rows(
        suite.history,
        ("CPU of a publish command, µs, one a request", "api", "server CPU per command"),
        ("publish commands /s, one a request", "api", "commands"),
        ("CPU of a publish command, µs, 100 a request", "api_batches", "server CPU per command"),
        ("publish commands /s, 100 a request", "api_batches", "commands"),
        ("CPU of a delivery, µs, 1000 subscribers, 50 messages a second", "paced", "server CPU per delivery"),
        ("p99, ms", "paced", "latency p99"),
    )


def _redis_rows(redis: RedisResults) -> Iterator[list[str]]:
    return _comparison_rows(
        {"": redis},
        ("CPU of a delivery, µs, 1000 subscribers, 50 messages a second", "paced", "server CPU per delivery"),
        ("p50, ms", "paced", "latency p50"),
        ("p99, ms", "paced", "latency p99"),
        ("publish commands /s, one a request", "api", "commands"),
        ("CPU of a publish command, µs, one a request", "api", "server CPU per command"),
        ("CPU of Redis for it, µs", "api", "Redis CPU per command"),
        ("publish commands /s, 100 a request", "api_batches", "commands"),
        ("CPU of a publish command, µs, 100 a request", "api_batches", "server CPU per command"),
        ("CPU of Redis for it, µs", "api_batches", "Redis CPU per command"),
        ("CPU of a client that connects and subscribes, µs", "connect", "server CPU per client"),
    )


def _protocol_rows(suite: Suite) -> Iterator[list[str]]:
    return _comparison_rows(
        suite.protocols,
        ("delivered /s, saturated", "fanout", "delivered"),
        ("CPU of a delivery, µs, saturated", "fanout", "server CPU per delivery"),
        ("CPU of a delivery, µs, paced", "paced", "server CPU per delivery"),
        ("p50, ms, paced", "paced", "latency p50"),
        ("p99, ms, paced", "paced", "latency p99"),
        ("CPU of a publish command, µs, one a request", "api", "server CPU per command"),
        ("publish commands /s, 100 a request", "api_batches", "commands"),
        ("CPU of a client that connects and subscribes, µs", "connect", "server CPU per client"),
        ("memory of an idle subscriber, KiB", "idle", "memory of a connection"),
    )


def _comparison_rows(columns: Mapping[str, object], *rows: tuple[str, str, str]) -> Iterator[list[str]]:
    """Return rows of figures, each given by title, part of the results and name, with one column per result."""
    for title, part, name in rows:
        yield [title, *(getattr(results, part).text(name) for results in columns.values())]


def _share_of_pings(pings: Result) -> str:
    """Percent of a core that the pings of IDLE_SUBSCRIBERS take with the default ping interval."""
    return number_text(pings.value("server CPU per ping") * IDLE_SUBSCRIBERS / DEFAULT_PING_INTERVAL / 1e4)


def _values(result: Result, *names: str) -> list[str]:
    return [result.text(name) for name in names]


def _percents(result: Result) -> list[str]:
    return [f"{number_text(round(result.value(name)))} %" for name in _LOADS]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
