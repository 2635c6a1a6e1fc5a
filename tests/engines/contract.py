"""What every engine must do (engines/base.py), as tests that an engine's own test file inherits.

A test file gives its engine's `Lab` in a fixture named `lab`, in a subclass of `EngineContract`; an engine that
joins several nodes has a second subclass, of `JoinedEnginesContract`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event as Gate

from gentrifugo.app.model.events import Event, Join, Leave, Publication, RawClientInfo, StreamPosition
from gentrifugo.engines.base import (
    ALL,
    MAX_VERSION,
    Engine,
    HistoryFilter,
    HistoryOptions,
    PublishConditions,
    Stream,
    Suppressed,
    UnrecoverablePosition,
)
from tests.greenlets import eventually

SHORT = 1.0
"""Seconds after which something expires in these tests."""
LONG = 60.0
"""Seconds that no test lasts."""

ALICE = RawClientInfo("alice", "c1")
BOB = RawClientInfo("bob", "c2", b'{"age": 1e1}', b'["\\ud800"]')

CHANNELS = [
    "news",
    "$public:chat#42,43&c1",
    "*",
    "ne?s[a-z]",
    "{tag}",
    "a b\r\nc",
    "канал/é/😀",
    "c" * 255,
    "nul\0nul",
    '"quoted"\\',
]


class Listener:
    """A node as its engine sees it: keeps what arrives in `events`, `controls`, `entries`, `missed` and `occupancy`.

    It accepts reports of occupancy while `gate` is open, requests to be called again while `refuses` is set, and ends
    the greenlet that reports while `ends` is set.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: list[Event] = []
        self.controls: list[bytes] = []
        self.entries: list[bytes] = []
        self.missed: list[str] = []
        self.occupancy: list[tuple[str, bool]] = []
        self.gate = Gate()
        self.gate.set()
        self.refuses = False
        self.ends = False

    def handle_event(self, event: Event) -> None:
        self.events.append(event)

    def handle_missed(self, channel: str, found: int | None, seconds: float) -> bool:
        self.missed.append(channel)
        return True

    def handle_control(self, message: bytes) -> None:
        self.controls.append(message)

    def handle_api(self, entries: Sequence[bytes]) -> None:
        self.entries.extend(entries)

    def handle_occupancy(self, channel: str, is_occupied: bool) -> bool:
        self.occupancy.append((channel, is_occupied))
        self.gate.wait()
        if self.ends:
            raise GreenletExit
        return not self.refuses

    def told(self, count: int) -> None:
        """Wait until occupancy has been reported `count` times."""
        eventually(lambda: len(self.occupancy) == count, what=f"{count} changes of occupancy")

    def expect_control_messages(self, *messages: bytes) -> None:
        """Check that exactly these control messages arrive, in this order."""
        eventually(lambda: len(self.controls) >= len(messages), what=f"{len(messages)} control messages")
        assert self.controls == list(messages)

    def expect_events(self, *events: Event) -> None:
        """Check that exactly these events arrive, in this order; positions may differ."""
        eventually(lambda: len(self.events) >= len(events), what=f"{len(events)} events")
        assert [without_position(event) for event in self.events] == list(events)

    def positions(self, channel: str) -> list[StreamPosition]:
        """Return the positions of the publications that have arrived in a channel."""
        return [
            StreamPosition(event.offset, event.epoch)
            for event in self.events
            if isinstance(event, Publication) and event.channel == channel
        ]


class Lab(ABC):
    """Creates connected engines of one kind, and lets their time pass."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    @abstractmethod
    def make(self) -> Engine:
        """Create another engine, not yet started; it is connected with the earlier ones if this kind connects nodes."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Let `seconds` pass for the engines."""

    @abstractmethod
    def hurry(self, patch: pytest.MonkeyPatch) -> None:
        """Shorten the delays of reports of occupancy, also of those that a stopped node has not made."""

    def listen(self, longest: float = 0) -> Listener:
        """Return a listener with a running engine. With `longest`, occupancy is reported to it."""
        listener = Listener(self.make())
        self.listeners.append(listener)
        if longest:
            listener.engine.enable_occupancy_events(listener, longest)
        listener.engine.start(listener)
        return listener

    def close(self) -> None:
        """Stop all engines."""
        for listener in self.listeners:
            listener.engine.stop()


def message(uid: str = "u1", channel: str = "news") -> Publication:
    return Publication(uid, channel, b'{"b": 1.50, "a": 2}')


def kept(
    size: int = 10, lifetime: float = LONG, drop_inactive: bool = False, meta_lifetime: float = 0
) -> HistoryOptions:
    return HistoryOptions(size, lifetime, drop_inactive, meta_lifetime)


def without_position(event: Event) -> Event:
    """Return an event without its position."""
    return event._replace(offset=0, epoch="") if isinstance(event, Publication) else event


def unplaced(publications: Iterable[Publication]) -> list[Event]:
    """Return publications without their positions."""
    return [without_position(publication) for publication in publications]


