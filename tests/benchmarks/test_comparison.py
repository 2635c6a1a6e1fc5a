"""The comparison of two servers: counted and discarded rounds, and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.comparison import MAX_ATTEMPTS_PER_ROUND, MeasuredServer, compare, comparison_table
from benchmarks.report import Figure, Result
from benchmarks.span import CPU_OF_OTHERS


def result(speed: float, *problems: str, others: float = 0) -> Result:
    figures = [Figure("delivered", speed, "messages/s"), Figure("errors", 0, ""), Figure(CPU_OF_OTHERS, others, "%")]
    return Result("fanout: a run", figures, [*problems])


def server(name: str, results: Iterable[Result], order: list[str] | None = None) -> MeasuredServer:
    """A server whose measurements give these results, one after the other."""
    following = iter(results)

    def measure() -> Result:
        if order is not None:
            order.append(name)
        return next(following)

    return MeasuredServer(name, measure)


def endless(make: Callable[[], Result]) -> Iterable[Result]:
    while True:
        yield make()


def test_medians_ranges_and_ratios_of_the_rounds_are_printed() -> None:
    comparison = compare(
        server("this", [result(300), result(330), result(270)]),
        server("other", [result(100), result(110), result(100)]),
    )
    assert comparison.is_complete
    title, *rows = comparison_table(comparison).splitlines()
    assert title == "fanout: a run"
    assert [" ".join(row.split()) for row in rows[:3]] == [
        "this other ratio",
        "delivered 300 (270 to 330) 100 (100 to 110) 3.00 (2.70 to 3.00) messages/s",
        "errors 0 (0 to 0) 0 (0 to 0) -",
    ]


def test_one_round_has_no_ranges() -> None:
    comparison = compare(server("this", [result(300)]), server("other", [result(100)]), rounds=1)
    assert "  delivered           300    100   3.00  messages/s" in comparison_table(comparison).splitlines()


def test_rounds_begin_with_each_server_in_turn() -> None:
    order: list[str] = []
    compare(server("a", endless(lambda: result(1)), order), server("b", endless(lambda: result(1)), order), rounds=3)
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_a_round_with_busy_others_or_with_problems_is_discarded_and_repeated() -> None:
    told: list[str] = []
    comparison = compare(
        server("this", [result(1, others=35.5), result(2), result(4), result(5)]),
        server("other", [result(1), result(2, "3 messages did not arrive"), result(4), result(5)]),
        rounds=2,
        max_cpu_of_others=30,
        on_discarded=told.append,
    )
    assert comparison.is_complete
    assert [round_results[0].value("delivered") for round_results in comparison.rounds] == [4, 5]
    assert told == [
        "round 1 was discarded: this: other processes used 35.5 % of a core",
        "round 2 was discarded: other: 3 messages did not arrive",
    ]
    assert comparison_table(comparison).splitlines()[-2:] == [f"  {reason}" for reason in told]


def test_the_number_of_attempts_is_limited() -> None:
    order: list[str] = []
    busy = endless(lambda: result(1, others=90))
    comparison = compare(server("this", busy, order), server("other", busy, order), rounds=3)
    assert len(order) == 2 * 3 * MAX_ATTEMPTS_PER_ROUND
    assert not comparison.is_complete
    problem = "  PROBLEM: only 0 of 3 rounds could be measured"
    advice = "; end other programs, or allow them more CPU with --max-others"
    assert comparison_table(comparison).splitlines()[-1] == problem + advice
    failing = endless(lambda: result(1, "3 messages did not arrive"))
    comparison = compare(server("this", failing), server("other", failing), rounds=3)
    assert comparison_table(comparison).splitlines()[-1] == problem


def test_a_figure_that_one_server_lacks_has_no_ratio() -> None:
    alone = Result("fanout: a run", [Figure("server memory", 5, "MiB")])
    table = comparison_table(compare(server("this", [alone]), server("other", [Result("x", [])]), rounds=1))
    assert "  server memory     5      -      -  MiB" in table.splitlines()
