"""Behaviour of samples: rings, gaps, memory, and reports of all nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.breakdowns import TrafficKind
from gentrifugo.app.node.channel_samples import ChannelSamples
from gentrifugo.app.node.hub import Hub
from gentrifugo.app.node.metrics import Metrics
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.rings import (
    MAX_WINDOW,
    SAMPLED_PERCENTILES,
    SETTLING_TIME,
    STEPS,
    Durations,
    SamplesWanted,
    times_of,
)
from gentrifugo.app.node.samples import MAX_REASONS, RATES, Gauges, NodeHistory
from tests.fakes import FakeClock, FakeTransport
from tests.greenlets import eventually, settle
from tests.local_client import LocalClient

WINDOWS = (60, 300, 900, 10_800, 86_400)
MAX_MEMORY = 300_000
"""Bytes of all samples of one node, which docs/admin.md promises."""


class Bench:
    """A NodeHistory with a fake clock, whose metrics the test changes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.now = 1_800_000_000.0
        self.flusher = Flusher(0)
        self.metrics = Metrics(self.flusher)
        self.clients = 0
        channels = ChannelSamples(Hub(self.flusher), lambda channel: None, self.clock)
        self.samples = NodeHistory(self.metrics, self._gauges, channels, self.clock)

    def _gauges(self) -> Gauges:
        return Gauges(self.clients, 1, 2, 3, engine_up=1, waiting=0, round_trip=0.001)

    def run(
        self, seconds: int, clients: Callable[[int], int] = lambda second: second, published: int = 0, step: int = 2
    ) -> None:
        """Let time pass, and take a sample with each step; before each, `published` messages per second are sent."""
        for second in range(0, seconds, step):
            self.clients = clients(second)
            self.metrics.counters.node_num_client_msg_published += published * step
            self.samples.take()
            self.clock.advance(step)

    def figure(self, name: str, window: float, since: float = 0) -> list[float | None]:
        return self.samples.read(self.samples.window(window, since))[name]

    def of_clients(self, window: float) -> dict[str, list[float | None]]:
        wanted = self.samples.window(window)
        wanted.about = "clients"
        return self.samples.report("uid", "node", wanted).figures


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_has_the_shortest_step_that_reaches_back_so_far(bench: Bench, window: int) -> None:
    wanted = bench.samples.window(window)
    assert wanted.step == {60: 2, 300: 2, 900: 2, 10_800: 30, 86_400: 300}[window]
    assert wanted.count == window // wanted.step
    assert len(times_of(wanted)) == wanted.count


def test_samples_are_at_whole_multiples_of_the_step(bench: Bench) -> None:
    bench.clock.advance(0.7)
    bench.run(10)
    times = times_of(bench.samples.window(8))
    assert [time % 2 for time in times] == [0] * 4
    assert bench.clock.now - 2 - SETTLING_TIME < times[-1] <= bench.clock.now


def test_a_gauge_has_its_value_at_each_time(bench: Bench) -> None:
    bench.run(20)
    assert bench.figure("clients", 20) == list(range(0, 20, 2))


def test_a_counter_becomes_a_rate_per_second(bench: Bench) -> None:
    bench.run(20, published=5)
    assert bench.figure("published", 20) == [None, *[5.0] * 9]


def test_times_before_the_start_are_gaps(bench: Bench) -> None:
    bench.run(10)
    assert bench.figure("clients", 20)[:5] == [None] * 5


def test_a_time_in_which_the_process_did_not_run_stays_a_gap(bench: Bench) -> None:
    bench.run(6, lambda _: 7, published=1)
    bench.clock.advance(10)
    bench.run(6, lambda _: 8, published=1)
    assert bench.figure("clients", 22) == [7, 7, 7, *[None] * 5, 8, 8, 8]
    assert bench.figure("published", 22) == [None, 1, 1, *[None] * 5, None, 1, 1]


def test_pause_longer_than_a_ring_clears_the_ring(bench: Bench) -> None:
    bench.run(900, lambda _: 7)
    bench.clock.advance(3600)
    bench.run(2, lambda _: 8)
    assert [value for value in bench.figure("clients", 900) if value is not None] == [8]
    assert 7 in bench.figure("clients", 10_800)


@pytest.mark.parametrize("window", WINDOWS)
def test_each_window_keeps_its_time_and_no_more(bench: Bench, window: int) -> None:
    step = bench.samples.window(window).step
    bench.run(window + 2 * step, published=2, step=step)
    values = bench.figure("clients", window)
    present = [value for value in values if value is not None]
    assert len(present) >= len(values) - 1
    assert {one - other for other, one in pairwise(present)} == {step}
    assert set(bench.figure("published", window)[2:-1]) == {2.0}


def test_only_samples_after_a_time_are_given(bench: Bench) -> None:
    bench.run(20)
    times = list(times_of(bench.samples.window(20)))
    wanted = bench.samples.window(20, since=times[-3])
    assert list(times_of(wanted)) == times[-2:]
    assert bench.samples.window(20, since=times[-1]).count == 0
    assert bench.samples.window(20, since=bench.clock.now + 100).count == 0


def test_clock_set_back_restarts_the_samples(bench: Bench) -> None:
    bench.run(20, lambda _: 7)
    bench.clock.advance(-3600)
    bench.run(6, lambda _: 8)
    assert bench.figure("clients", 10) == [None, None, 8, 8, 8]


