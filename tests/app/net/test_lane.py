"""Rounds of one lane: when waiting frames are written, and how the lane measures the rate of frames."""

from __future__ import annotations

import pytest

from gentrifugo.app.net import lane as lane_module
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.lane import Lane
from tests.fakes import FakeTransport
from tests.greenlets import eventually, settle

pytestmark = pytest.mark.usefixtures("nothing_left_behind")


@pytest.fixture
def rests() -> list[float]:
    """The seconds that each round took."""
    return []


@pytest.fixture
def lane(rests: list[float]) -> Lane:
    """A lane that never rests, and measures the rate in every round."""

    def rest(round_took: float) -> float:
        rests.append(round_took)
        return 0.0

    return Lane(rest, lambda: None, None)


def queue(lane: Lane, transport: FakeTransport, frames: list[bytes]) -> None:
    """Queue frames as the flusher does."""
    for frame in frames:
        if not transport.outbox.frames:
            lane.waiting.append(transport.outbox)
        transport.outbox.frames.append(frame)
        transport.outbox.size += len(frame)
        lane.queued += 1
        if not lane.is_scheduled:
            lane.schedule()


def test_a_round_writes_each_outbox_once_and_says_how_long_it_took(lane: Lane, rests: list[float]) -> None:
    first, second = FakeTransport(Flusher(0)), FakeTransport(Flusher(0))
    queue(lane, first, [b"a", b"b"])
    queue(lane, second, [b"c"])
    settle()
    assert (first.socket.sent, second.socket.sent) == ([b"ab"], [b"c"])
    assert len(rests) == 1
    assert rests[0] > 0
    assert not lane.is_scheduled


def test_rate_is_zero_while_each_connection_gets_one_frame(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "RATE_WINDOW", 0)
    for _ in range(3):
        queue(lane, FakeTransport(Flusher(0)), [b"a"])
        settle()
    assert lane.rate == 0


def test_rate_counts_frames_that_arrive_while_others_wait(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "RATE_WINDOW", 0)
    transports = [FakeTransport(Flusher(0)) for _ in range(4)]
    for transport in transports:
        queue(lane, transport, [b"a"] * 3)
    eventually(lambda: lane.rate > 0)


def test_rate_counts_outboxes_that_were_closed_while_they_waited(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "RATE_WINDOW", 0)
    transport = FakeTransport(Flusher(0))
    queue(lane, transport, [b"a"])
    transport.outbox.close()
    settle()
    assert lane.rate == 0
    assert not lane.is_scheduled
