"""Connections that are written one after the other, because the C module for sending is not used."""

from __future__ import annotations

from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.net.outbox import NO_LIMIT, Outbox
from gentrifugo.app.net.round_writer import write_all
from tests.fakes import FakeSocket, FakeTransport


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
