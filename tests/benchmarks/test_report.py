"""Formatting of figures and tables for people."""

from __future__ import annotations

import pytest

from benchmarks.report import Figure, Result, combine, count_text, number_text, table


def result(speed: float, *problems: str) -> Result:
    return Result("fanout: a run", [Figure("delivered", speed, "messages/s"), Figure("errors", 0, "")], [*problems])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123, "0.12"), (9.876, "9.88"), (12.34, "12.3"), (123.4, "123"), (1234567.8, "1,234,568"), (5, "5"), (0, "0")],
)
def test_numbers_have_significant_digits(value: float, text: str) -> None:
    assert number_text(value) == text


def test_counts_have_a_noun() -> None:
    assert [count_text(count, "channel") for count in (1, 2000)] == ["1 channel", "2,000 channels"]


def test_a_table_of_one_server() -> None:
    assert table(result(1234.5)).splitlines() == [
        "fanout: a run",
        "  delivered  1,234  messages/s",
        "  errors         0",
    ]


def test_several_runs_become_one_with_medians_and_all_problems() -> None:
    combined = combine([result(10.0), result(30.0, "lost"), result(11.0, "lost")])
    assert combined.value("delivered") == 11
    assert combined.text("delivered") == "11.0"
    assert combined.problems == ["lost"]
