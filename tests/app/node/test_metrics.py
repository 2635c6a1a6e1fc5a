"""Behaviour of the metrics: totals, intervals and histograms, under the names that dashboards use."""

from __future__ import annotations

import pytest

from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.metrics import COUNTER_NAMES, HIGHEST, HISTOGRAM_INTERVALS, Latency, Metrics

FIGURES = ("50%ile", "90%ile", "99%ile", "99.99%ile", "max", "mean", "min")
HISTOGRAMS = {
    f"{kind}_{span}_{figure}"
    for kind in ("client_api", "http_api")
    for span in (1, 15)
    for figure in ("count", *(f"microseconds_{figure}" for figure in FIGURES))
}
GAUGES = {"node_cpu_usage", "node_memory_sys", "node_num_goroutine"}


def test_all_figures_have_their_public_names() -> None:
    metrics = Metrics(Flusher(0))
    assert set(metrics.totals()) == set(metrics.end_interval()) == {*COUNTER_NAMES, *HISTOGRAMS, *GAUGES}


def test_all_figures_are_whole_numbers() -> None:
    metrics = Metrics(Flusher(0))
    metrics.client_api.record(0.00123)
    assert {type(value) for value in metrics.totals().values()} == {int}


def test_totals_count_from_the_start() -> None:
    metrics = Metrics(Flusher(0))
    for _ in range(2):
        metrics.counters.client_num_connect += 1
        metrics.end_interval()
    assert metrics.totals()["client_num_connect"] == 2


def test_interval_counts_events_since_the_previous_one() -> None:
    metrics = Metrics(Flusher(0))
    counted = []
    for connects in (2, 0, 3):
        metrics.counters.client_num_connect += connects
        counted.append(metrics.end_interval()["client_num_connect"])
    assert counted == [2, 0, 3]


def test_gauges_show_current_values() -> None:
    metrics = Metrics(Flusher(0))
    metrics.greenlets = 3
    values = metrics.end_interval()
    assert values["node_num_goroutine"] == 3
    assert values["node_memory_sys"] > 1_000_000
    assert values["node_cpu_usage"] >= 0


def test_a_histogram_without_requests_is_all_zeros() -> None:
    assert set(Latency("http_api").values().values()) == {0}


def test_a_histogram_has_its_figures_in_microseconds() -> None:
    latency = Latency("http_api")
    for milliseconds in range(1, 101):
        latency.record(milliseconds / 1000)
    values = latency.values()
    assert values["http_api_1_count"] == 100
    assert values["http_api_1_microseconds_min"] == pytest.approx(1_000, rel=0.01)
    assert values["http_api_1_microseconds_50%ile"] == pytest.approx(50_000, rel=0.01)
    assert values["http_api_1_microseconds_99%ile"] == pytest.approx(99_000, rel=0.01)
    assert values["http_api_1_microseconds_max"] == pytest.approx(100_000, rel=0.01)
    assert values["http_api_1_microseconds_mean"] == pytest.approx(50_500, rel=0.01)


DISTRIBUTIONS: dict[str, tuple[list[int], tuple[int, ...]]] = {
    "one request": ([1_234_567], (1234943, 1234943, 1234943, 1234943, 1234943, 1234567, 1233920)),
    "every microsecond": (list(range(2048)), (1023, 1842, 2027, 2047, 2047, 1023, 1)),
    "quadratic": (
        [number * number for number in range(1, 5000)],
        (6250495, 20250623, 24494079, 25001983, 25001983, 8332500, 1),
    ),
    "scattered": (
        [number * 7919 % 3_000_011 for number in range(1, 10_001)],
        (1477631, 2695167, 2969599, 3000319, 3000319, 1486519, 574),
    ),
    "two peaks": (
        [180 + number % 40 for number in range(9990)] + [250_000 + 977 * number for number in range(10)],
        (199, 216, 219, 257919, 258815, 453, 180),
    ),
    "beyond the range": ([0, 0, 5, 59_999_999, 90_000_000], (5, 60030975, 60030975, 60030975, 60030975, 30000000, 1)),
}
"""Microseconds that are recorded, and the FIGURES that an HDR histogram of three significant digits has for them."""


@pytest.mark.parametrize(("recorded", "figures"), DISTRIBUTIONS.values(), ids=DISTRIBUTIONS)
def test_figures_are_those_of_an_hdr_histogram(recorded: list[int], figures: tuple[int, ...]) -> None:
    latency = Latency("http_api")
    for number, microseconds in enumerate(recorded):
        latency.record((microseconds + 0.5) / 1e6)
        if number % 1000 == 999:
            latency.rotate()
    values = latency.values()
    assert tuple(values[f"http_api_15_microseconds_{name}"] for name in FIGURES) == figures


@pytest.mark.parametrize(("duration", "microseconds"), [(0.0, 1), (-0.001, 1), (3600.0, HIGHEST)])
def test_durations_outside_the_range_count_at_its_ends(duration: float, microseconds: int) -> None:
    latency = Latency("http_api")
    latency.record(duration)
    assert latency.values()["http_api_1_microseconds_max"] == pytest.approx(microseconds, rel=0.01)


def test_the_short_histogram_forgets_with_each_interval() -> None:
    latency = Latency("http_api")
    latency.record(0.001)
    latency.rotate()
    latency.record(0.002)
    values = latency.values()
    assert (values["http_api_1_count"], values["http_api_15_count"]) == (1, 2)


def test_the_long_histogram_forgets_after_fifteen_intervals() -> None:
    latency = Latency("http_api")
    counts = []
    for _ in range(HISTOGRAM_INTERVALS + 3):
        latency.record(0.001)
        counts.append(latency.values()["http_api_15_count"])
        latency.rotate()
    assert counts == [*range(1, 16), 15, 15, 15]


def test_an_interval_has_the_histogram_that_ends_with_it() -> None:
    metrics = Metrics(Flusher(0))
    metrics.http_api.record(0.001)
    assert metrics.end_interval()["http_api_1_count"] == 1
    assert metrics.end_interval()["http_api_1_count"] == 0
