"""Compares a Flask site with Gentrifugo and one with Flask-SocketIO: `python -m benchmarks.compare_flask_socketio`.

Both publish by a function call in a view, to subscribers of one channel over WebSockets; one process each, gevent.
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import open_files
from benchmarks.command_server import PORT, ServerCommand, running_command
from benchmarks.comparison import MAX_CPU_OF_OTHERS, ROUNDS, Comparison, MeasuredServer, compare, comparison_table
from benchmarks.connection import Connection
from benchmarks.errors import BenchmarkError
from benchmarks.event_loop import EventLoop
from benchmarks.frames import TEXT, Frame
from benchmarks.processes import KIBIBYTE
from benchmarks.receivers import CountingReceiver, Deliveries
from benchmarks.report import Figure, Result
from benchmarks.socketio_connection import SocketIOConnection
from benchmarks.span import Span
from benchmarks.started_process import stop_on_sigterm
from benchmarks.subscribers import SubscriberFactory, Subscribers
from benchmarks.target import Target

SITES = Path(__file__).parent / "sites"
STALL_TIMEOUT = 10.0
"""Seconds without a delivery after which what is missing counts as lost."""
MAX_CONNECTING = 50
SETTLE_SECONDS = 1.0
"""Seconds after which memory and CPU of the connecting are past."""
CHANNEL = "news"


class FrameSizeDetector(CountingReceiver):
    """Sets the size of a frame for all receivers, from the first message."""

    def receive(self, data: memoryview) -> Sequence[Frame]:
        """Process received bytes, and store the size of the first message."""
        frames = self._frames.feed(bytes(data))
        messages = [frame for frame in frames if frame.opcode == TEXT]
        if messages:
            self._deliveries.frame_size = messages[0].size
        self.messages += len(messages)
        self._deliveries.count += len(messages)
        return [frame for frame in frames if frame.opcode != TEXT]


class SiteBenchmark:
    """A benchmark of one site and its subscribers."""

    def __init__(self, target: Target, connect: SubscriberFactory, size: int) -> None:
        self._target = target
        self._size = size
        self._loop = EventLoop()
        self._deliveries = Deliveries()
        self._subscribers = Subscribers(self._loop, target, [CHANNEL], size, self._receiver, connect)

    def run(self, title: str, count: int, rate: float) -> Result:
        """Connect, let the site publish `count` messages as fast as possible, and then some at `rate` per second."""
        processes = self._target.processes
        assert processes is not None
        try:
            before = processes.memory()
            self._subscribers.connect_all(MAX_CONNECTING)
            self._loop.run_for(SETTLE_SECONDS)
            memory = (processes.memory() - before) / self._size / KIBIBYTE
            self._publish(1, 0)  # from it the size of the frames is learnt
            saturated = self._publish(count, 0)
            paced = self._publish(int(rate * 5), rate)
        finally:
            self._subscribers.drop_all()
            self._loop.close()
        delivered = saturated.deliveries / saturated.span.seconds
        return Result(
            title,
            [
                Figure("memory of a connection", memory, "KiB"),
                Figure("delivered, as fast as it goes", delivered, "messages/s"),
                *saturated.span.cost("delivery, as fast as it goes", saturated.deliveries),
                *paced.span.cost(f"delivery, {rate:g} messages a second", paced.deliveries),
                *paced.span.loads(),
            ],
            [f"{lost} messages did not arrive" for lost in (saturated.lost + paced.lost,) if lost],
        )

    def _receiver(self, number: int) -> CountingReceiver:
        return CountingReceiver(self._deliveries) if number else FrameSizeDetector(self._deliveries)

    def _publish(self, count: int, rate: float) -> Published:
        deliveries = self._deliveries
        start, expected = deliveries.count, count * self._size
        span = Span(self._target)
        with _asking(self._target, f"/publish?count={count}&rate={rate}"):
            before = -1
            while before < deliveries.count < start + expected:
                before = deliveries.count
                self._loop.run_until(lambda: deliveries.count >= start + expected, STALL_TIMEOUT)
        span.end()
        return Published(span, deliveries.count - start, expected)


class Published:
    """The result of publishing some messages."""

    def __init__(self, span: Span, deliveries: int, expected: int) -> None:
        self.span = span
        self.deliveries = deliveries
        self.lost = expected - deliveries


@contextmanager
def _asking(target: Target, path: str) -> Iterator[None]:
    """Start a request without waiting for its response."""
    with socket.create_connection(target.address) as asked:
        asked.sendall(f"GET {path} HTTP/1.1\r\nHost: {target.host}\r\nConnection: close\r\n\r\n".encode())
        yield


def main() -> int:
    """Measure both sites in turn, and print both results. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_flask_socketio", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000, help="subscribers (default: %(default)s)")
    parser.add_argument(
        "--count", type=int, default=200, help="messages published as fast as possible (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=15, help="messages per second after that (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count (default: %(default)s)")
    parser.add_argument(
        "--max-others",
        type=float,
        default=MAX_CPU_OF_OTHERS,
        metavar="PERCENT",
        help="discard a round in which other processes used more of a core (default: %(default)g)",
    )
    arguments = parser.parse_args()
    try:
        open_files.check(arguments.connections, open_files.raise_limit())
        comparison = _compare(arguments)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    print(comparison_table(comparison))
    return 0 if comparison.is_complete else 1


def _compare(arguments: argparse.Namespace) -> Comparison:
    programs = Path(sys.executable).parent
    gentrifugo = (str(programs / "gentrifugo"), "--app=gentrifugo_site:app", "--address=127.0.0.1", f"--port={PORT}")
    return compare(
        MeasuredServer("Gentrifugo", _measurement(arguments, gentrifugo, ExtensionConnection)),
        MeasuredServer(
            "Flask-SocketIO",
            _measurement(arguments, (sys.executable, "flask_socketio_site.py", PORT), SocketIOConnection),
        ),
        arguments.rounds,
        arguments.max_others,
        lambda reason: print(reason, file=sys.stderr, flush=True),
    )


def _measurement(
    arguments: argparse.Namespace, command: tuple[str, ...], connect: SubscriberFactory
) -> Callable[[], Result]:
    """Return a function that starts a site and measures it once."""
    title = f"{arguments.connections:,} subscribers: this server beside Flask-SocketIO"

    def measure() -> Result:
        with running_command(ServerCommand(command, "secret", directory=SITES)) as target:
            return SiteBenchmark(target, connect, arguments.connections).run(title, arguments.count, arguments.rate)

    return measure


class ExtensionConnection(Connection):
    """A client of the extension, which is mounted below a path."""

    def _path(self) -> str:
        return f"/realtime{self._target.websocket_path}"


if __name__ == "__main__":
    stop_on_sigterm()
    sys.exit(main())
