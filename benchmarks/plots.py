"""The plots in docs/benchmarks.md. Requires matplotlib (requirements-bench.txt)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import Result
from benchmarks.suite import Suite

FIRST, SECOND, THIRD = "#2563eb", "#f59e0b", "#dc2626"
WIDTH, HEIGHT = 7.0, 3.6
"""Inches."""


def check_matplotlib() -> None:
    """Raise BenchmarkError if matplotlib is not installed. Call it before measuring."""
    if find_spec("matplotlib") is None:
        raise BenchmarkError("the plots require matplotlib: install requirements-bench.txt, or run make bench")


def draw_all(suite: Suite, directory: Path) -> None:
    """Write deliveries.svg, latency.svg and write_delay.svg. Equal figures result in equal files."""
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "gentrifugo", "axes.spines.top": False, "axes.spines.right": False})
    _draw(_deliveries, suite.fanout, directory / "deliveries.svg")
    _draw(_latency, suite.paced, directory / "latency.svg")
    _draw(_write_delay, suite.write_delays, directory / "write_delay.svg")


def _draw(plot: Any, results: Mapping[int, Result], path: Path) -> None:
    pyplot: Any = import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT), layout="constrained")
    plot(axes, results)
    # Without a date, so that a picture changes only when its figures do.
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _deliveries(axes: Any, results: Mapping[int, Result]) -> None:
    bars = axes.bar(_names(results), _values(results, "delivered"), width=0.5, color=FIRST)
    axes.bar_label(bars, fmt="{:,.0f}", padding=2)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.margins(y=0.15)
    axes.set(xlabel="subscribers of one channel", ylabel="deliveries a second")


def _latency(axes: Any, results: Mapping[int, Result]) -> None:
    width = 0.25
    for offset, (percentile, color) in enumerate((("p50", FIRST), ("p90", SECOND), ("p99", THIRD)), -1):
        places = [place + offset * width for place in range(len(results))]
        bars = axes.bar(places, _values(results, f"latency {percentile}"), width, color=color, label=percentile)
        axes.bar_label(bars, fmt="{:.1f}", padding=2)
    axes.set_xticks(range(len(results)), _names(results))
    axes.margins(y=0.15)
    axes.set(xlabel="subscribers of one channel, 50 messages a second", ylabel="publish to receive, ms")
    axes.legend(frameon=False)


def _write_delay(axes: Any, results: Mapping[int, Result]) -> None:
    bars = axes.bar(_names(results), _values(results, "server CPU per delivery"), width=0.5, color=FIRST)
    axes.bar_label(bars, fmt="{:.1f}", padding=2)
    axes.margins(y=0.15)
    axes.set(xlabel="client_write_delay, ms", ylabel="CPU of a delivery, µs (bars)")
    right = axes.twinx()
    right.spines.right.set_visible(True)
    for percentile, color in (("p50", SECOND), ("p99", THIRD)):
        right.plot(_names(results), _values(results, f"latency {percentile}"), "o-", color=color, label=percentile)
    right.set_ylim(bottom=0)
    right.set(ylabel="publish to receive, ms (lines)")
    right.legend(frameon=False, loc="upper center")


def _names(results: Mapping[int, Result]) -> list[str]:
    return [f"{number:,}" for number in results]


def _values(results: Mapping[int, Result], name: str) -> list[float]:
    return [result.value(name) for result in results.values()]
