"""Behaviour of the hub: registered connections, receivers of broadcasts, and that it keeps no data of closed ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.model.events import Encoding, Event, Join, Leave, Publication, RawClientInfo, Unsendable
from gentrifugo.app.net.flusher import Flusher
from gentrifugo.app.node.hub import CLOSE_UNSENDABLE, Hub
from tests.contents import contents
from tests.fakes import PLAIN, FakeConnection
from tests.greenlets import settle

MESSAGE = Publication("u1", "news", b"1")


class Bench:
    """A hub, and connections to register."""

    def __init__(self) -> None:
        self.flusher = Flusher(0)
        self.hub = Hub(self.flusher)

    def connection(self, uid: str, user: str = "alice", encoding: Encoding = PLAIN) -> FakeConnection:
        connection = FakeConnection(self.flusher, uid, user, encoding)
        self.hub.add(connection)
        return connection


@pytest.fixture
def bench(nothing_left_behind: None) -> Bench:
    return Bench()


# -- connections


def test_connections_are_found_by_their_user(bench: Bench) -> None:
    first, second, other = bench.connection("c1"), bench.connection("c2"), bench.connection("c3", "bob")
    assert set(bench.hub.user_connections("alice")) == {first, second}
    assert bench.hub.user_connections("bob") == [other]
    assert bench.hub.user_connections("carol") == []


def test_the_anonymous_user_is_a_user(bench: Bench) -> None:
    anonymous = bench.connection("c1", user="")
    assert bench.hub.user_connections("") == [anonymous]


def test_connections_and_users_are_counted(bench: Bench) -> None:
    for uid, user in (("c1", "alice"), ("c2", "alice"), ("c3", "bob")):
        bench.connection(uid, user)
    assert (bench.hub.num_connections, bench.hub.num_users) == (3, 2)


def test_removed_connection_is_not_found(bench: Bench) -> None:
    first, second = bench.connection("c1"), bench.connection("c2")
    bench.hub.remove(first)
    bench.hub.remove(first)
    assert bench.hub.user_connections("alice") == [second]
    assert (bench.hub.num_connections, bench.hub.num_users) == (1, 1)


def test_removing_an_unknown_connection_does_nothing(bench: Bench) -> None:
    bench.hub.remove(FakeConnection(bench.flusher, "c1"))
    assert bench.hub.num_connections == 0


def test_connections_of_a_user_may_close_during_iteration(bench: Bench) -> None:
    for number in range(3):
        bench.connection(f"c{number}")
    for connection in bench.hub.user_connections("alice"):
        bench.hub.remove(connection)
    assert bench.hub.num_users == 0


# -- subscriptions


def test_first_and_last_subscriber_of_a_channel_are_reported(bench: Bench) -> None:
    first, second = bench.connection("c1"), bench.connection("c2")
    assert bench.hub.add_subscription("news", first)
    assert not bench.hub.add_subscription("news", second)
    assert not bench.hub.remove_subscription("news", first)
    assert bench.hub.remove_subscription("news", second)


def test_first_and_last_do_not_depend_on_the_encoding(bench: Bench) -> None:
    first, second = bench.connection("c1"), bench.connection("c2", encoding=other_encoding())
    assert bench.hub.add_subscription("news", first)
    assert not bench.hub.add_subscription("news", second)
    assert not bench.hub.remove_subscription("news", first)
    assert bench.hub.remove_subscription("news", second)


def test_subscribing_twice_is_subscribing_once(bench: Bench) -> None:
    connection = bench.connection("c1")
    bench.hub.add_subscription("news", connection)
    assert not bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    assert len(connection.transport.messages()) == 1


def test_removing_an_unknown_subscription_does_nothing(bench: Bench) -> None:
    first, second = bench.connection("c1"), bench.connection("c2", encoding=other_encoding())
    assert not bench.hub.remove_subscription("news", first)
    bench.hub.add_subscription("news", first)
    assert not bench.hub.remove_subscription("news", second)
    assert not bench.hub.remove_subscription("other", first)
    assert bench.hub.has_subscribers("news")


def test_hub_lists_channels_with_subscribers(bench: Bench) -> None:
    connection = bench.connection("c1")
    for channel in ("news", "chat"):
        bench.hub.add_subscription(channel, connection)
    assert sorted(bench.hub.channels()) == ["chat", "news"]
    assert bench.hub.num_channels == 2
    assert bench.hub.has_subscribers("news")
    assert not bench.hub.has_subscribers("other")


# -- broadcast


def test_a_broadcast_reaches_the_subscribers_of_its_channel_only(bench: Bench) -> None:
    here, elsewhere, nowhere = (bench.connection(uid) for uid in ("c1", "c2", "c3"))
    bench.hub.add_subscription("news", here)
    bench.hub.add_subscription("chat", elsewhere)
    bench.hub.broadcast(MESSAGE)
    assert here.transport.messages() == [b'{"method":"message","body":{"uid":"u1","channel":"news","data":1}}']
    assert elsewhere.transport.messages() == nowhere.transport.messages() == []


@pytest.mark.parametrize(
    "event", [MESSAGE, Join("news", RawClientInfo("a", "c")), Leave("news", RawClientInfo("a", "c"))]
)
def test_every_kind_of_event_is_broadcast(bench: Bench, event: Event) -> None:
    connection = bench.connection("c1")
    bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(event)
    assert connection.transport.messages() == [PLAIN.push(event)]


def test_a_broadcast_is_encoded_and_framed_once_for_each_encoding(bench: Bench) -> None:
    encoded: list[str] = []
    encodings = [other_encoding(name, encoded) for name in ("one", "two")]
    connections = [bench.connection(f"c{number}", encoding=encodings[number % 2]) for number in range(6)]
    for connection in connections:
        bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    assert sorted(encoded) == ["one", "two"]
    assert connections[0].transport.messages() == [b"one u1"]
    assert connections[1].transport.messages() == [b"two u1"]
    assert connections[0].transport.socket.sent[0] is connections[2].transport.socket.sent[0]


def test_a_broadcast_into_an_empty_channel_encodes_nothing(bench: Bench) -> None:
    encoded: list[str] = []
    connection = bench.connection("c1", encoding=other_encoding("one", encoded))
    bench.hub.add_subscription("chat", connection)
    bench.hub.broadcast(MESSAGE)
    assert encoded == []


def test_unsubscribed_connection_gets_no_broadcasts(bench: Bench) -> None:
    connection = bench.connection("c1")
    bench.hub.add_subscription("news", connection)
    bench.hub.remove_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    assert connection.transport.messages() == []


# -- nothing left


def test_hub_without_connections_is_empty(bench: Bench) -> None:
    connections = [bench.connection(f"c{number}", encoding=other_encoding(str(number % 2))) for number in range(4)]
    for connection in connections:
        bench.hub.add_subscription("news", connection)
    for connection in connections:
        bench.hub.remove_subscription("news", connection)
        bench.hub.remove(connection)
    assert contents(bench.hub, bench.flusher) == []
    assert (bench.hub.num_connections, bench.hub.num_users, bench.hub.num_channels) == (0, 0, 0)


def other_encoding(name: str = "other", encoded: list[str] | None = None) -> Encoding:
    """Create another encoding; each use adds its name to `encoded`."""

    def push(event: Event) -> bytes:
        if encoded is not None:
            encoded.append(name)
        return f"{name} {getattr(event, 'uid', '')}".encode()

    return Encoding(push, PLAIN.frame)


def test_a_broadcast_is_encoded_once_for_all_transports(bench: Bench) -> None:
    calls: list[Event] = []

    def push(event: Event) -> bytes:
        calls.append(event)
        return b"pushed"

    encodings = [Encoding(push, frame) for frame in (bytes.upper, bytes.title, bytes.swapcase)]
    for number, encoding in enumerate(encodings):
        connection = bench.connection(f"c{number}", encoding=encoding)
        bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    assert calls == [MESSAGE]


def test_subscribers_of_a_channel_are_counted_over_all_encodings(bench: Bench) -> None:
    other = Encoding(PLAIN.push, lambda message: message)
    for uid, encoding in (("c1", PLAIN), ("c2", PLAIN), ("c3", other)):
        bench.hub.add_subscription("news", bench.connection(uid, encoding=encoding))
    assert (bench.hub.num_subscribers("news"), bench.hub.num_subscribers("sport")) == (3, 0)


# -- publications that are held


def test_publications_are_held_for_a_recovering_connection(bench: Bench) -> None:
    live, returning = bench.connection("c1"), bench.connection("c2")
    bench.hub.add_subscription("news", live)
    bench.hub.add_subscription("news", returning, hold=True)
    bench.hub.broadcast(MESSAGE)
    bench.hub.broadcast(Join("news", RawClientInfo("alice", "c2")))
    assert [b"message" in push for push in live.transport.messages()] == [True, False]
    assert [b"join" in push for push in returning.transport.messages()] == [True]
    assert bench.hub.release("news", returning) == [MESSAGE]
    assert bench.hub.release("news", returning) == []
    bench.hub.broadcast(MESSAGE)
    assert len(returning.transport.messages()) == 2


def test_recovering_connection_counts_as_subscriber(bench: Bench) -> None:
    first, second = bench.connection("c1"), bench.connection("c2")
    assert bench.hub.add_subscription("news", first, hold=True)
    assert not bench.hub.add_subscription("news", second, hold=True)
    assert (bench.hub.channels(), bench.hub.num_channels, bench.hub.num_subscribers("news")) == (["news"], 1, 2)
    bench.hub.release("news", first)
    assert (bench.hub.channels(), bench.hub.num_channels, bench.hub.num_subscribers("news")) == (["news"], 1, 2)
    assert not bench.hub.remove_subscription("news", second)
    assert bench.hub.remove_subscription("news", first)
    assert not bench.hub.has_subscribers("news")


def test_held_publications_are_dropped_when_the_connection_unsubscribes(bench: Bench) -> None:
    connection = bench.connection("c1")
    bench.hub.add_subscription("news", connection, hold=True)
    assert bench.hub.remove_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    assert bench.hub.release("news", connection) == []
    assert not bench.hub.has_subscribers("news")


def test_held_publications_are_limited_by_the_queue_size(bench: Bench) -> None:
    slow: list[str] = []
    connection = bench.connection("c1")
    connection.transport.on_overflow = lambda: slow.append("slow")
    connection.outbox.limit = 100
    bench.hub.add_subscription("news", connection, hold=True)
    for _ in range(3):
        bench.hub.broadcast(Publication("u1", "news", b"x" * 40))
    assert slow == ["slow"]


# -- subscribers that lack something


def test_connection_with_missing_publication_is_muted_until_it_resubscribes(bench: Bench) -> None:
    lacking, returning, later = (bench.connection(f"c{number}") for number in range(3))
    bench.hub.add_subscription("news", lacking)
    bench.hub.add_subscription("news", returning, hold=True)
    bench.hub.mute("news")
    assert not bench.hub.add_subscription("news", later)
    bench.hub.broadcast(MESSAGE)
    assert [len(connection.transport.messages()) for connection in (lacking, later)] == [0, 1]
    assert bench.hub.release("news", returning) == [MESSAGE]
    assert [bench.hub.is_muted("news", connection) for connection in (lacking, returning, later)] == [
        True,
        False,
        False,
    ]
    assert (bench.hub.channels(), bench.hub.num_channels, bench.hub.num_subscribers("news")) == (["news"], 1, 3)
    assert not bench.hub.remove_subscription("news", returning)
    assert not bench.hub.remove_subscription("news", later)
    assert bench.hub.has_subscribers("news")
    assert bench.hub.remove_subscription("news", lacking)
    assert not bench.hub.is_muted("news", lacking)
    bench.hub.add_subscription("news", lacking)
    bench.hub.broadcast(MESSAGE)
    assert len(lacking.transport.messages()) == 1


def test_muting_a_channel_without_subscribers_has_no_effect(bench: Bench) -> None:
    bench.hub.mute("news")
    assert not bench.hub.has_subscribers("news")


# -- filters, encodings that change, and events that cannot be sent


def test_filter_is_evaluated_once_and_the_frame_is_shared(bench: Bench) -> None:
    asked: list[str] = []

    def filter_of(name: str, verdict: bool) -> Callable[[Event], bool]:
        def passes(event: Event) -> bool:
            asked.append(name)
            return verdict

        return passes

    first, second, third = filter_of("first", True), filter_of("second", True), filter_of("third", False)
    connections = [
        bench.connection(f"c{number}", encoding=PLAIN._replace(passes=passes, is_positioned=is_positioned))
        for number, (passes, is_positioned) in enumerate(
            [(first, False), (first, True), (second, False), (third, False)]
        )
    ]
    for connection in connections:
        bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    frames = [connection.outbox.frames for connection in connections]
    assert [len(waiting) for waiting in frames] == [1, 1, 1, 0]
    assert frames[0][0] is frames[1][0] is frames[2][0]
    assert asked == ["first", "second", "third"]


def test_subscribers_change_their_encoding_after_the_next_publication(bench: Bench) -> None:
    encoded: list[str] = []
    later = other_encoding("later", encoded)
    first, second = (
        bench.connection(f"c{number}", encoding=other_encoding("first", encoded)._replace(then=later))
        for number in range(2)
    )
    bench.hub.add_subscription("news", first)
    bench.hub.broadcast(Join("news", RawClientInfo("alice", "c1")))
    bench.hub.broadcast(MESSAGE)
    bench.hub.add_subscription("news", second)
    for _ in range(2):
        bench.hub.broadcast(MESSAGE)
    assert [message[:5] for message in first.transport.messages()] == [b"first", b"first", b"later", b"later"]
    assert [message[:5] for message in second.transport.messages()] == [b"first", b"later"]
    assert encoded == ["first", "first", "later", "first", "later"]
    for connection in (first, second):
        bench.hub.remove_subscription("news", connection)
    assert not bench.hub.has_subscribers("news")


def test_the_encoding_of_a_subscriber_can_be_changed(bench: Bench) -> None:
    connection = bench.connection("c1")
    bench.hub.change_encoding("news", connection, other_encoding())
    assert not bench.hub.has_subscribers("news")
    bench.hub.add_subscription("news", connection)
    bench.hub.change_encoding("news", connection, other_encoding())
    bench.hub.broadcast(MESSAGE)
    assert connection.transport.messages() == [b"other u1"]


def test_connection_that_cannot_receive_an_event_is_disconnected(bench: Bench) -> None:
    def push(event: Event) -> bytes:
        raise Unsendable

    unable, positioned, other = (
        bench.connection("c1", encoding=Encoding(push, PLAIN.frame)),
        bench.connection("c2", encoding=Encoding(push, PLAIN.frame, is_positioned=True)),
        bench.connection("c3"),
    )
    waiting = bench.connection("c4", encoding=Encoding(push, PLAIN.frame))
    bench.hub.open.update((unable, positioned, other, waiting))
    for connection in (unable, positioned, other):
        bench.hub.add_subscription("news", connection)
    bench.hub.add_subscription("news", waiting, hold=True)
    bench.hub.broadcast(MESSAGE)
    bench.hub.broadcast(MESSAGE)
    settle()
    assert [connection.closed_with for connection in (unable, positioned, other, waiting)] == [
        [CLOSE_UNSENDABLE],
        [CLOSE_UNSENDABLE],
        [],
        [],
    ]
    assert len(other.transport.messages()) == 2
    bench.hub.broadcast(Join("news", RawClientInfo("alice", "c1")))
    settle()
    assert waiting.closed_with == [CLOSE_UNSENDABLE]
    for connection in (unable, positioned, other, waiting):
        bench.hub.remove_subscription("news", connection)
    assert not bench.hub.has_subscribers("news")


def test_a_channel_whose_only_subscriber_cannot_receive_an_event_has_no_subscribers_left(bench: Bench) -> None:
    def push(event: Event) -> bytes:
        raise Unsendable

    connection = bench.connection("c1", encoding=Encoding(push, PLAIN.frame))
    bench.hub.open.add(connection)
    bench.hub.add_subscription("news", connection)
    bench.hub.broadcast(MESSAGE)
    bench.hub.broadcast(MESSAGE)
    settle()
    assert connection.closed_with == [CLOSE_UNSENDABLE]
    assert bench.hub.num_subscribers("news") == 1  # until the client, which is being closed, removes it
    assert bench.hub.remove_subscription("news", connection)
    assert bench.hub.num_subscribers("news") == 0
