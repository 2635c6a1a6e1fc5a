"""How a round writes its connections: one after the other, or those with a descriptor by one call."""

from __future__ import annotations

import socket as plain
from typing import Any

import pytest

from gentrifugo.app.net.bulk_send import Unfinished
from gentrifugo.app.net.flushable import Flushable
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.outbox import NO_LIMIT, Outbox
from gentrifugo.app.net.round_writer import write_all
from tests.fakes import FakeSocket, FakeTransport
from tests.greenlets import settle


class Dropping(FakeSocket):
    """A socket whose write makes another connection drop its frames."""

    def __init__(self, other: Outbox) -> None:
        super().__init__()
        self.other = other

    def send(self, data: bytes, /) -> int:
        self.other.drop_waiting()
        return super().send(data)


def test_frames_are_joined_when_it_is_the_turn_of_their_connection() -> None:
    flusher = Flusher(0)
    other = FakeTransport(flusher)
    socket = Dropping(other.outbox)
    outbox = Outbox(flusher, socket, NO_LIMIT, lambda: None, lambda reason: None)
    outbox.frames, outbox.size = [b"a"], 1
    other.outbox.frames, other.outbox.size = [b"b", b"c"], 2
    write_all([outbox, other.outbox], None)
    assert (socket.sent, other.socket.sent) == ([b"a"], [b"b"])


def test_connections_with_a_descriptor_are_written_by_one_call_before_the_others() -> None:
    flusher = Flusher(0)
    others = [FakeTransport(flusher), FakeTransport(flusher)]
    ends = [*plain.socketpair()]
    sockets = [Outbox(flusher, end, NO_LIMIT, lambda: None, lambda reason: None) for end in ends]
    outboxes = [others[0].outbox, sockets[0], others[1].outbox, sockets[1]]
    for number, outbox in enumerate(outboxes):
        outbox.frames, outbox.size = [b"%d" % number, b"!"], 2
    calls: list[list[Flushable]] = []

    def send_waiting(given: list[Flushable]) -> Unfinished:
        assert not any(other.socket.sent for other in others)
        calls.append(given)
        return [(outboxes[0], None), (outboxes[1], 2), (outboxes[2], None), (outboxes[3], 1)]

    write_all([*outboxes], send_waiting)
    assert calls == [outboxes]
    assert [other.socket.sent for other in others] == [[b"0!"], [b"2!"]]
    assert [(outbox.frames, outbox.size) for outbox in outboxes] == [([], 0)] * 3 + [([b"!"], 1)]
    sockets[1].close()
    for end in ends:
        end.close()


def test_outboxes_are_written_one_by_one_if_they_cannot_be_written_together() -> None:
    flusher = Flusher(0)
    transports = [FakeTransport(flusher) for _ in range(3)]
    for transport in transports:
        transport.outbox.frames, transport.outbox.size = [b"a", b"b"], 2

    def send_waiting(given: list[Flushable]) -> Unfinished:
        raise MemoryError

    write_all([transport.outbox for transport in transports], send_waiting)
    assert [transport.socket.sent for transport in transports] == [[b"ab"]] * 3


def test_connections_whose_results_are_lost_are_closed_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    flusher = Flusher(0)
    reasons: list[str] = []
    outboxes = [Outbox(flusher, FakeSocket(), NO_LIMIT, lambda: None, reasons.append) for _ in range(3)]

    write_all([*outboxes], lambda given: None)
    assert reasons == ["internal server error"] * 3
    assert caplog.messages == ["internal error: the results of writing are lost, closing 3 connections"]


@pytest.mark.usefixtures("speedups")
def test_frames_that_cannot_be_joined_close_only_their_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    flusher = Flusher(0)
    reasons: list[str] = []
    ends = [end for _ in range(3) for end in plain.socketpair()]
    for end in ends:
        end.setblocking(False)
    outboxes = [Outbox(flusher, end, NO_LIMIT, lambda: None, reasons.append) for end in ends[::2]]
    for outbox in outboxes:
        outbox.append(b"1")
    wrong: Any = "text"
    outboxes[1].frames.append(wrong)
    outboxes[0].append(b"2")
    settle()
    assert reasons == ["internal server error"]
    outboxes[2].append(b"3")
    settle()
    assert [ends[1].recv(10), ends[5].recv(10)] == [b"12", b"13"]
    assert caplog.messages == ["internal error while writing, closing connection"]
    for end in ends:
        end.close()
