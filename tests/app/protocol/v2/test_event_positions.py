"""The ids of events: their content, how they change with the channels of a client, and recovery with an id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.events import StreamPosition
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import AddSubscription
from gentrifugo.app.protocol.v2.client import StreamSession
from gentrifugo.app.protocol.v2.event_positions import (
    MAX_POSITIONS,
    EventPositions,
    LastEvent,
    split_id,
    with_id,
)
from gentrifugo.app.protocol.v2.json_format import JSONFormat
from gentrifugo.app.protocol.v2.messages import SubscribeResult
from gentrifugo.app.protocol.v2.one_way import ONE_WAY
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.engines.memory import MemoryEngine
from tests.fakes import FailingEngine
from tests.greenlets import settle
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
positions = st.builds(StreamPosition, st.integers(0, 2**64 - 1), names)


def id_with(given_positions: dict[str, StreamPosition]) -> str:
    """The id of the next message of a client with these positions."""
    reached = EventPositions(lambda message: message)
    reached.start(given_positions)
    return (split_id(reached.frame(b"{}"))[0] or b"").decode()


@given(st.dictionaries(names, positions, max_size=MAX_POSITIONS))
def test_an_id_has_the_positions_of_all_channels(reached: dict[str, StreamPosition]) -> None:
    last = LastEvent(id_with(reached))
    assert {channel: last.offset(channel, reached[channel].epoch) for channel in reached} == {
        channel: position.offset for channel, position in reached.items()
    }


@given(names, positions, names)
def test_position_is_valid_only_in_its_channel_and_epoch(channel: str, position: StreamPosition, other: str) -> None:
    last = LastEvent(id_with({channel: position}))
    if other != position.epoch:
        assert last.offset(channel, other) is None
    if other != channel:
        assert last.offset(other, position.epoch) is None


@given(st.text(max_size=300) | st.text("abcABC019-_.", max_size=300))
def test_an_id_of_another_server_has_no_position(id_: str) -> None:
    assert LastEvent(id_).offset("news", "epoch") is None


@pytest.mark.parametrize("change", ["{0}x", "{0}.", ".{0}", "{0} ", "{0}é", "{0}\n", "{0}.{0}x", "{0}" + "9" * 20])
def test_a_changed_id_has_no_position(change: str) -> None:
    id_ = id_with({"news": StreamPosition(7, "epoch")})
    assert LastEvent(id_).offset("news", "epoch") == 7
    assert LastEvent(change.format(id_)).offset("news", "epoch") is None


@pytest.mark.parametrize("offset", [2**64, 10**20 - 1])
def test_offset_of_more_than_64_bits_is_ignored(offset: int) -> None:
    id_ = id_with({"news": StreamPosition(7, "epoch")})
    assert LastEvent(f"{id_[:-1]}{offset}").offset("news", "epoch") is None
    assert LastEvent(f"{id_[:-1]}{2**64 - 1}").offset("news", "epoch") == 2**64 - 1


def test_an_oversized_id_has_no_position() -> None:
    id_ = id_with({"news": StreamPosition(7, "epoch")})
    assert LastEvent(".".join([id_] * 1000)).offset("news", "epoch") is None


def test_further_channels_are_left_out_of_an_id() -> None:
    position = StreamPosition(1, "epoch")
    last = LastEvent(id_with({str(number): position for number in range(MAX_POSITIONS + 1)}))
    found = [last.offset(str(number), "epoch") for number in range(MAX_POSITIONS + 1)]
    assert found == [1] * MAX_POSITIONS + [None]


# -- a client


class Listener(LocalClientV2):
    """A one-way client whose messages have ids, and which reconnects with an id."""

    def __init__(self, node: Node, *channels: str, last: str = "", subs: dict[str, Any] | None = None) -> None:
        super().__init__(node, stream=StreamSession("secret", True, LastEvent(last) if last else None))
        self.connection.format = ONE_WAY
        self.last = last
        token = connection_token(KEY, "alice", channels=list(channels))
        self.connection.handle(json.dumps({"token": token, "subs": subs or {}}).encode())
        (self.opened, *self.first) = self.events()
        self.subs = self.opened["connect"]["subs"]

    def events(self) -> list[Any]:
        """The events since the last call; `last` is the id of the last message that had one."""
        settle()
        found = []
        messages = self.transport.messages()
        for message in messages[self._seen :]:
            id_, text = split_id(message)
            self.last = self.last if id_ is None else id_.decode()
            found.append(json.loads(text))
        self._seen = len(messages)
        return found

    def data(self) -> list[Any]:
        """The data of the publications since the last call."""
        return [event["pub"]["data"] for event in self.events() if "pub" in event]


KEPT = Namespace(name="kept", history_size=10, history_lifetime=60, recover=True)


@pytest.fixture
def node(start_node: StartNode) -> Node:
    cache = Namespace(name="cache", history_size=10, history_lifetime=60, recover=True, force_recovery_mode="cache")
    asked = Namespace(name="asked", history_size=10, history_lifetime=60)
    return start_node(
        MemoryEngine(), namespaces=(KEPT, cache, asked), token_hmac_secret_key=KEY, force_positioning=True
    )


def publish(node: Node, **data: Any) -> None:
    """Publish one number in each of these channels of the namespace `kept`."""
    for channel, number in data.items():
        node.publish(f"kept:{channel}", b"%d" % number)


def data_of(client: Listener) -> list[Any]:
    return [event["pub"]["data"] for event in client.first if "pub" in event]


@pytest.mark.parametrize("channels", [["kept:a"], ["kept:a", "kept:b"], ["kept:a", "kept:b", "asked:c", "d"]])
def test_client_recovers_in_every_channel_after_a_cut_at_any_event(node: Node, channels: list[str]) -> None:
    first = Listener(node, *channels)
    ids = [first.last]
    sent = []
    for number in range(6):
        channel = "ab"[number % len(channels[:2])]
        publish(node, **{channel: number})
        assert first.data() == [number]
        ids.append(first.last)
        sent.append((channel, number))
    for count, id_ in enumerate(ids):
        second = Listener(node, *channels, last=id_)
        assert sorted(data_of(second)) == [number for _, number in sent[count:]]
        recovering = {name: sub for name, sub in second.subs.items() if name.startswith("kept")}
        assert all(sub["recovered"] and sub["was_recovering"] for sub in recovering.values())
        assert not any("publications" in sub for sub in second.subs.values())
        assert Listener(node, *channels, last=second.last).first == []


def test_client_that_is_cut_during_recovery_receives_the_rest(node: Node) -> None:
    first = Listener(node, "kept:a", "kept:b")
    for number in range(3):
        publish(node, a=number, b=10 + number)
    second = Listener(node, "kept:a", "kept:b", last=first.last)
    everything = second.transport.messages()
    assert len(everything) == 7
    for count, message in enumerate(everything):
        id_ = split_id(message)[0]
        assert id_ is not None
        third = Listener(node, "kept:a", "kept:b", last=id_.decode())
        assert data_of(third) == [0, 1, 2, 10, 11, 12][count:]


def test_clients_of_one_channel_share_what_they_receive(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Listener(node, "kept:a"), Listener(node, "kept:a", "asked:c")
    encoded: list[str] = []
    encode = JSONFormat.encode_publication

    def note(format_: JSONFormat, channel: str, *fields: Any) -> bytes:
        encoded.append(channel)
        return encode(format_, channel, *fields)

    monkeypatch.setattr(JSONFormat, "encode_publication", note)
    publish(node, a=1)
    assert encoded == ["kept:a"]
    assert first.data() == second.data() == [1]
    assert first.last == second.last


def test_channels_without_recovery_do_not_change_the_id(node: Node) -> None:
    client = Listener(node, "kept:a", "asked:c", "d")
    before = client.last
    node.publish("asked:c", b"1")
    node.publish("d", b"2")
    assert client.data() == [1, 2]
    assert client.last == before
    assert Listener(node, "d").last == ""


def test_position_of_another_epoch_is_reported_as_not_recovered(node: Node) -> None:
    client = Listener(node, "kept:a", last=id_with({"kept:a": StreamPosition(0, "another epoch")}))
    assert client.subs["kept:a"]["was_recovering"] is True
    assert "recovered" not in client.subs["kept:a"]
    publish(node, a=1)
    assert client.data() == [1]
    assert Listener(node, "kept:a", last=client.last).subs["kept:a"]["recovered"] is True


@pytest.mark.parametrize("last", ["7", "x" * 100_000, "\x00", "…", "null", "."])
def test_invalid_id_is_reported_as_not_recovered(node: Node, last: str) -> None:
    publish(node, a=1)
    client = Listener(node, "kept:a", last=last)
    assert client.first == []
    assert client.subs["kept:a"]["was_recovering"] is True
    assert "recovered" not in client.subs["kept:a"]


def test_forged_offset_recovers_no_publications(node: Node) -> None:
    publish(node, a=1)
    epoch = Listener(node, "kept:a").subs["kept:a"]["epoch"]
    client = Listener(node, "kept:a", last=id_with({"kept:a": StreamPosition(2**64 - 1, epoch)}))
    assert "recovered" not in client.subs["kept:a"]


def test_more_publications_than_the_history_contains_are_not_recovered(node: Node) -> None:
    first = Listener(node, "kept:a")
    for number in range(11):
        publish(node, a=number)
    second = Listener(node, "kept:a", last=first.last)
    assert second.first == []
    assert "recovered" not in second.subs["kept:a"]


def test_positions_in_the_request_count_without_an_id(node: Node) -> None:
    publish(node, a=1)
    first = Listener(node, "kept:a")
    publish(node, a=2)
    since = {"kept:a": {"recover": True, "offset": 1, "epoch": first.subs["kept:a"]["epoch"]}}
    second = Listener(node, "kept:a", subs=since)
    assert [publication["data"] for publication in second.subs["kept:a"]["publications"]] == [2]
    assert Listener(node, "kept:a", last=second.last).first == []
    publish(node, a=3)
    assert data_of(Listener(node, "kept:a", last=second.last, subs=since)) == [3]


def test_a_channel_in_cache_mode_recovers_the_newest(node: Node) -> None:
    first = Listener(node, "cache:a")
    for number in range(3):
        node.publish("cache:a", b"%d" % number)
    second = Listener(node, "cache:a", last=first.last)
    assert data_of(second) == [2]
    assert data_of(Listener(node, "cache:a", last=second.last)) == []


def test_a_channel_that_a_backend_adds_is_part_of_the_next_id(node: Node) -> None:
    client = Listener(node, "kept:a")
    publish(node, a=1)
    assert client.data() == [1]
    client.connection.subscribe_from_server(AddSubscription("alice", channel="kept:b"))
    (added,) = client.events()
    assert added["subscribe"]["recoverable"] is True
    ids = [client.last]
    publish(node, a=2, b=12)
    assert client.data() == [2, 12]
    ids.append(client.last)
    publish(node, a=3)
    assert client.data() == [3]
    publish(node, b=13)
    assert [data_of(Listener(node, "kept:a", "kept:b", last=id_)) for id_ in ids] == [[2, 3, 12, 13], [3, 13]]
    assert data_of(Listener(node, "kept:a", "kept:b", last=client.last)) == [13]


def test_ids_continue_while_another_channel_is_added(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine, namespaces=(KEPT,), token_hmac_secret_key=KEY)
    client = Listener(node, "kept:a")
    publish(node, a=1)
    assert client.data() == [1]
    gate = engine.close_gate("subscribe")
    adding = gevent.spawn(client.connection.subscribe_from_server, AddSubscription("alice", channel="kept:b"))
    settle()
    client.connection.note_positions({"kept:c": SubscribeResult(recoverable=True, epoch="epoch", offset=7)})
    gate.set()
    adding.get(timeout=5)
    client.events()
    last = LastEvent(client.last)
    epochs = {channel: node.top(channel).epoch for channel in ("kept:a", "kept:b")}
    assert [last.offset(channel, epoch) for channel, epoch in epochs.items()] == [1, 0]
    assert last.offset("kept:c", "epoch") == 7


def test_ended_channel_is_not_part_of_the_next_id(node: Node) -> None:
    client = Listener(node, "kept:a", "kept:b")
    client.connection.unsubscribe("kept:b")
    client.events()
    assert client.last == Listener(node, "kept:a").last
    client.connection.unsubscribe("kept:a")
    client.events()
    assert client.last == ""


def test_a_client_that_lacks_a_publication_gets_no_ids(node: Node) -> None:
    client = Listener(node, "kept:a")
    before = client.last
    node.hub.mute("kept:a")
    client.connection.subscribe_from_server(AddSubscription("alice", channel="kept:b"))
    assert "subscribe" in client.events()[0]
    assert client.last == before


def test_message_without_an_id_stays_unchanged() -> None:
    assert split_id(b"{}") == (None, b"{}")
    assert split_id(with_id(b"", b"{}")) == (b"", b"{}")


def test_ids_continue_while_another_channel_is_removed(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine, namespaces=(KEPT,), token_hmac_secret_key=KEY)
    client = Listener(node, "kept:a")
    gate = engine.close_gate("unsubscribe")
    ending = gevent.spawn(client.connection.unsubscribe, "kept:a")
    settle()
    adding = gevent.spawn(client.connection.subscribe_from_server, AddSubscription("alice", channel="kept:b"))
    settle()
    gate.set()
    ending.get(timeout=5)
    adding.get(timeout=5)
    publish(node, b=1)
    client.events()
    assert LastEvent(client.last).offset("kept:b", node.top("kept:b").epoch) == 1
    assert LastEvent(client.last).offset("kept:a", node.top("kept:a").epoch) is None
