"""The figures of a run, and their formatting; comparison.py formats those of two servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value, with its name and unit."""

    name: str
    value: float
    unit: str

    @property
    def text(self) -> str:
        """The value with its significant digits."""
        return number_text(self.value)


@dataclass(frozen=True)
class Result:
    """All figures of one run of a mode."""

    title: str
    figures: list[Figure]
    problems: list[str] = field(default_factory=list)
    """What went wrong, as sentences; a run with problems proves nothing about speed."""
    notes: list[str] = field(default_factory=list)

    def value(self, name: str) -> float:
        """Return the value of the figure `name`. Raises KeyError."""
        return {figure.name: figure.value for figure in self.figures}[name]

    def text(self, name: str) -> str:
        """Format all figures as lines of text."""
        return number_text(self.value(name))


def count_text(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 channel` or `1,000 channels`."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def number_text(value: float) -> str:
    """Format a number with three significant digits, or all digits of its integer part; an int unchanged."""
    if isinstance(value, int):
        return f"{value:,}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def combine(results: Sequence[Result]) -> Result:
    """Return the median of each figure over several runs of one mode; the problems and notes of all."""
    columns = [{figure.name: figure.value for figure in result.figures} for result in results]
    figures = [
        Figure(figure.name, median(column[figure.name] for column in columns if figure.name in column), figure.unit)
        for figure in results[0].figures
    ]
    problems = [problem for result in results for problem in result.problems]
    notes = [note for result in results for note in result.notes]
    return Result(results[0].title, figures, list(dict.fromkeys(problems)), list(dict.fromkeys(notes)))


def table(result: Result) -> str:
    """Format a result as lines of text."""
    lines = [result.title, *align_rows([[figure.name, figure.text, figure.unit] for figure in result.figures])]
    lines += [f"  note: {note}" for note in result.notes]
    lines += [f"  PROBLEM: {problem}" for problem in result.problems]
    return "\n".join(lines)


def align_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows of a name, numbers and a unit as indented lines with aligned numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + _line(row, widths) for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, unit = row
    *number_widths, _ = widths[1:]
    cells = [number.rjust(width) for number, width in zip(numbers, number_widths, strict=True)]
    return "  ".join([first.ljust(widths[0]), *cells, unit]).rstrip()
