"""The page says what was measured."""

from __future__ import annotations

from benchmarks.machine import describe
from benchmarks.page import sections
from benchmarks.report import Figure, Result
from benchmarks.suite import ProtocolResults, Suite

NAMES = (
    *("published", "delivered", "commands", "server CPU per delivery", "server CPU per command", "server CPU"),
    *("load generator CPU", "latency p50", "latency p90", "latency p99", "latency max"),
    *("connected and subscribed", "server CPU per client", "memory of a connection"),
)


def result(value: float) -> Result:
    return Result("a run", [Figure(name, value, "") for name in NAMES])


def protocol_results(first: float) -> ProtocolResults:
    return ProtocolResults(*(result(first + number) for number in range(6)))


def test_every_result_has_its_place() -> None:
    suite = Suite(
        fanout={100: result(101.0), 5000: result(102.0)},
        channels=result(103.0),
        paced={50: result(104.0)},
        write_delays={20: result(105.0)},
        api=result(106.0),
        api_batches=result(107.0),
        connect=result(108.0),
        idle=result(109.0),
        churn=result(110.0),
        protocols={"v1": protocol_results(200.0), "v2-protobuf": protocol_results(300.0)},
    )
    page = "\n".join(sections(suite, [("Processor", "one core")]))
    rows = [
        "| Processor | one core |",
        "| 100 subscribers of one channel | 101 | 101 | 101 | 101 % | 101 % |",
        "| 5,000 subscribers of one channel | 102 | 102 | 102 | 102 % | 102 % |",
        "| 100 channels of 10 subscribers | 103 | 103 | 103 | 103 % | 103 % |",
        "| 50 | 104 | 104 | 104 | 104 | 104 | 104 |",
        "| 20 | 105 | 105 | 105 | 105 | 105 | 105 |",
        "| one command a request | 106 | 106 | 106 % | 106 % |",
        "| 100 commands a request | 107 | 107 | 107 % | 107 % |",
        "| connect and subscribe | 108 clients/s |",
        "| memory of an idle subscriber | 109 KiB |",
        "| left of clients that came and went | nothing |",
        "|  | v1 | v2, Protobuf |",
        "| delivered /s, saturated | 200 | 300 |",
        "| p99, ms, paced | 201 | 301 |",
        "| CPU of a publish command, µs, one a request | 202 | 302 |",
        "| publish commands /s, 100 a request | 203 | 303 |",
        "| CPU of a client that connects and subscribes, µs | 204 | 304 |",
        "| memory of an idle subscriber, KiB | 205 | 305 |",
    ]
    assert [row for row in rows if f"{row}\n" not in page] == []


def test_tables_are_whole() -> None:
    one, several = result(1.0), {1: result(1.0), 2: result(2.0)}
    for section in sections(
        Suite(several, one, several, several, one, one, one, one, one, {"v2": protocol_results(1.0)}),
        [("Processor", "one core")],
    ):
        widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, section


def test_the_machine_is_described() -> None:
    described = dict(describe())
    assert described.keys() >= {"Processor", "Python", "gevent"}
    assert all(described.values())
    assert "core" in described["Processor"]
