"""The benchmark page contains all measured figures."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.machine import describe
from benchmarks.page import sections
from benchmarks.report import Figure, Result
from benchmarks.suite import HistoryResults, ProtocolResults, RedisResults, Scale, SendingResults, Suite, run_suite
from tests.waiting import seconds

NAMES = (
    *("published", "delivered", "commands", "server CPU per delivery", "server CPU per command", "server CPU"),
    *("load generator CPU", "latency p50", "latency p90", "latency p99", "latency max"),
    *("server CPU per ping", "Redis CPU per command"),
    *("connected and subscribed", "server CPU per client", "memory of a connection"),
)


def result(value: float) -> Result:
    return Result("a run", [Figure(name, value, "") for name in NAMES])


def results(first: float, count: int) -> list[Result]:
    return [result(first + number) for number in range(count)]


def suite(**changes: Any) -> Suite:
    parts: dict[str, Any] = {
        "fanout": {100: result(101.0), 5000: result(102.0)},
        "channels": result(103.0),
        "paced": {50: result(104.0)},
        "small_channels": {"small-channels": result(111.0), "many-channels": result(112.0)},
        "write_delays": {20: result(105.0)},
        "sending": {
            "with": SendingResults(*results(400.0, 3)),
            "without": SendingResults(*results(410.0, 3)),
        },
        "api": result(106.0),
        "api_batches": result(107.0),
        "history": {
            "with": HistoryResults(*results(500.0, 3)),
            "without": HistoryResults(*results(510.0, 3)),
        },
        "redis": RedisResults(*results(600.0, 4)),
        "connect": result(108.0),
        "idle": result(109.0),
        "pings": result(113.0),
        "churn": result(110.0),
        "protocols": {
            "v1": ProtocolResults(*results(200.0, 6)),
            "v2-protobuf": ProtocolResults(*results(300.0, 6)),
        },
    }
    return Suite(**{**parts, **changes})


def test_every_result_has_its_place() -> None:
    page = "\n".join(sections(suite(), [("Processor", "one core")]))
    rows = [
        "| Processor | one core |",
        "| 100 subscribers of one channel | 101 | 101 | 101 | 101 % | 101 % |",
        "| 5,000 subscribers of one channel | 102 | 102 | 102 | 102 % | 102 % |",
        "| 100 channels of 10 subscribers | 103 | 103 | 103 | 103 % | 103 % |",
        "| 50 | 104 | 104 | 104 | 104 | 104 | 104 |",
        "| 100 channels of 10 subscribers | 111 | 111 | 111 | 111 | 111 |",
        "| 1,000 channels of 5 subscribers | 112 | 112 | 112 | 112 | 112 |",
        "| 20 | 105 | 105 | 105 | 105 | 105 | 105 |",
        "|  | with the module | without the module |",
        "| delivered /s, saturated | 400 | 410 |",
        "| p99, ms, 50 messages a second | 401 | 411 |",
        "| p99, ms, 100 channels of 10, saturated | 402 | 412 |",
        "| one command a request | 106 | 106 | 106 % | 106 % |",
        "| 100 commands a request | 107 | 107 | 107 % | 107 % |",
        "|  | with a history | without a history |",
        "| CPU of a publish command, µs, one a request | 500 | 510 |",
        "| publish commands /s, 100 a request | 501 | 511 |",
        "| p99, ms | 502 | 512 |",
        "| CPU of Redis for it, µs | 601 |",
        "| publish commands /s, 100 a request | 602 |",
        "| CPU of a client that connects and subscribes, µs | 603 |",
        "| connect and subscribe | 108 clients/s |",
        "| memory of an idle subscriber | 109 KiB |",
        "| CPU of a ping and its answer | 113 µs |",
        "| 5,000 idle subscribers, a ping every 25 s | 2.26 % of a core |",
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


def test_table_rows_have_all_columns() -> None:
    for section in sections(suite(), [("Processor", "one core")]):
        widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, section


def test_parts_that_could_not_be_measured_have_no_section() -> None:
    page = "\n".join(sections(suite(redis=None, sending={}), []))
    assert "nodes with Redis" not in page
    assert "The C module" not in page


@pytest.mark.timeout(seconds(180))
def test_everything_on_the_page_can_be_measured() -> None:
    """This runs everything with real servers, few clients and short times; C module and Redis only if available."""
    measured = run_suite(Scale(time=0.05, size=0.02, rounds=1))
    page = "\n".join(sections(measured, describe()))
    assert page.count("\n## ") == 9 + bool(measured.sending) + bool(measured.redis)
    assert " nan " not in page


def test_the_machine_is_described() -> None:
    described = dict(describe())
    assert described.keys() >= {"Processor", "Python", "gevent"}
    assert all(described.values())
    assert "core" in described["Processor"]
