"""Subscribers with positions receive every publication of a stream in order, or have to recover."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from gentrifugo.app.model.events import Publication, StreamPosition
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.hub import Hub, OpenConnection
from gentrifugo.app.node.live_streams import LiveStreams
from tests.fakes import PLAIN, FakeConnection
from tests.greenlets import eventually, nothing_left_behind, settle

__all__ = ["nothing_left_behind"]

POSITIONED = PLAIN._replace(is_positioned=True)


def kept(offset: int, epoch: str = "e") -> Publication:
    return Publication(f"u{offset}", "news", b"%d" % offset, offset=offset, epoch=epoch)


class Bench:
    """The streams of a hub; `top` is the newest position that the engine knows."""

    def __init__(self) -> None:
        self.flusher = Flusher(0)
        self.hub = Hub(self.flusher)
        self.top = StreamPosition(0, "e")
        self.streams = LiveStreams(self.hub, lambda channel: self.top, self._spread)

    @staticmethod
    def _spread(connections: Sequence[OpenConnection], action: Callable[[OpenConnection], None]) -> None:
        for connection in connections:
            action(connection)

    def held(self, uid: str) -> FakeConnection:
        """A subscriber with positions for which publications are held."""
        connection = FakeConnection(self.flusher, uid, encoding=POSITIONED)
        connection.channels["news"] = b""
        self.hub.open.add(connection)
        self.hub.add(connection)
        self.hub.add_subscription("news", connection, hold=True)
        return connection

    def live(self, uid: str, offset: int) -> FakeConnection:
        """A subscriber with positions that has received the stream up to an offset."""
        connection = self.held(uid)
        assert self.streams.release("news", connection, StreamPosition(offset, "e")) == []
        return connection


@pytest.fixture
def bench(nothing_left_behind: None) -> Bench:
    return Bench()


def test_a_subscriber_stays_held_if_a_publication_before_the_held_ones_is_missing(bench: Bench) -> None:
    connection = bench.held("c1")
    bench.streams.deliver(kept(5))
    assert bench.streams.release("news", connection, StreamPosition(2, "e")) is None
    assert [publication.offset for publication in bench.hub.held("news", connection)] == [5]


def test_a_subscriber_stays_held_if_others_are_further_in_the_stream(bench: Bench) -> None:
    bench.live("c1", offset=3)
    connection = bench.held("c2")
    assert bench.streams.release("news", connection, StreamPosition(2, "e")) is None


def test_subscribers_recover_if_another_one_has_received_more_than_this_node(bench: Bench) -> None:
    first = bench.live("c1", offset=1)
    second = bench.live("c2", offset=2)
    eventually(lambda: first.closed_with)
    assert second.closed_with == []
    bench.streams.deliver(kept(3))
    settle()
    assert [connection.transport.messages() != [] for connection in (first, second)] == [False, True]


def test_subscribers_of_a_quiet_channel_recover_if_its_last_publication_was_lost(bench: Bench) -> None:
    connection = bench.live("c1", offset=1)
    bench.top = StreamPosition(2, "e")
    for _ in range(2):  # the first check only notes the position
        bench.streams._check.check()
    eventually(lambda: connection.closed_with)
