"""The runs behind docs/benchmarks.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.load import Load
from benchmarks.local_server import running_server
from benchmarks.modes import MODES
from benchmarks.protocols import PROTOCOLS
from benchmarks.protocols.base import Protocol
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
WRITE_DELAY_LOAD: dict[str, Any] = {"connections": 500, "rate": 150.0}
"""Messages come about as fast as a round of writing and the default delay take, so that the delay matters."""


@dataclass(frozen=True)
class ProtocolResults:
    """What differs between the protocols, with 1000 subscribers of one channel."""

    fanout: Result
    paced: Result
    api: Result
    api_batches: Result
    connect: Result
    idle: Result


@dataclass(frozen=True)
class Suite:
    """All results, in the order of the page."""

    fanout: dict[int, Result]
    """By number of subscribers."""
    channels: Result
    paced: dict[int, Result]
    """By number of subscribers."""
    write_delays: dict[int, Result]
    """By client_write_delay in milliseconds."""
    api: Result
    api_batches: Result
    connect: Result
    idle: Result
    churn: Result
    protocols: dict[str, ProtocolResults]
    """By the name of the protocol."""


def run_suite() -> Suite:
    """Measure servers of this repository; takes about six minutes. Raises BenchmarkError, also for lost messages."""
    with running_server() as target:
        idle = _measure(target, "idle", settle=8.0)
    with running_server() as target:
        fanout = {size: _measure(target, "fanout", connections=size, seconds=4.0) for size in SUBSCRIBER_COUNTS}
        channels = _measure(target, "fanout", channels=100, batch=100, seconds=4.0)
        paced = {size: _measure(target, "paced", connections=size, seconds=4.0) for size in PACED_SUBSCRIBER_COUNTS}
        api = _measure(target, "api", seconds=3.0)
        api_batches = _measure(target, "api", batch=100, publishers=4, seconds=3.0)
        connect = _measure(target, "connect")
        churn = _measure(target, "churn")
    write_delays = {delay: _measure_write_delay(delay) for delay in WRITE_DELAYS}
    protocols = {name: _measure_protocol(protocol) for name, protocol in PROTOCOLS.items()}
    return Suite(fanout, channels, paced, write_delays, api, api_batches, connect, idle, churn, protocols)


def _measure_protocol(protocol: Protocol) -> ProtocolResults:
    print(f"with protocol {protocol.name}:")
    with running_server(protocol) as target:
        idle = _measure(target, "idle", settle=8.0)
    with running_server(protocol) as target:
        return ProtocolResults(
            fanout=_measure(target, "fanout", seconds=4.0),
            paced=_measure(target, "paced", connections=1000, seconds=4.0),
            api=_measure(target, "api", seconds=3.0),
            api_batches=_measure(target, "api", batch=100, publishers=4, seconds=3.0),
            connect=_measure(target, "connect"),
            idle=idle,
        )


def _measure_write_delay(milliseconds: int) -> Result:
    print(f"with client_write_delay of {milliseconds} ms:")
    with running_server(client_write_delay=milliseconds / 1000) as target:
        return _measure(target, "paced", **WRITE_DELAY_LOAD, seconds=3.0)


def _measure(target: Target, name: str, **numbers: Any) -> Result:
    mode = MODES[name]
    load = Load(**mode.defaults).with_given(numbers)
    result = combine([mode.run(target, load) for _ in range(ROUNDS if mode.repeatable else 1)])
    print(table(result), end="\n\n", flush=True)
    if result.problems:
        raise BenchmarkError(f"{result.title}: {'; '.join(result.problems)}")
    return result