@pytest.mark.usefixtures("nothing_left_behind")
class EngineContract:
    """Tests of a single engine."""

    @pytest.fixture
    def lab(self) -> Lab:
        raise NotImplementedError

    @pytest.fixture
    def listener(self, lab: Lab) -> Iterator[Listener]:
        yield lab.listen()
        lab.close()

    @pytest.fixture
    def engine(self, listener: Listener) -> Engine:
        return listener.engine

    # -- publish

    @pytest.mark.parametrize("channel", CHANNELS)
    @pytest.mark.parametrize("history", [None, kept()], ids=["live", "kept"])
    def test_a_publication_arrives_as_it_was_published(
        self, listener: Listener, channel: str, history: HistoryOptions | None
    ) -> None:
        publication = Publication("u1", channel, '{"b": 1e400, "a": "\\ud800 é\\n"}'.encode(), "c2", BOB)
        listener.engine.subscribe(channel)
        listener.engine.publish(publication, history)
        listener.expect_events(publication)

    def test_joins_and_leaves_arrive(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        for event in (Join("news", BOB), Leave("news", BOB)):
            listener.engine.publish_event(event)
        listener.expect_events(Join("news", BOB), Leave("news", BOB))

    def test_joins_and_leaves_have_arrived_when_they_are_published(self, listener: Listener) -> None:
        """A client receives its own join before the reply to its subscribe."""
        listener.engine.subscribe("news")
        for number in range(20):
            listener.engine.publish_event(Join("news", RawClientInfo("alice", str(number))))
            assert len(listener.events) == number + 1
            listener.engine.publish_event(Join("empty", ALICE))

    def test_earlier_publications_have_arrived_when_a_control_message_is_published(self, listener: Listener) -> None:
        """A publication to a user must arrive before a later disconnect of this user."""
        for number in range(20):
            listener.engine.subscribe(f"news:{number}")
            listener.engine.publish(message(channel=f"news:{number}"), None)
            listener.engine.publish_control(b"%d" % number)
            assert (len(listener.events), len(listener.controls)) == (number + 1, number + 1)

    @pytest.mark.parametrize("history", [None, kept()], ids=["live", "kept"])
    def test_publications_arrive_in_order(self, listener: Listener, history: HistoryOptions | None) -> None:
        messages = [message(str(number)) for number in range(300)]
        listener.engine.subscribe("news")
        for published in messages:
            listener.engine.publish(published, history)
        listener.expect_events(*messages)

    def test_a_publication_is_in_the_history_by_the_time_it_arrives(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        listener.engine.publish(message(), kept())
        listener.expect_events(message())
        assert uids(listener.engine) == ["u1"]

    def test_events_of_channels_without_a_subscription_do_not_arrive(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        for channel in ("new", "newss", "News", "other"):
            listener.engine.publish(message(channel=channel), None)
        listener.engine.publish(message("last"), None)
        listener.expect_events(message("last"))

    # -- subscribe

    def test_after_unsubscribe_no_events_arrive(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        listener.engine.subscribe("chat")
        listener.engine.unsubscribe("news")
        listener.engine.publish(message(), None)
        listener.engine.publish(message("last", "chat"), None)
        listener.expect_events(message("last", "chat"))

    def test_subscribing_again_works(self, listener: Listener) -> None:
        for _ in range(2):
            listener.engine.subscribe("news")
            listener.engine.unsubscribe("news")
        listener.engine.subscribe("news")
        listener.engine.publish(message(), None)
        listener.expect_events(message())

    def test_a_channel_with_a_subscriber_never_counts_as_one_without(self, engine: Engine) -> None:
        engine.subscribe("news")
        assert engine.may_have_subscribers("news")
        engine.unsubscribe("news")
        engine.subscribe("news")
        assert engine.may_have_subscribers("news")

    def test_unsubscribe_without_subscription_has_no_effect(self, engine: Engine) -> None:
        engine.unsubscribe("news")
        assert engine.channels() == []

    def test_channels_are_those_with_a_subscriber(self, engine: Engine) -> None:
        assert engine.channels() == []
        for channel in CHANNELS:
            engine.subscribe(channel)
        assert sorted(engine.channels()) == sorted(CHANNELS)
        for channel in CHANNELS:
            engine.unsubscribe(channel)
        assert engine.channels() == []

    def test_history_and_presence_do_not_create_a_channel(self, engine: Engine) -> None:
        engine.publish(message(), kept())
        engine.add_presence("news", "c1", ALICE, LONG)
        assert engine.channels() == []

    # -- presence

    def test_new_channel_has_no_presence(self, engine: Engine) -> None:
        assert engine.presence("news") == {}

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_added_clients_are_in_presence(self, engine: Engine, channel: str) -> None:
        engine.add_presence(channel, "c1", ALICE, LONG)
        engine.add_presence(channel, "c2", BOB, LONG)
        assert engine.presence(channel) == {"c1": ALICE, "c2": BOB}

    def test_presence_is_by_channel(self, engine: Engine) -> None:
        engine.add_presence("news", "c1", ALICE, LONG)
        engine.add_presence("chat", "c2", BOB, LONG)
        assert engine.presence("news") == {"c1": ALICE}

    def test_a_client_that_is_added_again_has_its_new_info(self, engine: Engine) -> None:
        engine.add_presence("news", "c1", ALICE, LONG)
        newer = ALICE._replace(default_info=b"{}")
        engine.add_presence("news", "c1", newer, LONG)
        assert engine.presence("news") == {"c1": newer}

    def test_removed_client_is_not_in_presence(self, engine: Engine) -> None:
        engine.add_presence("news", "c1", ALICE, LONG)
        engine.add_presence("news", "c2", BOB, LONG)
        engine.remove_presence("news", "c1")
        assert engine.presence("news") == {"c2": BOB}
        engine.remove_presence("news", "c2")
        assert engine.presence("news") == {}

    def test_removing_an_absent_client_has_no_effect(self, engine: Engine) -> None:
        engine.remove_presence("news", "c1")
        engine.add_presence("news", "c2", BOB, LONG)
        engine.remove_presence("news", "c1")
        assert engine.presence("news") == {"c2": BOB}

    def test_presence_expires(self, engine: Engine, lab: Lab) -> None:
        engine.add_presence("news", "c1", ALICE, SHORT)
        engine.add_presence("news", "c2", BOB, LONG)
        lab.pass_time(SHORT)
        assert engine.presence("news") == {"c2": BOB}

    def test_presence_that_is_added_again_lasts(self, engine: Engine, lab: Lab) -> None:
        engine.add_presence("news", "c1", ALICE, SHORT)
        engine.add_presence("news", "c1", ALICE, LONG)
        lab.pass_time(SHORT)
        assert engine.presence("news") == {"c1": ALICE}

    def test_last_lifetime_of_presence_applies(self, engine: Engine, lab: Lab) -> None:
        engine.add_presence("news", "c1", ALICE, LONG)
        engine.add_presence("news", "c1", ALICE, SHORT)
        lab.pass_time(SHORT)
        assert engine.presence("news") == {}

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_clients_in_a_channel_are_counted(self, engine: Engine, channel: str) -> None:
        assert engine.count_presence(channel) == 0
        engine.add_presence(channel, "c1", ALICE, LONG)
        engine.add_presence(channel, "c2", BOB, LONG)
        engine.add_presence(channel, "c2", BOB, LONG)
        assert engine.count_presence(channel) == 2
        engine.remove_presence(channel, "c1")
        assert engine.count_presence(channel) == 1

    def test_a_client_whose_presence_has_expired_is_not_counted(self, engine: Engine, lab: Lab) -> None:
        engine.add_presence("news", "c1", ALICE, LONG)
        engine.add_presence("news", "c2", BOB, SHORT)
        lab.pass_time(SHORT)
        assert engine.count_presence("news") == 1

    # -- history

    def test_a_channel_has_no_history_at_first(self, engine: Engine) -> None:
        assert list(engine.history("news")) == []

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_history_is_newest_first_and_complete(self, engine: Engine, channel: str) -> None:
        first = Publication("u1", channel, '{"b": 1e400, "a": "\\ud800 é"}'.encode(), "c2", BOB)
        second = Publication("u2", channel, b"null")
        for published in (first, second):
            engine.publish(published, kept())
        assert unplaced(engine.history(channel)) == [second, first]

    def test_history_is_by_channel(self, engine: Engine) -> None:
        engine.publish(message("u1"), kept())
        engine.publish(message("u2", "chat"), kept())
        assert unplaced(engine.history("news")) == [message("u1")]

    def test_history_stores_at_most_its_size(self, engine: Engine) -> None:
        for number in range(5):
            engine.publish(message(str(number)), kept(size=3))
        assert uids(engine) == ["4", "3", "2"]

    def test_another_size_applies_to_the_next_publication(self, engine: Engine) -> None:
        for number in range(3):
            engine.publish(message(str(number)), kept(size=3))
        engine.publish(message("3"), kept(size=2))
        assert uids(engine) == ["3", "2"]
        engine.publish(message("4"), kept(size=9))
        assert uids(engine) == ["4", "3", "2"]

    @pytest.mark.parametrize(("limit", "expected"), [(0, ["2", "1", "0"]), (1, ["2"]), (2, ["2", "1"]), (9, "210")])
    def test_limit_selects_the_newest_publications(self, engine: Engine, limit: int, expected: list[str]) -> None:
        for number in range(3):
            engine.publish(message(str(number)), kept())
        assert uids(engine, limit) == list(expected)

    def test_publication_without_history_is_not_kept(self, engine: Engine) -> None:
        engine.publish(message("kept"), kept())
        engine.publish(message("live"), None)
        assert uids(engine) == ["kept"]

    def test_joins_and_leaves_are_not_kept(self, engine: Engine) -> None:
        engine.publish(message("kept"), kept())
        engine.publish_event(Join("news", ALICE))
        engine.publish_event(Leave("news", ALICE))
        assert uids(engine) == ["kept"]

    def test_history_ends_with_its_lifetime(self, engine: Engine, lab: Lab) -> None:
        engine.publish(message("u1"), kept(lifetime=SHORT))
        engine.publish(message("u2"), kept(lifetime=SHORT))
        lab.pass_time(SHORT)
        assert uids(engine) == []

    def test_each_publication_renews_the_whole_history(self, engine: Engine, lab: Lab) -> None:
        engine.publish(message("u1"), kept(lifetime=SHORT))
        engine.publish(message("u2"), kept(lifetime=LONG))
        lab.pass_time(SHORT)
        assert uids(engine) == ["u2", "u1"]

    def test_expired_history_starts_empty(self, engine: Engine, lab: Lab) -> None:
        engine.publish(message("u1"), kept(lifetime=SHORT))
        lab.pass_time(SHORT)
        engine.publish(message("u2"), kept())
        assert uids(engine) == ["u2"]

    def test_history_that_drops_inactive_is_empty_without_subscribers(self, engine: Engine) -> None:
        engine.publish(message(), kept(drop_inactive=True))
        assert uids(engine) == []

    def test_history_that_drops_inactive_is_kept_with_subscribers(self, engine: Engine) -> None:
        engine.subscribe("news")
        engine.publish(message(), kept(drop_inactive=True))
        assert uids(engine) == ["u1"]

    def test_history_that_drops_inactive_continues_while_not_empty(self, engine: Engine, lab: Lab) -> None:
        engine.subscribe("news")
        engine.publish(message("u1"), kept(lifetime=SHORT, drop_inactive=True))
        engine.unsubscribe("news")
        engine.publish(message("u2"), kept(lifetime=SHORT, drop_inactive=True))
        assert uids(engine) == ["u2", "u1"]
        lab.pass_time(SHORT)
        engine.publish(message("u3"), kept(drop_inactive=True))
        assert uids(engine) == []

    # -- positions

    def test_publications_that_are_kept_have_consecutive_offsets_in_one_epoch(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        returned = [publish(listener.engine, kept(size=2), str(number)) for number in range(1, 5)]
        listener.expect_events(*(message(str(number)) for number in range(1, 5)))
        assert [position.offset for position in returned] == [1, 2, 3, 4]
        assert len({position.epoch for position in returned}) == 1
        assert listener.positions("news") == returned
        assert [publication.offset for publication in listener.engine.history("news")] == [4, 3]

    def test_every_channel_has_its_own_offsets(self, engine: Engine) -> None:
        for channel in CHANNELS:
            position = engine.publish(message(channel=channel), kept())
            assert isinstance(position, StreamPosition)
            assert position.offset == 1
            assert engine.stream(channel, HistoryFilter(), LONG).top == position

    def test_publication_without_history_has_no_position(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        position = publish(listener.engine, kept())
        assert listener.engine.publish(message("live"), None) is None
        assert publish(listener.engine, kept()) == position._replace(offset=2)
        eventually(lambda: len(listener.events) == 3)
        assert [offset for offset, _ in listener.positions("news")] == [1, 0, 2]

    def test_tags_arrive_and_are_kept(self, listener: Listener) -> None:
        tagged = message()._replace(tags={"a": "1", "é": ""})
        listener.engine.subscribe("news")
        listener.engine.publish(tagged, None)
        listener.engine.publish(tagged, kept())
        listener.expect_events(tagged, tagged)
        assert unplaced(listener.engine.history("news")) == [tagged]

    def test_a_batch_returns_positions(self, engine: Engine) -> None:
        outcomes = engine.publish_all(
            [
                (message("1"), kept(), None),
                (message("2"), None, None),
                (message("3"), kept(), PublishConditions("key")),
                (message("4"), kept(), PublishConditions("key")),
            ]
        )
        top = engine.stream("news", HistoryFilter(), LONG).top
        assert outcomes == [top._replace(offset=1), None, top, Suppressed(top)]

    def test_stream_begins_with_the_first_query(self, engine: Engine) -> None:
        """A subscriber uses this position as the start of its stream."""
        top = engine.stream("news", HistoryFilter(), LONG).top
        assert top.offset == 0
        assert top.epoch
        assert engine.stream("news", HistoryFilter(ALL), LONG) == Stream([], top)
        assert publish(engine, kept()) == top._replace(offset=1)
        assert recovered(engine, top) == ["u1"]

    def test_the_top_outlives_the_publications(self, engine: Engine, lab: Lab) -> None:
        position = publish(engine, kept(lifetime=SHORT, meta_lifetime=LONG))
        lab.pass_time(SHORT)
        assert engine.stream("news", HistoryFilter(ALL), LONG) == Stream([], position)
        assert recovered(engine, position) == []
        assert recovered(engine, position._replace(offset=0)) is None
        assert publish(engine, kept()) == position._replace(offset=2)

    def test_stream_with_an_expired_top_restarts_in_another_epoch(self, engine: Engine, lab: Lab) -> None:
        position = publish(engine, kept(lifetime=SHORT))
        lab.pass_time(SHORT)
        again = publish(engine, kept())
        assert again.offset == 1
        assert again.epoch != position.epoch
        assert recovered(engine, position) is None
        assert recovered(engine, position._replace(offset=0)) is None

    def test_query_of_a_stream_extends_the_lifetime_of_its_top(self, engine: Engine, lab: Lab) -> None:
        position = publish(engine, kept(lifetime=SHORT))
        assert engine.stream("news", HistoryFilter(), LONG).top == position
        lab.pass_time(SHORT)
        assert engine.stream("news", HistoryFilter(), LONG).top == position

    def test_publications_dropped_in_an_inactive_channel_are_not_recovered(self, engine: Engine, lab: Lab) -> None:
        """The history is empty, but a client may reconnect with a position in it."""
        engine.subscribe("news")
        position = publish(engine, kept(lifetime=SHORT, drop_inactive=True, meta_lifetime=LONG))
        engine.unsubscribe("news")
        lab.pass_time(SHORT)
        assert recovered(engine, position) == []
        engine.publish(message("dropped"), kept(drop_inactive=True))
        assert uids(engine) == []
        assert recovered(engine, position) is None

    def test_dropped_publication_does_not_create_a_stream(self, engine: Engine) -> None:
        assert engine.publish(message(), kept(drop_inactive=True)) is None
        assert engine.stream("news", HistoryFilter(), LONG).top.offset == 0

    def test_a_history_that_was_removed_keeps_its_position(self, engine: Engine) -> None:
        for number in range(3):
            position = publish(engine, kept(), str(number))
        engine.remove_history("news")
        engine.remove_history("empty")
        assert uids(engine) == []
        assert engine.stream("news", HistoryFilter(ALL), LONG) == Stream([], position)
        assert recovered(engine, position) == []
        assert recovered(engine, position._replace(offset=2)) is None
        assert not engine.recover("news", "2").complete
        assert publish(engine, kept()) == position._replace(offset=4)

    # -- history by position

    @pytest.mark.parametrize(
        ("limit", "since", "reverse", "expected"),
        [
            (0, None, False, []),
            (0, 2, False, []),
            (ALL, None, False, [3, 4, 5, 6]),
            (ALL, None, True, [6, 5, 4, 3]),
            (2, None, False, [3, 4]),
            (2, None, True, [6, 5]),
            (9, None, False, [3, 4, 5, 6]),
            (9, None, True, [6, 5, 4, 3]),
            (ALL, 4, False, [5, 6]),
            (1, 4, False, [5]),
            (ALL, 0, False, [3, 4, 5, 6]),
            (2, 0, False, [3, 4]),
            (ALL, 6, False, []),
            (ALL, 99, False, []),
            (ALL, 2**63, False, []),
            (ALL, 5, True, [4, 3]),
            (1, 5, True, [4]),
            (ALL, 3, True, []),
            (ALL, 0, True, []),
            (ALL, 99, True, [6, 5, 4, 3]),
            (2, 99, True, [6, 5]),
        ],
    )
    def test_filter_selects_publications(
        self, engine: Engine, limit: int, since: int | None, reverse: bool, expected: list[int]
    ) -> None:
        for number in range(1, 7):
            top = publish(engine, kept(size=4), str(number))
        for epoch in (top.epoch, ""):
            position = None if since is None else StreamPosition(since, epoch)
            found = engine.stream("news", HistoryFilter(limit, position, reverse), LONG)
            assert [publication.offset for publication in found.publications] == expected
            assert [publication.uid for publication in found.publications] == [str(number) for number in expected]
            assert found.top == top

    @pytest.mark.parametrize("limit", [0, 1, ALL])
    @pytest.mark.parametrize("reverse", [False, True])
    def test_a_filter_of_another_epoch_is_refused(self, engine: Engine, limit: int, reverse: bool) -> None:
        top = publish(engine, kept())
        for epoch in ("_", top.epoch + "x", top.epoch[:-1]):
            with pytest.raises(UnrecoverablePosition):
                engine.stream("news", HistoryFilter(limit, StreamPosition(1, epoch), reverse), LONG)

    # -- recovery by position

    @pytest.mark.parametrize(
        ("offset", "limit", "expected"),
        [
            (6, ALL, []),
            (6, 0, []),
            (5, ALL, ["6"]),
            (5, 0, None),
            (3, ALL, ["4", "5", "6"]),
            (3, 3, ["4", "5", "6"]),
            (3, 2, None),
            (2, ALL, ["3", "4", "5", "6"]),
            (1, ALL, None),
            (0, ALL, None),
            (7, ALL, None),
            (2**63, ALL, None),
        ],
    )
    def test_recovery_is_complete_or_empty(
        self, engine: Engine, offset: int, limit: int, expected: list[str] | None
    ) -> None:
        for number in range(1, 7):
            top = publish(engine, kept(size=4), str(number))
        for epoch in (top.epoch, ""):
            assert recovered(engine, StreamPosition(offset, epoch), limit) == expected
        for epoch in ("_", top.epoch[:-1], top.epoch + "0"):
            assert recovered(engine, StreamPosition(offset, epoch), limit) is None

    def test_a_recovery_has_the_top(self, engine: Engine) -> None:
        top = publish(engine, kept())
        for position in (top, top._replace(offset=9), StreamPosition(1, "_")):
            assert engine.recover_since("news", position, ALL, LONG).top == top

    def test_recovery_by_uid_and_by_position_share_one_history(self, engine: Engine) -> None:
        first = publish(engine, kept(), "u1")
        publish(engine, kept(), "u2")
        assert [found.uid for found in engine.recover("news", "u1").publications] == ["u2"]
        assert recovered(engine, first) == ["u2"]

    def test_a_subscriber_has_received_what_it_recovers(self, listener: Listener) -> None:
        engine = listener.engine
        engine.subscribe("news")
        top = engine.stream("news", HistoryFilter(), LONG).top
        for number in range(1, 50):
            publish(engine, kept(size=100), str(number))
            read = engine.stream("news", HistoryFilter(), LONG).top
            assert listener.positions("news")[-1] == read == top._replace(offset=number)
            assert recovered(engine, top) == [str(expected) for expected in range(1, number + 1)]

    # -- once

    def test_an_idempotency_key_publishes_once(self, listener: Listener) -> None:
        engine = listener.engine
        engine.subscribe("news")
        first = engine.publish(message("1"), kept(), PublishConditions("a"))
        second = engine.publish(message("2"), kept(), PublishConditions("b"))
        assert isinstance(first, StreamPosition)
        assert isinstance(second, StreamPosition)
        assert engine.publish(message("3"), kept(), PublishConditions("a")) == Suppressed(first)
        assert engine.publish(message("4"), kept(), PublishConditions("b")) == Suppressed(second)
        assert engine.publish(message("5"), None, PublishConditions("c")) is None
        assert engine.publish(message("6"), None, PublishConditions("c")) == Suppressed(None)
        assert engine.publish_all([(message("6"), kept(), PublishConditions("a"))]) == [Suppressed(first)]
        engine.publish(message("7"), None)
        listener.expect_events(message("1"), message("2"), message("5"), message("7"))
        assert uids(engine) == ["2", "1"]

    def test_an_idempotency_key_is_of_one_channel(self, engine: Engine) -> None:
        for channel, key in (("a", "b.c"), ("a.b", "c"), ("", "a.b.c"), ("1.a", "b")):
            position = engine.publish(message(channel=channel), kept(), PublishConditions(key))
            assert isinstance(position, StreamPosition)
            assert position.offset == 1

    def test_a_version_that_is_not_newer_is_not_published(self, listener: Listener) -> None:
        engine = listener.engine
        engine.subscribe("news")
        first = engine.publish(message("1"), kept(), PublishConditions(version=10))
        assert isinstance(first, StreamPosition)
        for version in (1, 9, 10):
            assert engine.publish(message("old"), kept(), PublishConditions(version=version)) == Suppressed(first)
        assert engine.publish(message("2"), kept(), PublishConditions(version=11)) == first._replace(offset=2)
        assert publish(engine, kept(), "3") == first._replace(offset=3)
        third = first._replace(offset=3)
        assert engine.publish(message("old"), kept(), PublishConditions(version=11)) == Suppressed(third)
        largest = engine.publish(message("4"), kept(), PublishConditions(version=MAX_VERSION))
        assert largest == first._replace(offset=4)
        assert engine.publish(message("old"), kept(), PublishConditions(version=MAX_VERSION - 1)) == Suppressed(largest)
        listener.expect_events(message("1"), message("2"), message("3"), message("4"))

    def test_versions_of_other_epochs_are_not_compared(self, engine: Engine) -> None:
        for version, epoch, offset in ((5, "a", 1), (5, "a", 1), (3, "b", 2), (5, "a", 3), (2, "", 3), (6, "", 4)):
            result = engine.publish(message(), kept(), PublishConditions(version=version, version_epoch=epoch))
            position = result.position if isinstance(result, Suppressed) else result
            assert position is not None
            assert position.offset == offset

    @pytest.mark.parametrize("renewed_by", ["a publication without a version", "a query", "a dropped publication"])
    def test_the_last_version_is_known_as_long_as_the_stream(self, engine: Engine, lab: Lab, renewed_by: str) -> None:
        first = engine.publish(message("1"), kept(lifetime=SHORT), PublishConditions(version=5, version_epoch="a:b"))
        if renewed_by == "a dropped publication":
            engine.remove_history("news")
            top = engine.publish(message("2"), kept(drop_inactive=True, meta_lifetime=LONG))
        elif renewed_by == "a query":
            top = engine.stream("news", HistoryFilter(), LONG).top
        else:
            top = engine.publish(message("2"), kept(meta_lifetime=LONG))
        assert isinstance(top, StreamPosition)
        assert (top == first) is (renewed_by == "a query")
        lab.pass_time(SHORT)
        for epoch in ("", "a:b"):
            assert engine.publish(message("old"), kept(), PublishConditions("", 4, epoch)) == Suppressed(top)
        assert engine.publish(message("3"), kept(), PublishConditions("", 4, "a")) == top._replace(
            offset=top.offset + 1
        )

    def test_a_new_stream_knows_no_version_of_the_previous_one(self, engine: Engine, lab: Lab) -> None:
        engine.publish(message("1"), kept(lifetime=SHORT), PublishConditions(version=5))
        lab.pass_time(SHORT)
        begun = publish(engine, kept(), "2")
        second = engine.publish(message("3"), kept(), PublishConditions(version=4))
        assert (begun.offset, second) == (1, begun._replace(offset=2))

    def test_a_version_needs_a_history(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        for uid in ("1", "2"):
            assert listener.engine.publish(message(uid), None, PublishConditions(version=1)) is None
        listener.expect_events(message("1"), message("2"))

    # -- control

    def test_control_messages_reach_their_sender_in_order(self, listener: Listener) -> None:
        messages = [b'{"n":%d}' % number for number in range(50)] + ["\0é\r\n".encode()]
        for sent in messages:
            listener.engine.publish_control(sent)
        eventually(lambda: len(listener.controls) == len(messages))
        assert listener.controls == messages

    # -- life

    def test_engine_has_a_name_for_operators(self, engine: Engine) -> None:
        assert engine.name

    def test_a_second_stop_does_nothing(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        listener.engine.add_presence("news", "c1", ALICE, LONG)
        for _ in range(2):
            listener.engine.stop()
            assert not listener.engine.has_pending_notifications
        assert listener.events == []

    def test_an_engine_that_never_started_can_be_stopped(self, lab: Lab) -> None:
        engine = lab.make()
        engine.stop()
        assert not engine.has_pending_notifications

    # -- occupancy

    @pytest.fixture
    def quick(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        lab.hurry(monkeypatch)

    @pytest.fixture
    def noticing(self, lab: Lab) -> Iterator[Listener]:
        yield lab.listen(longest=LONG)
        lab.close()

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_first_and_last_subscriber_are_reported(self, noticing: Listener, channel: str) -> None:
        for count in (1, 2):
            noticing.engine.subscribe(channel)
            noticing.told(2 * count - 1)
            noticing.engine.unsubscribe(channel)
            noticing.told(2 * count)
        assert noticing.occupancy == [(channel, True), (channel, False)] * 2

    def test_changes_during_a_report_are_reported_afterwards(self, noticing: Listener) -> None:
        noticing.gate.clear()
        noticing.engine.subscribe("news")
        eventually(lambda: noticing.occupancy)
        noticing.engine.unsubscribe("news")
        noticing.engine.subscribe("chat")
        eventually(lambda: len(noticing.occupancy) == 2, what="another channel does not wait")
        noticing.gate.set()
        eventually(lambda: len(noticing.occupancy) == 3)
        assert noticing.occupancy == [("news", True), ("chat", True), ("news", False)]

    def test_channel_occupied_again_during_a_report_is_left_out(self, noticing: Listener) -> None:
        noticing.gate.clear()
        noticing.engine.subscribe("news")
        eventually(lambda: noticing.occupancy)
        noticing.engine.unsubscribe("news")
        noticing.engine.subscribe("news")
        noticing.gate.set()
        noticing.engine.subscribe("end")
        eventually(lambda: ("end", True) in noticing.occupancy)
        assert noticing.occupancy == [("news", True), ("end", True)]

    def test_pending_notifications_are_reported(self, noticing: Listener) -> None:
        assert not noticing.engine.has_pending_notifications
        noticing.gate.clear()
        noticing.engine.subscribe("news")
        assert noticing.engine.has_pending_notifications
        eventually(lambda: noticing.occupancy)
        assert noticing.engine.has_pending_notifications
        noticing.gate.set()
        eventually(lambda: not noticing.engine.has_pending_notifications)

    @pytest.mark.usefixtures("quick")
    def test_failed_report_is_retried(self, lab: Lab) -> None:
        """This applies also if the state has changed: reports alternate."""
        node = lab.listen(longest=0.2)
        node.refuses = True
        node.engine.subscribe("news")
        eventually(lambda: len(node.occupancy) >= 3)
        node.engine.unsubscribe("news")
        told = len(node.occupancy)
        eventually(lambda: len(node.occupancy) > told)
        node.refuses = False
        eventually(lambda: node.occupancy[-1] == ("news", False))
        assert set(node.occupancy[:-1]) == {("news", True)}
        lab.close()

    @pytest.mark.usefixtures("quick")
    def test_killed_handler_does_not_stop_further_reports(self, lab: Lab) -> None:
        """A hook may end its own greenlet; later changes are still reported."""
        node = lab.listen(longest=0.2)
        node.ends = True
        node.engine.subscribe("news")
        eventually(lambda: node.occupancy)
        node.ends = False
        node.engine.unsubscribe("news")
        eventually(lambda: node.occupancy[-1] == ("news", False))
        lab.close()

    def test_occupancy_is_not_reported_unless_enabled(self, listener: Listener) -> None:
        listener.engine.subscribe("news")
        listener.engine.publish_control(b"end")
        eventually(lambda: listener.controls)
        assert listener.occupancy == []


@pytest.mark.usefixtures("nothing_left_behind")
class JoinedEnginesContract:
    """Tests of the engines of several connected nodes."""

    @pytest.fixture
    def lab(self) -> Lab:
        raise NotImplementedError

    @pytest.fixture
    def nodes(self, lab: Lab) -> Iterator[tuple[Listener, Listener]]:
        yield lab.listen(), lab.listen()
        lab.close()

    def test_a_publication_reaches_every_subscribed_node_once(self, nodes: tuple[Listener, Listener]) -> None:
        for node in nodes:
            node.engine.subscribe("news")
        nodes[0].engine.publish(message("u1"), kept())
        nodes[0].engine.publish(message("u2"), None)
        for node in nodes:
            node.expect_events(message("u1"), message("u2"))

    def test_a_publication_reaches_no_other_node(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        here.engine.subscribe("news")
        there.engine.subscribe("chat")
        there.engine.publish(message(), None)
        there.engine.publish(message("last", "chat"), None)
        here.expect_events(message())
        there.expect_events(message("last", "chat"))

    def test_stopped_node_does_not_end_the_subscription_of_another_node(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        for node in nodes:
            node.engine.subscribe("news")
        here.engine.unsubscribe("news")
        here.engine.publish(message(), None)
        there.expect_events(message())
        assert here.events == []

    def test_recovered_publications_have_been_delivered_before(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        here.engine.subscribe("news")

        def publish() -> None:
            for number in range(300):
                there.engine.publish(message(f"u{number}"), kept(1000))

        publishing = gevent.spawn(publish)
        while not publishing.ready():
            recovery = here.engine.recover("news", "")
            delivered = {event.uid for event in here.events if isinstance(event, Publication)}
            assert {publication.uid for publication in recovery.publications} <= delivered
            gevent.sleep(0)
        publishing.get()
        here.expect_events(*(message(f"u{number}") for number in range(300)))

    def test_joins_and_leaves_reach_other_nodes(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        there.engine.subscribe("news")
        here.engine.publish_event(Join("news", BOB))
        here.engine.publish_event(Leave("news", BOB))
        there.expect_events(Join("news", BOB), Leave("news", BOB))

    def test_publications_of_one_node_arrive_in_order(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        there.engine.subscribe("news")
        messages = [message(str(number)) for number in range(300)]
        for number, published in enumerate(messages):
            here.engine.publish(published, kept() if number % 2 else None)
        there.expect_events(*messages)

    def test_channels_are_those_of_all_nodes(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        for node, channel in ((here, "news"), (there, "news"), (there, "chat")):
            node.engine.subscribe(channel)
        assert sorted(here.engine.channels()) == sorted(there.engine.channels()) == ["chat", "news"]
        there.engine.unsubscribe("news")
        there.engine.unsubscribe("chat")
        assert list(there.engine.channels()) == ["news"]

    def test_channels_of_a_stopped_node_are_removed(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        there.engine.subscribe("news")
        eventually(lambda: list(here.engine.channels()) == ["news"])
        there.engine.stop()
        eventually(lambda: not here.engine.channels())

    def test_presence_is_shared(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        here.engine.add_presence("news", "c1", ALICE, LONG)
        there.engine.add_presence("news", "c2", BOB, LONG)
        assert here.engine.presence("news") == there.engine.presence("news") == {"c1": ALICE, "c2": BOB}
        assert here.engine.count_presence("news") == there.engine.count_presence("news") == 2
        there.engine.remove_presence("news", "c1")
        assert here.engine.presence("news") == {"c2": BOB}

    def test_history_is_shared(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        here.engine.publish(message("u1"), kept())
        there.engine.publish(message("u2"), kept())
        assert uids(here.engine) == uids(there.engine) == ["u2", "u1"]

    def test_streams_are_shared(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        for node in nodes:
            node.engine.subscribe("news")
        first = publish(here.engine, kept(), "u1")
        second = publish(there.engine, kept(), "u2")
        assert second == first._replace(offset=2)
        for node in nodes:
            node.expect_events(message("u1"), message("u2"))
            assert node.positions("news") == [first, second]
            assert recovered(node.engine, first) == ["u2"]
        third = first._replace(offset=3)
        results = [node.engine.publish(message("u3"), kept(), PublishConditions("key")) for node in nodes]
        assert results == [third, Suppressed(third)]

    def test_publications_recovered_by_position_have_been_delivered_before(
        self, nodes: tuple[Listener, Listener]
    ) -> None:
        here, there = nodes
        here.engine.subscribe("news")
        start = here.engine.stream("news", HistoryFilter(), LONG).top

        def publish_many() -> None:
            for number in range(300):
                there.engine.publish(message(f"u{number}"), kept(1000))

        publishing = gevent.spawn(publish_many)
        while not publishing.ready():
            recovery = here.engine.recover_since("news", start, ALL, LONG)
            assert recovery.recovered
            assert set(recovery.publications) <= set(here.events)
            top = here.engine.stream("news", HistoryFilter(), LONG).top
            assert len(here.events) >= top.offset
            gevent.sleep(0)
        publishing.get()
        here.expect_events(*(message(f"u{number}") for number in range(300)))

    def test_a_subscriber_anywhere_keeps_history_that_drops_inactive(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        there.engine.subscribe("news")
        here.engine.publish(message(), kept(drop_inactive=True))
        assert uids(here.engine) == ["u1"]

    def test_control_messages_reach_all_nodes(self, nodes: tuple[Listener, Listener]) -> None:
        nodes[0].engine.publish_control(b"one")
        nodes[0].engine.publish_control(b"two")
        for node in nodes:
            node.expect_control_messages(b"one", b"two")

    def test_all_nodes_receive_the_control_messages_of_all_in_the_same_order(
        self, nodes: tuple[Listener, Listener]
    ) -> None:
        sent = [b"%d" % number for number in range(60)]
        sending = [gevent.spawn(nodes[number % 2].engine.publish_control, each) for number, each in enumerate(sent)]
        gevent.joinall(sending, timeout=20, raise_error=True)
        eventually(lambda: all(len(node.controls) == len(sent) for node in nodes))
        assert nodes[0].controls == nodes[1].controls
        assert sorted(nodes[0].controls) == sorted(sent)

    def test_stopped_node_receives_no_messages(self, nodes: tuple[Listener, Listener]) -> None:
        here, there = nodes
        for node in nodes:
            node.engine.subscribe("news")
        there.engine.stop()
        here.engine.publish(message(), None)
        here.engine.publish_control(b"one")
        here.expect_events(message())
        eventually(lambda: here.controls)
        assert (there.events, there.controls) == ([], [])

    # -- occupancy

    @pytest.fixture
    def noticing(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Listener, Listener]]:
        lab.hurry(monkeypatch)
        yield lab.listen(longest=LONG), lab.listen(longest=LONG)
        lab.close()

    def test_first_and_last_subscriber_of_all_nodes_are_reported_to_one_node(
        self, noticing: tuple[Listener, Listener]
    ) -> None:
        here, there = noticing

        def told() -> list[tuple[str, bool]]:
            return here.occupancy + there.occupancy

        for node in noticing:
            node.engine.subscribe("news")
        eventually(told)
        here.engine.unsubscribe("news")
        there.engine.subscribe("chat")
        eventually(lambda: ("chat", True) in told())
        there.engine.unsubscribe("news")
        eventually(lambda: ("news", False) in told())
        assert sorted(told()) == [("chat", True), ("news", False), ("news", True)]

    def test_channels_of_an_ended_node_are_reported_to_another_node(self, noticing: tuple[Listener, Listener]) -> None:
        here, there = noticing
        for channel in ("news", "chat"):
            here.engine.subscribe(channel)
        there.engine.subscribe("chat")
        eventually(lambda: len(here.occupancy + there.occupancy) == 2)
        here.occupancy.clear()
        there.occupancy.clear()
        here.engine.stop()
        eventually(lambda: here.occupancy + there.occupancy, within=10)
        assert here.occupancy + there.occupancy == [("news", False)]


def publish(engine: Engine, history: HistoryOptions, uid: str = "u1") -> StreamPosition:
    """Publish into "news", and return the position."""
    position = engine.publish(message(uid), history)
    assert isinstance(position, StreamPosition)
    return position


def recovered(engine: Engine, position: StreamPosition, limit: int = ALL) -> list[str] | None:
    """Return the uids that are recovered in "news", oldest first; None if they are not all there."""
    found = engine.recover_since("news", position, limit, LONG)
    assert found.recovered or not found.publications
    return [publication.uid for publication in found.publications] if found.recovered else None


def uids(engine: Engine, limit: int = 0) -> list[str]:
    """Return the uids of the history of "news"."""
    return [publication.uid for publication in engine.history("news", limit)]
