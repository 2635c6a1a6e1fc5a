"""Behaviour of the flusher: the number of system calls, the rests, and connections that must not wait for others."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

import gevent
import pytest

from gentrifugo.app.net import flusher as flusher_module
from gentrifugo.app.net import lane as lane_module
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.outbox import NO_LIMIT, Outbox
from tests.fakes import FakeSocket, FakeTransport
from tests.greenlets import eventually, settle
from tests.waiting import seconds


@pytest.fixture
def flusher(nothing_left_behind: None, speedups: bool) -> Flusher:
    """A flusher that never rests."""
    return Flusher(0)


# -- what is written


def test_frames_that_wait_together_leave_in_one_send(flusher: Flusher) -> None:
    transport = FakeTransport(flusher)
    for frame in (b"a", b"b", b"c"):
        transport.outbox.append(frame)
    assert transport.socket.sent == []
    settle()
    assert transport.socket.sent == [b"abc"]


def test_a_frame_alone_is_the_same_object_for_all_receivers(flusher: Flusher) -> None:
    transports = [FakeTransport(flusher) for _ in range(3)]
    frame = bytes(bytearray(b"frame"))
    flusher.fan_out([transport.outbox for transport in transports], frame)
    settle()
    assert all(transport.socket.sent[0] is frame for transport in transports)


def test_joined_frames_are_the_same_object_for_receivers_with_the_same_backlog(flusher: Flusher) -> None:
    first, second, other = (FakeTransport(flusher) for _ in range(3))
    flusher.fan_out([first.outbox, second.outbox], b"a")
    flusher.fan_out([first.outbox, second.outbox, other.outbox], b"b")
    settle()
    assert first.socket.sent == [b"ab"]
    assert first.socket.sent[0] is second.socket.sent[0]
    assert other.socket.sent == [b"b"]


def test_each_receiver_gets_its_own_frames_in_order(flusher: Flusher) -> None:
    first, second = FakeTransport(flusher), FakeTransport(flusher)
    first.outbox.append(b"1")
    flusher.fan_out([second.outbox, first.outbox], b"2")
    second.outbox.append(b"3")
    settle()
    assert (first.socket.sent, second.socket.sent) == ([b"12"], [b"23"])


def test_frames_appended_during_a_round_are_written_in_the_next(flusher: Flusher) -> None:
    class Answering(FakeSocket):
        def send(self, data: bytes, /) -> int:
            if not self.sent:
                transport.outbox.append(b"answer")
            return super().send(data)

    transport = FakeTransport(flusher)
    other = Outbox(flusher, Answering(), NO_LIMIT, lambda: None, lambda reason: None)
    other.append(b"question")
    settle()
    assert transport.socket.sent == [b"answer"]


# -- rest between rounds


def test_a_lone_frame_is_written_at_once(nothing_left_behind: None) -> None:
    transport = FakeTransport(Flusher(rest=3600, rest_factor=inf))
    transport.outbox.append(b"a")
    settle()
    assert transport.socket.sent == [b"a"]


@pytest.fixture
def any_number_is_many(nothing_left_behind: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages for a single connection have the lane of messages for many."""
    monkeypatch.setattr(flusher_module, "MAX_FEW", 0)


@pytest.mark.usefixtures("any_number_is_many")
def test_frames_gather_during_the_rest_after_a_round() -> None:
    transport = FakeTransport(Flusher(rest=3600, rest_factor=inf, cpu_share=lambda: 1))
    transport.outbox.append(b"a")
    settle()
    transport.outbox.append(b"b")
    settle()
    assert transport.socket.sent == [b"a"]


@pytest.mark.usefixtures("any_number_is_many")
def test_there_is_no_rest_with_cpu_to_spare_when_no_frames_gather() -> None:
    transport = FakeTransport(Flusher(rest=3600, rest_factor=inf, cpu_share=lambda: 0))
    for frame in (b"a", b"b"):
        transport.outbox.append(frame)
        settle()
    assert transport.socket.sent == [b"a", b"b"]


