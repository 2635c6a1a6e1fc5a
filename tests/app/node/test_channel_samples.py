"""Behaviour of the samples of channels: which are recorded, since when, what is kept, and how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.channel_samples import (
    LOOKUP_INTERVAL,
    MAX_LISTED,
    MAX_RECORDED,
    PRESENCE_TIME,
    ChannelSamples,
)
from gentrifugo.app.node.hub import Hub
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.questions import ChannelQuestion, ListQuestion
from gentrifugo.app.node.rings import MAX_WINDOW, STEPS, window_of
from tests.app.node.parts import ALICE
from tests.fakes import FailingEngine, FakeClock
from tests.local_client import LocalClient

MAX_MEMORY = 1_400_000
"""Bytes of the samples of all channels of one node, which docs/admin.md promises."""


class Bench:
    """ChannelSamples at times that the test chooses; `present` is the presence that the engine tells."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clock.now = 1_800_000_000.0
        self.present: dict[str, int] = {}
        self.asked: list[str] = []
        self.samples = ChannelSamples(Hub(Flusher(0)), self._count_presence, self.clock)

    def _count_presence(self, channel: str) -> int | None:
        self.asked.append(channel)
        return self.present.get(channel)

    def run(self, seconds: int, step: int = 2) -> None:
        for _ in range(0, seconds, step):
            self.samples.take(self.clock.now)
            self.clock.advance(step)

    def figures(self, channel: str, window: float) -> dict[str, list[float | None]]:
        return self.read(channel, window)[0]

    def read(self, channel: str, window: float) -> tuple[dict[str, list[float | None]], float]:
        wanted = window_of(self.clock.now, window)
        wanted.about, wanted.channel = "channel", channel
        return self.samples.read(wanted)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_channel_is_recorded_from_when_it_is_named(bench: Bench) -> None:
    assert bench.read("news", 60) == ({}, 0.0)
    began = bench.clock.now
    bench.samples.record(["news"])
    bench.run(4)
    bench.samples.published["news"] += 6
    bench.run(4)
    figures, since = bench.read("news", 8)
    assert since == began
    assert figures == {"subscribers": [0, 0, 0, 0], "rate": [None, 0, 3, 0]}


def test_a_pause_of_the_process_stays_a_gap(bench: Bench) -> None:
    bench.samples.record(["news"])
    bench.run(4)
    bench.clock.advance(6)
    bench.run(4)
    assert bench.figures("news", 14)["subscribers"] == [0, 0, None, None, None, 0, 0]


def test_the_channel_that_was_named_the_longest_time_ago_makes_room(bench: Bench) -> None:
    bench.samples.record(f"channel {number}" for number in range(MAX_RECORDED))
    bench.samples.record(["channel 0", "new"])
    bench.run(2)
    assert "subscribers" in bench.figures("channel 0", 2)
    assert bench.figures("channel 1", 2) == {}
    assert set(bench.samples.published) == {"new", *(f"channel {number}" for number in range(MAX_RECORDED))} - {
        "channel 1"
    }


def test_memory_of_channels_has_a_limit(bench: Bench) -> None:
    for number in range(3 * MAX_RECORDED):
        bench.present[f"channel {number}"] = 1
        bench.samples.open(f"channel {number}")
    bench.samples.update_presence()
    bench.run(62)
    bench.run(MAX_WINDOW, step=max(STEPS))
    assert bench.samples.memory == 3 * MAX_RECORDED * sum(STEPS.values()) * 8 < MAX_MEMORY


def test_presence_of_channels_that_an_operator_has_opened_is_counted_for_an_hour(bench: Bench) -> None:
    bench.present = {"open": 7, "listed": 8}
    bench.samples.open("open")
    bench.samples.record(["listed"])
    bench.samples.update_presence()
    bench.run(2)
    assert bench.figures("open", 2)["present"] == [7]
    assert "present" not in bench.figures("listed", 2)
    bench.clock.advance(PRESENCE_TIME)
    bench.samples.update_presence()
    assert bench.asked == ["open"]


def test_presence_without_a_recent_answer_is_a_gap(bench: Bench) -> None:
    bench.present = {"news": 7}
    bench.samples.open("news")
    bench.samples.update_presence()
    bench.run(2)
    bench.present = {}
    bench.clock.advance(2 * LOOKUP_INTERVAL)
    bench.samples.update_presence()
    bench.run(2)
    assert bench.figures("news", 2) == {"subscribers": [0], "present": [None]}


def present_in(node: Node, channel: str) -> float | None:
    """Return the newest sample of the presence in a channel that an operator opens; None if there is none."""
    samples, now = node.channel_samples, time.time()
    samples.open(channel)
    samples.update_presence()
    samples.take(now)
    wanted = window_of(now + 2, 4)
    wanted.about, wanted.channel = "channel", channel
    taken = [each for each in samples.read(wanted)[0].get("present", []) if each is not None]
    return taken[-1] if taken else None


def test_presence_is_known_only_in_channels_with_that_option(node: Node) -> None:
    for channel in ("rich:news", "news", "removed namespace:news"):
        node.add_presence(channel, "c1", ALICE)
    assert present_in(node, "rich:news") == 1
    assert present_in(node, "news") is None
    assert present_in(node, "removed namespace:news") is None


def test_a_failed_count_of_presence_is_logged(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("count_presence")
    assert present_in(node, "rich:news") is None
    assert "cannot count presence: in 'rich:news': count_presence has failed" in caplog.text


def test_a_node_records_the_channels_with_the_most_subscribers(start_node: Callable[..., Node]) -> None:
    node = start_node()
    node.channel_samples.stop()
    for number in range(MAX_LISTED + 5):
        client = LocalClient.connected(node, user=f"user {number}")
        for channel in range(number, MAX_LISTED + 5):
            client.subscribe(f"channel{channel}")
    node.channel_samples.find()
    assert set(node.channel_samples.published) == {f"channel{number}" for number in range(5, MAX_LISTED + 5)}


def test_a_node_records_what_operators_look_at(start_node: Callable[..., Node]) -> None:
    node = start_node()
    node.channel_samples.stop()
    client = LocalClient.connected(node)
    client.subscribe("listed")
    client.subscribe("searched")
    recorded = node.channel_samples.published
    node.answers.answer(ListQuestion("channels", text="searched"))
    node.answers.answer(ListQuestion("users"))
    assert set(recorded) == set()
    node.answers.answer(ChannelQuestion("opened"))
    assert set(recorded) == {"opened"}
    node.answers.answer(ListQuestion("channels"))
    assert set(recorded) == {"opened", "listed", "searched"}


def test_publications_of_a_recorded_channel_are_counted(start_node: Callable[..., Node]) -> None:
    node = start_node()
    node.channel_samples.stop()
    client = LocalClient.connected(node)
    client.subscribe("news")
    client.subscribe("other")
    node.channel_samples.record(["news"])
    for channel in ("news", "news", "other"):
        node.publish(channel, b"1")
    assert node.channel_samples.published == {"news": 2}