def test_small_clock_adjustment_loses_no_samples(bench: Bench) -> None:
    bench.run(10, lambda _: 7)
    bench.clock.advance(-2)
    bench.run(4, lambda _: 8)
    assert bench.figure("clients", 12) == [7] * 5 + [8]


def test_memory_of_samples_is_limited(bench: Bench) -> None:
    bench.run(MAX_WINDOW, published=4, step=max(STEPS))
    bench.run(62)
    names = {*bench.samples.read(bench.samples.window(60)), *bench.of_clients(60)}
    full = bench.samples.memory
    assert full == len(names) * sum(STEPS.values()) * 8
    assert full < MAX_MEMORY
    bench.run(2000)
    assert bench.samples.memory == full


def test_samples_contain_the_kinds_of_clients(bench: Bench) -> None:
    bench.run(4)
    bench.metrics.breakdowns.traffic[TrafficKind("websocket", "v1")].connections = 3
    bench.metrics.breakdowns.traffic[TrafficKind("websocket", "v2 json")].connections = 2
    bench.metrics.breakdowns.note_close("v1", 3000, "slow")
    bench.run(4)
    figures = bench.of_clients(8)
    assert figures["transports/websocket"] == [None, None, 5, 5]
    assert (figures["protocols/v1"], figures["protocols/v2 json"]) == ([None, None, 3, 3], [None, None, 2, 2])
    assert figures["closed/slow"] == [None, None, 0.5, 0]
    assert figures["waiting/clients"] == figures["waiting/bytes"] == [0, 0, 0, 0]
    assert not set(figures) & set(bench.samples.read(bench.samples.window(8)))


def test_samples_contain_what_waits_for_clients(bench: Bench) -> None:
    bench.run(2)
    for frame in (b"abc", b"de"):
        FakeTransport(bench.flusher).outbox.append(frame)
    bench.run(2)
    settle()
    bench.run(2)
    figures = bench.of_clients(6)
    assert (figures["waiting/clients"], figures["waiting/bytes"]) == ([0, 2, 0], [0, 5, 0])


def test_reasons_that_an_application_invents_do_not_take_more_memory(bench: Bench) -> None:
    for number in range(100):
        bench.metrics.breakdowns.note_close("v2 json", 4000 + number, f"reason {number}")
    bench.run(4)
    for number in range(100):
        bench.metrics.breakdowns.note_close("v2 json", 4000 + number, f"reason {number}")
    bench.run(2)
    closed = {name: values for name, values in bench.of_clients(6).items() if name.startswith("closed/")}
    assert len(closed) == MAX_REASONS + 1
    assert sum(values[-1] or 0 for values in closed.values()) * 2 == 100
    assert closed["closed/other"][-1] == (100 - MAX_REASONS) / 2


def test_percentiles_are_those_of_the_step_alone(bench: Bench) -> None:
    bench.run(4)
    for milliseconds in range(1, 101):
        bench.metrics.http_api.record(milliseconds / 1000)
    bench.run(4)
    for percentile in SAMPLED_PERCENTILES:
        values = bench.figure(f"http_api_{percentile}%ile", 8)
        assert values == [0, 0, pytest.approx(percentile * 1000, rel=0.04), 0]
    assert set(bench.figure("client_api_99%ile", 8)) == {0}


def test_samples_do_not_change_the_histograms_of_stats(bench: Bench) -> None:
    latency = bench.metrics.http_api
    latency.record(0.001)
    assert latency.values()["http_api_1_count"] == 1
    bench.samples.take()
    latency.record(0.001)
    assert latency.values()["http_api_1_count"] == 2
    latency.rotate()
    assert latency.values()["http_api_1_count"] == 0
    assert latency.values()["http_api_15_count"] == 2
    assert sum(latency.take_recorded().values()) == 1, "the second one, whose interval has ended meanwhile"
    assert latency.values()["http_api_15_count"] == 2


@given(st.lists(st.integers(0, 70_000_000), min_size=1))
def test_a_percentile_is_at_most_three_percent_too_high(microseconds: list[int]) -> None:
    durations = Durations()
    durations.add(Counter(microseconds))
    exact = sorted(microseconds)
    for percentile, found in zip(SAMPLED_PERCENTILES, durations.take(), strict=True):
        true = exact[-(-percentile * len(exact) // 100) - 1]
        assert true <= found <= true * 1.04 + 1
    assert durations.take() == [0, 0, 0]


def test_a_gap_is_null_in_json(bench: Bench) -> None:
    bench.run(2)
    encoded = msgspec.json.encode(bench.samples.read(bench.samples.window(4)))
    assert json.loads(encoded)["clients"] == [None, 0]


def test_unknown_step_returns_no_samples(bench: Bench) -> None:
    bench.run(10)
    assert bench.samples.read(SamplesWanted(7, 1, 10)) == {}


def test_a_running_node_takes_samples_of_itself(start_node: Callable[..., Node]) -> None:
    node = start_node()
    LocalClient.connected(node).subscribe("news")
    samples = node.cluster.samples

    def figures() -> dict[str, float | None]:
        wanted = samples.window(2, samples._clock() - 100)
        return {name: values[-1] for name, values in samples.read(wanted).items() if values}

    eventually(lambda: figures().get("clients") == 1, within=10)
    eventually(lambda: figures().get("published") == 0, within=10)
    now = figures()
    assert set(RATES) <= set(now)
    assert (now["channels"], now["subscriptions"], now["engine_up"]) == (1, 1, 1)
    assert (now["memory"] or 0) > 1e6