def test_after_a_short_round_the_rest_is_short(nothing_left_behind: None) -> None:
    """A client that waits for each reply must not wait for the longest rest each time."""
    transport = FakeTransport(Flusher(rest=3600))
    for number in range(100):
        transport.outbox.append(b"%d" % number)
        assert transport.outbox.drain(seconds(5))


@pytest.mark.usefixtures("any_number_is_many")
def test_frames_queued_during_the_rest_are_written_after_it() -> None:
    transport = FakeTransport(Flusher(rest=0.01, rest_factor=inf, cpu_share=lambda: 1))
    for frames in ([b"a"], [b"b", b"c"]):
        for frame in frames:
            transport.outbox.append(frame)
        settle()
    assert eventually(lambda: len(transport.socket.sent) > 1 and transport.socket.sent) == [b"a", b"bc"]


@pytest.mark.parametrize(("cpu_share", "rests"), [(0, False), (0.65, False), (0.9, True), (1, True)])
@pytest.mark.usefixtures("any_number_is_many")
def test_the_rest_is_long_only_when_the_process_is_busy(cpu_share: float, rests: bool) -> None:
    rest = seconds(0.2)
    transport = FakeTransport(Flusher(rest, inf, cpu_share=lambda: cpu_share))
    transport.outbox.append(b"a")
    settle()
    transport.outbox.append(b"b")
    gevent.sleep(rest / 2)
    assert transport.socket.sent == ([b"a"] if rests else [b"a", b"b"])
    eventually(lambda: transport.socket.sent == [b"a", b"b"])


# -- rest between rounds when many frames come


def publish_for(duration: float, connections: int, transports: list[FakeTransport], flusher: Flusher) -> int:
    """Queue a frame for one connection after the other, 2000 per second, and return the number of sends."""
    began = time.monotonic()
    count = 0
    while (passed := time.monotonic() - began) < duration:
        while count < passed * 2000:
            transports[count % connections].outbox.append(b"a")
            count += 1
        gevent.sleep(0.004)  # then eight frames come at once, two for each of four connections
    eventually(lambda: flusher.frames_sent == flusher.frames_queued)
    return sum(len(transport.socket.sent) for transport in transports)


@pytest.mark.usefixtures("any_number_is_many")
def test_the_rest_is_long_when_many_frames_gather_meanwhile() -> None:
    """Even if there is CPU to spare: a quarter of the rest would mean 20 rounds per second and connection."""
    flusher = Flusher(rest=0.2, rest_factor=inf, cpu_share=lambda: 0)
    transports = [FakeTransport(flusher) for _ in range(4)]
    before = publish_for(0.5, 4, transports, flusher)
    sends = publish_for(1.0, 4, transports, flusher) - before
    assert sends < 10 * len(transports)


# -- rest between rounds of small channels


def test_small_channels_rest_when_frames_gather_meanwhile(nothing_left_behind: None) -> None:
    flusher = Flusher(rest=2, rest_factor=inf)
    transports = [FakeTransport(flusher) for _ in range(4)]
    sends = publish_for(1.0, 4, transports, flusher)
    assert sends < flusher.frames_sent / 4


def test_small_channels_do_not_rest_when_no_frames_would_gather(nothing_left_behind: None) -> None:
    flusher = Flusher(rest=0.2, rest_factor=inf)
    transports = [FakeTransport(flusher) for _ in range(2000)]
    publish_for(0.5, 2000, transports, flusher)
    lone = FakeTransport(flusher)
    lone.outbox.append(b"a")
    settle()
    assert lone.socket.sent == [b"a"]


# -- counts, and what goes wrong


