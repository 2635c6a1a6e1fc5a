"""The benchmark runs for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.local_server import HISTORY, running_server
from benchmarks.machine import has_c_module
from benchmarks.modes import MODES
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol
from benchmarks.redis_process import redis_program, running_redis
from benchmarks.report import Result, combine, table
from benchmarks.target import Target

ROUNDS = 3
"""Runs of each kind; the page shows medians."""
SUBSCRIBER_COUNTS = (100, 1000, 5000)
"""Subscribers of one channel, saturated."""
PACED_SUBSCRIBER_COUNTS = (100, 500, 1000)
"""Subscribers of one channel at 50 messages a second."""
WRITE_DELAYS = (0, 5, 20, 50)
"""Milliseconds of client_write_delay."""
WRITE_DELAY_LOAD: dict[str, Any] = {"connections": 1000, "rate": 300.0}
"""Several messages come during a round of writing and the default delay, so that the delay matters."""
PING_INTERVAL = 5.0
"""Seconds of the server's option while pings are measured: more often than by default, for a figure that is exact."""
NODES = 2
"""Nodes with Redis."""
WITH, WITHOUT = "with", "without"
"""Names of servers that have the C module for sending, or of channels that keep a history, and of others."""


@dataclass(frozen=True)
class ProtocolResults:
    """Results that differ between the protocols, with 1000 subscribers of one channel."""

    fanout: Result
    paced: Result
    api: Result
    api_batches: Result
    connect: Result
    idle: Result


@dataclass(frozen=True)
class SendingResults:
    """Results that depend on the C module for sending."""

    fanout: Result
    paced: Result
    small_channels: Result


@dataclass(frozen=True)
class HistoryResults:
    """Results that depend on whether channels keep a history."""

    api: Result
    api_batches: Result
    paced: Result


@dataclass(frozen=True)
class RedisResults:
    """Results of several nodes with Redis."""

    paced: Result
    api: Result
    api_batches: Result
    connect: Result


@dataclass(frozen=True)
class Suite:
    """All results, in the order of the page."""

    fanout: dict[int, Result]
    """By number of subscribers."""
    channels: Result
    paced: dict[int, Result]
    """By number of subscribers."""
    small_channels: dict[str, Result]
    """By the name of the mode."""
    write_delays: dict[int, Result]
    """By client_write_delay in milliseconds."""
    sending: dict[str, SendingResults]
    """With and without the C module; empty when it is not compiled."""
    api: Result
    api_batches: Result
    history: dict[str, HistoryResults]
    """With and without a history."""
    redis: RedisResults | None
    """None when Redis is not installed."""
    connect: Result
    idle: Result
    pings: Result
    churn: Result
    protocols: dict[str, ProtocolResults]
    """By the name of the protocol."""


@dataclass(frozen=True)
class Scale:
    """Factors for the times and sizes of all runs; less than 1 for a trial run of the suite."""

    time: float = 1.0
    size: float = 1.0
    rounds: int = ROUNDS

    def load(self, defaults: Mapping[str, Any], numbers: Mapping[str, Any]) -> Load:
        """Return the load of a mode with other numbers. Raises BenchmarkError for impossible ones."""
        load = Load(**defaults).with_given({**numbers})
        connections, channels = (max(round(count * self.size), 1) for count in (load.connections, load.channels))
        seconds, settle = load.seconds * self.time, load.settle * self.time
        cycles = max(round(load.cycles * self.time), 2)
        return load.with_given(
            {"connections": connections, "channels": channels, "seconds": seconds, "settle": settle, "cycles": cycles}
        )


def run_suite(scale: Scale = Scale()) -> Suite:
    """Measure servers of this repository; takes about ten minutes. Raises BenchmarkError, also for lost messages."""
    measure = SuiteRunner(scale)
    with running_server() as target:
        idle = measure.once(target, "idle", settle=8.0)
    with running_server(ping_interval=PING_INTERVAL * scale.time) as target:
        pings = measure.once(target, "pings", seconds=2 * PING_INTERVAL)
    with running_server() as target:
        fanout = {size: measure.once(target, "fanout", connections=size, seconds=4.0) for size in SUBSCRIBER_COUNTS}
        channels = measure.once(target, "fanout", channels=100, batch=100, seconds=4.0)
        paced = {size: measure.once(target, "paced", connections=size, seconds=4.0) for size in PACED_SUBSCRIBER_COUNTS}
        small = {name: measure.once(target, name, seconds=4.0) for name in ("small-channels", "many-channels")}
        api = measure.once(target, "api", seconds=3.0)
        api_batches = measure.once(target, "api-batch", seconds=3.0)
        connect = measure.once(target, "connect")
        churn = measure.once(target, "churn")
    return Suite(
        fanout=fanout,
        channels=channels,
        paced=paced,
        small_channels=small,
        write_delays={delay: measure.write_delay(delay) for delay in WRITE_DELAYS},
        sending=measure.sending() if has_c_module() else {},
        api=api,
        api_batches=api_batches,
        history=measure.history(),
        redis=measure.redis() if redis_program() is not None else None,
        connect=connect,
        idle=idle,
        pings=pings,
        churn=churn,
        protocols={name: measure.protocol(protocol) for name, protocol in PROTOCOLS.items()},
    )


