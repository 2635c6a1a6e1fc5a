"""Counting by bytes is exact, and checking detects lost, duplicate, unordered and changed messages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.frames import PING
from benchmarks.message import Format, Message
from benchmarks.protocols import PROTOCOLS
from benchmarks.receivers import CheckingReceiver, CountingReceiver, Deliveries, Receiver

FORMAT = Format(100)
PING_FRAME = b"\x89\x00"


def frame(payload: Any) -> bytes:
    data = json.dumps(payload).encode()
    return b"\x81\x7e" + len(data).to_bytes(2, "big") + data


def push(number: int, publisher: int = 0, channel: str = "news", data_format: Format = FORMAT) -> dict[str, Any]:
    data = json.loads(data_format.data(Message(publisher, number, 0)))
    return {"method": "message", "body": {"channel": channel, "data": data}}


def feed(receiver: Receiver, chunks: Iterable[bytes]) -> list[int]:
    """Feed a receiver, and return the opcodes of the control frames."""
    return [control.opcode for chunk in chunks for control in receiver.receive(memoryview(chunk))]


@pytest.fixture
def deliveries() -> Deliveries:
    """Deliveries after one message, so that the size of a frame is known."""
    deliveries = Deliveries()
    feed(CheckingReceiver(deliveries, FORMAT, "news"), [frame(push(0))])
    deliveries.count = 0
    return deliveries


@pytest.mark.parametrize("step", [1, 7, 150, 151, 1000, 100_000])
def test_messages_are_counted_however_they_are_cut(deliveries: Deliveries, step: int) -> None:
    data = b"".join(frame(push(number)) for number in range(20))
    counter = CountingReceiver(deliveries)
    feed(counter, (data[start : start + step] for start in range(0, len(data), step)))
    assert counter.messages == deliveries.count == 20


def test_messages_are_counted_before_their_size_is_known() -> None:
    counter = CountingReceiver(Deliveries())
    feed(counter, [frame(push(0)) * 3])
    assert counter.messages == 3


@pytest.mark.parametrize("step", [1, 50, 10_000])
def test_pings_between_messages_are_no_messages(deliveries: Deliveries, step: int) -> None:
    data = PING_FRAME + frame(push(0)) * 2 + PING_FRAME + frame(push(1)) + PING_FRAME
    counter = CountingReceiver(deliveries)
    controls = feed(counter, (data[start : start + step] for start in range(0, len(data), step)))
    assert counter.messages == 3
    assert controls == [PING] * 3


def test_the_right_messages_pass(deliveries: Deliveries) -> None:
    checker = CheckingReceiver(deliveries, FORMAT, "news")
    feed(checker, [frame(push(0)), frame(push(0, publisher=1)), frame(push(1)) + PING_FRAME + frame(push(2))])
    assert checker.messages == 4
    assert len(deliveries.latencies) == 5


def test_several_messages_in_one_frame_are_checked_separately() -> None:
    checker = CheckingReceiver(Deliveries(), FORMAT, "news", constant=False)
    feed(checker, [frame([push(0), push(1)]), frame(push(2))])
    assert checker.messages == 3


@pytest.mark.parametrize(
    ("pushes", "complaint"),
    [
        ([push(0), push(2)], "message 2 of publisher 0, expected message 1"),
        ([push(0), push(0)], "message 0 of publisher 0, expected message 1"),
        ([push(1)], "message 1 of publisher 0, expected message 0"),
        ([push(0, channel="other")], "'other' reached a subscriber of 'news'"),
        ([push(0, data_format=Format(90))], "does not have the size of the sent message"),
        ([{"method": "message", "body": {"channel": "news", "data": 1}}], "not a message of this load"),
        ([{"method": "join", "body": {"channel": "news"}}], "turn off option join_leave"),
    ],
    ids=["lost", "doubled", "out of order", "astray", "cut", "foreign", "a join"],
)
def test_delivery_errors_are_named(pushes: list[dict[str, Any]], complaint: str) -> None:
    with pytest.raises(BenchmarkError, match=complaint):
        feed(CheckingReceiver(Deliveries(), FORMAT, "news", constant=False), map(frame, pushes))


def test_frames_of_different_sizes_cannot_be_counted(deliveries: Deliveries) -> None:
    with pytest.raises(BenchmarkError, match="use --check"):
        feed(CheckingReceiver(deliveries, FORMAT, "news"), [frame([push(0), push(1)])])


@pytest.mark.parametrize(("name", "ping"), [("v2", b"\x81\x02{}"), ("v2-protobuf", b"\x82\x01\x00")])
def test_pings_of_protocol_v2_are_no_messages(name: str, ping: bytes) -> None:
    counter = CountingReceiver(Deliveries(), PROTOCOLS[name])
    assert [frame.payload for frame in counter.receive(memoryview(ping * 2))] == [PROTOCOLS[name].ping] * 2
    assert counter.messages == 0