def test_the_flusher_counts_frames_and_bytes(flusher: Flusher) -> None:
    transports = [FakeTransport(flusher) for _ in range(3)]
    flusher.fan_out([transport.outbox for transport in transports], b"abc")
    assert (flusher.frames_queued, flusher.frames_sent, flusher.bytes_sent) == (3, 0, 0)
    settle()
    assert (flusher.frames_queued, flusher.frames_sent, flusher.bytes_sent) == (3, 3, 9)


def test_broken_socket_does_not_delay_others(flusher: Flusher) -> None:
    dead, alive = FakeTransport(flusher), FakeTransport(flusher)
    dead.socket.broken = True
    flusher.fan_out([dead.outbox, alive.outbox], b"a")
    settle()
    assert alive.socket.sent == [b"a"]


def test_a_defect_in_one_write_costs_one_connection(flusher: Flusher, caplog: pytest.LogCaptureFixture) -> None:
    class Defective(FakeSocket):
        def send(self, data: bytes, /) -> int:
            raise ZeroDivisionError

    errors: list[str] = []
    defective = Outbox(flusher, Defective(), NO_LIMIT, lambda: None, errors.append)
    transport = FakeTransport(flusher)
    for frame in (b"a", b"b"):
        flusher.fan_out([defective, transport.outbox], frame)
        settle()
    assert transport.socket.sent == [b"a", b"b"]
    assert errors == ["internal server error"]
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_receivers_before_an_error_in_queueing_are_written(flusher: Flusher) -> None:
    class Failing(Outbox):
        __slots__ = ()

        def overflow(self) -> None:
            raise MemoryError

    transport = FakeTransport(flusher)
    failing = Failing(flusher, FakeSocket(), 0, lambda: None, lambda reason: None)
    with pytest.raises(MemoryError):
        flusher.fan_out([transport.outbox, failing], b"a")
    settle()
    transport.outbox.append(b"b")
    settle()
    assert transport.socket.sent == [b"a", b"b"]


@pytest.mark.usefixtures("any_number_is_many")
def test_a_round_that_could_not_be_scheduled_is_scheduled_with_the_next_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_memory(lane: lane_module.Lane, wait: float) -> None:
        raise MemoryError

    flusher = Flusher(rest=0.01, rest_factor=inf, cpu_share=lambda: 1)
    first, second = FakeTransport(flusher), FakeTransport(flusher)
    first.outbox.append(b"1")
    settle()
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(lane_module.Lane, "_start_timer", without_memory)
        first.outbox.append(b"2")
    second.outbox.append(b"3")
    assert eventually(lambda: (first.socket.sent, second.socket.sent) == ([b"1", b"2"], [b"3"]))