class SuiteRunner:
    """Measures the parts of the suite; every method raises BenchmarkError, also for lost messages."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale

    def write_delay(self, milliseconds: int) -> Result:
        """Measure paced fan-out with a value of client_write_delay."""
        print(f"with client_write_delay of {milliseconds} ms:")
        with running_server(client_write_delay=milliseconds / 1000) as target:
            return self.once(target, "paced", **WRITE_DELAY_LOAD, seconds=3.0)

    def sending(self) -> dict[str, SendingResults]:
        """Measure fan-out with and without the C module for sending."""
        with ExitStack() as stack:
            targets = {
                name: stack.enter_context(running_server(speedups=speedups))
                for name, speedups in ((WITH, True), (WITHOUT, False))
            }
            loads = {name: {"seconds": 3.0} for name in targets}
            fanout, paced, small = (
                self.in_turn(targets, mode, loads) for mode in ("fanout", "paced", "small-channels")
            )
        return {name: SendingResults(fanout[name], paced[name], small[name]) for name in targets}

    def history(self) -> dict[str, HistoryResults]:
        """Measure publishing into channels with and without a history."""
        with running_server() as target:
            targets = {WITH: target, WITHOUT: target}
            loads: dict[str, dict[str, Any]] = {
                WITH: {"namespace": HISTORY, "seconds": 3.0},
                WITHOUT: {"seconds": 3.0},
            }
            api, batches, paced = (self.in_turn(targets, mode, loads) for mode in ("api", "api-batch", "paced"))
        return {name: HistoryResults(api[name], batches[name], paced[name]) for name in targets}

    def redis(self) -> RedisResults:
        """Measure several nodes that a Redis server connects."""
        print(f"{NODES} nodes with Redis:")
        with running_redis() as redis, running_server(redis=redis, nodes=NODES) as target:
            return RedisResults(
                paced=self.once(target, "paced", seconds=4.0),
                api=self.once(target, "api", seconds=3.0),
                api_batches=self.once(target, "api-batch", seconds=3.0),
                connect=self.once(target, "connect"),
            )

    def protocol(self, protocol: Protocol) -> ProtocolResults:
        """Measure the clients and the HTTP API of a protocol."""
        print(f"with protocol {protocol.name}:")
        with running_server(protocol) as target:
            idle = self.once(target, "idle", settle=8.0)
        with running_server(protocol) as target:
            return ProtocolResults(
                fanout=self.once(target, "fanout", seconds=3.0),
                paced=self.once(target, "paced", connections=1000, seconds=3.0),
                api=self.once(target, "api", seconds=3.0),
                api_batches=self.once(target, "api-batch", seconds=3.0),
                connect=self.once(target, "connect"),
                idle=idle,
            )

    def once(self, target: Target, name: str, **numbers: Any) -> Result:
        """Measure a mode on one server, and return the medians."""
        return self.in_turn({"": target}, name, {"": numbers})[""]

    def in_turn(
        self, targets: Mapping[str, Target], mode_name: str, numbers: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Result]:
        """Measure a mode on several servers in turn, and return the medians of each."""
        mode = MODES[mode_name]
        loads = {name: self._scale.load(mode.defaults, numbers[name]) for name in targets}
        results: dict[str, list[Result]] = {name: [] for name in targets}
        for _ in range(self._scale.rounds if mode.repeatable else 1):
            for name, target in targets.items():
                results[name].append(mode.run(target, loads[name]))
        combined = {name: combine(several) for name, several in results.items()}
        for name, result in combined.items():
            print(f"{name}: {table(result)}" if name else table(result), end="\n\n", flush=True)
            if result.problems:
                raise BenchmarkError(f"{result.title}: {'; '.join(result.problems)}")
        return combined
