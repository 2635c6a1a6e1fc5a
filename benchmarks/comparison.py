"""Compares two servers, measured in turn in several rounds: medians, ranges and ratios of the figures.

A round counts only if both servers were measured without problems while the rest of the machine was quiet. Other
rounds are discarded, with their reason, and repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks.report import Figure, Result, align_rows, number_text
from benchmarks.span import CPU_OF_OTHERS

ROUNDS = 3
"""Rounds that a comparison consists of, unless the user wants another number."""
MAX_CPU_OF_OTHERS = 20.0
"""Percent of a core that other processes may use during a round, unless the user wants another limit."""
MAX_ATTEMPTS_PER_ROUND = 2
"""Rounds that are tried at most, for each one that is wanted."""
_BUSY = "other processes used"
"""The reason of a discarded round begins with this if the machine was busy."""


class MeasuredServer(NamedTuple):
    """One of the two servers: its name in the table, and a function that measures it once."""

    name: str
    measure: Callable[[], Result]


@dataclass
class Comparison:
    """The counted rounds and the discarded rounds of a comparison."""

    names: tuple[str, str]
    wanted: int
    """How many rounds there should be."""
    title: str = ""
    """What was measured."""
    rounds: list[tuple[Result, Result]] = field(default_factory=list)
    """The results of the first and the second server."""
    discarded: list[str] = field(default_factory=list)
    """A sentence for each round that does not count."""

    @property
    def is_complete(self) -> bool:
        """Whether all requested rounds were measured."""
        return len(self.rounds) >= self.wanted


def compare(
    first: MeasuredServer,
    second: MeasuredServer,
    rounds: int = ROUNDS,
    max_cpu_of_others: float = MAX_CPU_OF_OTHERS,
    on_discarded: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Measure both servers in turn until `rounds` rounds count, in a limited number of attempts.

    Every second round begins with the second server, so that a machine that becomes slower treats both alike.
    """
    comparison = Comparison((first.name, second.name), rounds)
    for attempt in range(rounds * MAX_ATTEMPTS_PER_ROUND):
        if attempt % 2:
            other = second.measure()
            results = first.measure(), other
        else:
            results = first.measure(), second.measure()
        comparison.title = results[0].title
        reasons = [
            f"{name}: {reason}"
            for name, result in zip(comparison.names, results, strict=True)
            for reason in _reasons_to_discard(result, max_cpu_of_others)
        ]
        if reasons:
            comparison.discarded.append(f"round {attempt + 1} was discarded: {'; '.join(reasons)}")
            on_discarded(comparison.discarded[-1])
        else:
            comparison.rounds.append(results)
        if comparison.is_complete:
            break
    return comparison


def comparison_table(comparison: Comparison) -> str:
    """Return the comparison as lines of text: the medians, the ranges of the rounds, and the ratios."""
    lines = [comparison.title]
    if comparison.rounds:
        first, second = ([results[side] for results in comparison.rounds] for side in (0, 1))
        lines += _rows(comparison.names, first, second)
        notes = dict.fromkeys(note for result in first + second for note in result.notes)
        lines += [f"  note: {note}" for note in notes]
    lines += [f"  {sentence}" for sentence in comparison.discarded]
    if not comparison.is_complete:
        was_busy = any(_BUSY in reason for reason in comparison.discarded)
        advice = "; end other programs, or allow them more CPU with --max-others" if was_busy else ""
        lines.append(
            f"  PROBLEM: only {len(comparison.rounds)} of {comparison.wanted} rounds could be measured{advice}"
        )
    return "\n".join(lines)


def _reasons_to_discard(result: Result, max_cpu_of_others: float) -> list[str]:
    others = [figure.value for figure in result.figures if figure.name == CPU_OF_OTHERS]
    busy = [f"{_BUSY} {number_text(cpu)} % of a core" for cpu in others if cpu > max_cpu_of_others]
    return [*result.problems, *busy]


def _rows(names: tuple[str, str], first: Sequence[Result], second: Sequence[Result]) -> list[str]:
    rows = [["", *names, "ratio", ""]]
    for figure in first[0].figures:
        ours, others = _values(first, figure), _values(second, figure)
        pairs = [pair for pair in zip(ours, others, strict=True) if None not in pair]
        rows.append([figure.name, _spread(ours), _spread(others), _ratios(pairs), figure.unit])
    return align_rows(rows)


def _values(results: Sequence[Result], figure: Figure) -> list[float | None]:
    """Return the value of a figure in each round; None if it is missing."""
    return [{each.name: each.value for each in result.figures}.get(figure.name) for result in results]


def _spread(values: Sequence[float | None]) -> str:
    """Return the median, and the smallest and the largest value when there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    middle = number_text(median(known))
    return middle if len(known) == 1 else f"{middle} ({number_text(min(known))} to {number_text(max(known))})"


def _ratios(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """Return the ratio of the medians, and the smallest and largest ratio within a round when there are several."""
    known = [(one, other) for one, other in pairs if one is not None and other]
    if len(known) < len(pairs) or not known:
        return "-"
    middle = median(one for one, _ in known) / median(other for _, other in known)
    within = [one / other for one, other in known]
    return f"{middle:.2f}" if len(known) == 1 else f"{middle:.2f} ({min(within):.2f} to {max(within):.2f})"