@pytest.mark.usefixtures("short_slices")
def test_a_round_that_could_not_be_continued_is_continued_with_the_next_frame(
    flusher: Flusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(lane: lane_module.Lane, wait: float) -> None:
        raise MemoryError

    transports = [FakeTransport(flusher) for _ in range(3)]
    outboxes = [transport.outbox for transport in transports]
    with monkeypatch.context() as patch:
        patch.setattr(lane_module.Lane, "_start_timer", without_memory)
        patch.setattr(gevent.get_hub(), "handle_error", lambda *error: None)
        flusher.fan_out(outboxes, b"1")
        settle()
    assert [transport.socket.sent for transport in transports] == [[b"1"], [], []]
    flusher.fan_out(outboxes, b"2")
    eventually_true(lambda: [transport.socket.sent for transport in transports] == [[b"1", b"2"], [b"12"], [b"12"]])


# -- fairness


def test_long_round_lets_other_greenlets_run(flusher: Flusher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane_module, "SLICE", 0)
    monkeypatch.setattr(lane_module, "SENDS_AT_ONCE", 1)
    transports = [FakeTransport(flusher) for _ in range(4)]
    flusher.fan_out([transport.outbox for transport in transports], b"a")
    seen = set()
    while (written := sum(len(transport.socket.sent) for transport in transports)) < 4:
        seen.add(written)
        gevent.sleep(0)
    assert seen & {1, 2, 3}
    assert all(transport.socket.sent == [b"a"] for transport in transports)


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow one send for each lane and slice; more than one receiver count as many."""
    monkeypatch.setattr(lane_module, "SLICE", 0)
    monkeypatch.setattr(lane_module, "SENDS_AT_ONCE", 1)
    monkeypatch.setattr(flusher_module, "MAX_FEW", 1)


def eventually_true(check: Callable[[], bool]) -> None:
    """Let other greenlets run until `check` returns true."""
    deadline = time.monotonic() + seconds(5)
    while not check():
        assert time.monotonic() < deadline
        gevent.sleep(0)


@pytest.mark.usefixtures("short_slices")
def test_frames_queued_during_a_round_are_collected_for_the_next() -> None:
    flusher = Flusher(seconds(0.2), inf, cpu_share=lambda: 1)
    transports = [FakeTransport(flusher) for _ in range(4)]
    outboxes = [transport.outbox for transport in transports]
    flusher.fan_out(outboxes, b"1")
    eventually_true(lambda: transports[0].socket.sent == [b"1"])
    assert transports[3].socket.sent == []
    for frame in (b"2", b"3"):
        flusher.fan_out(outboxes, frame)
    eventually_true(lambda: transports[3].socket.sent == [b"123"])
    gevent.sleep(seconds(0.05))
    assert transports[0].socket.sent == [b"1"]
    eventually_true(lambda: transports[0].socket.sent == [b"1", b"23"])


@pytest.mark.usefixtures("short_slices")
def test_outboxes_wait_until_a_round_has_written_them(flusher: Flusher) -> None:
    transports = [FakeTransport(flusher) for _ in range(4)]
    outboxes = [transport.outbox for transport in transports]
    flusher.fan_out(outboxes, b"1")
    assert flusher.waiting() == set(outboxes)
    eventually_true(lambda: transports[0].socket.sent == [b"1"])
    flusher.fan_out(outboxes[:1], b"2")
    assert {outboxes[0], outboxes[3]} <= flusher.waiting()
    eventually_true(lambda: flusher.waiting() == set())
    assert [transport.socket.sent for transport in transports] == [[b"1", b"2"], [b"1"], [b"1"], [b"1"]]


@pytest.mark.usefixtures("short_slices")
def test_a_message_for_a_few_does_not_wait_for_a_round_of_many(flusher: Flusher) -> None:
    crowd = [FakeTransport(flusher) for _ in range(50)]
    flusher.fan_out([transport.outbox for transport in crowd], b"news")
    eventually_true(lambda: crowd[0].socket.sent == [b"news"])
    lone = FakeTransport(flusher)
    lone.outbox.append(b"reply")
    eventually_true(lambda: lone.socket.sent == [b"reply"])
    assert crowd[-1].socket.sent == []
    eventually_true(lambda: crowd[-1].socket.sent == [b"news"])


@pytest.mark.usefixtures("short_slices")
def test_many_messages_for_few_connections_do_not_delay_a_round_for_many(flusher: Flusher) -> None:
    few = [FakeTransport(flusher) for _ in range(50)]
    crowd = [FakeTransport(flusher) for _ in range(3)]
    for transport in few:
        transport.outbox.append(b"reply")
    flusher.fan_out([transport.outbox for transport in crowd], b"news")
    eventually_true(lambda: crowd[-1].socket.sent == [b"news"])
    assert few[-1].socket.sent == []
    eventually_true(lambda: few[-1].socket.sent == [b"reply"])


def test_an_outbox_that_both_many_and_few_write_to_keeps_the_order(flusher: Flusher) -> None:
    first, second = FakeTransport(flusher), FakeTransport(flusher)
    flusher.fan_out([first.outbox, second.outbox], b"1")
    first.outbox.append(b"2")
    flusher.fan_out([first.outbox, second.outbox], b"3")
    settle()
    assert (first.socket.sent, second.socket.sent) == ([b"123"], [b"13"])
