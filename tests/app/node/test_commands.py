"""Behaviour of the commands of backends, on a node: publishing, presence and history, and users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.errors import (
    CLOSE_DISCONNECT,
    INTERNAL_ERROR,
    INVALID_MESSAGE,
    NAMESPACE_NOT_FOUND,
    NOT_AVAILABLE,
    Error,
)
from gentrifugo.app.model.events import StreamPosition
from gentrifugo.app.node.commands import UNRECOVERABLE, PublishOptions, PublishRequest
from gentrifugo.app.node.node import Node
from gentrifugo.engines.base import ALL, HistoryFilter, PublishConditions
from gentrifugo.engines.memory import MemoryEngine
from tests.app.node.parts import ALICE, FakeWatcher, connect, received, refusal
from tests.fakes import FailingEngine
from tests.greenlets import BackgroundGreenlet, background_greenlet, eventually

__all__ = ["background_greenlet"]

StartNode = Callable[..., Node]


# -- publish


def test_a_publication_reaches_the_subscribers(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish("news", b'{"a": 1.50}', "c9", ALICE, "u1")
    (message,) = connection.transport.messages()
    assert message == (
        b'{"method":"message","body":{"uid":"u1","client":"c9",'
        b'"info":{"user":"alice","client":"c1"},"channel":"news","data":{"a": 1.50}}}'
    )


def test_publications_have_uids_that_never_repeat(start_node: StartNode) -> None:
    nodes = [start_node(), start_node()]
    connections = [connect(node, channel="news") for node in nodes]
    for _ in range(100):
        for node in nodes:
            node.publish("news", b"1")
    uids = [push["body"]["uid"] for connection in connections for push in received(connection)]
    assert len(set(uids)) == 200
    assert {len(uid) for uid in uids} == {36}


def test_a_publication_without_receivers_is_counted_and_shown_to_operators(start_node: StartNode) -> None:
    node = start_node(MemoryEngine(), namespaces=(Namespace(name="shown", watch=True),))
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    assert node.publish("news", b"1") is None
    assert node.publish_all([PublishRequest("news", b"2"), PublishRequest("shown:news", b"3")]) == [None, None]
    assert node.metrics.counters.node_num_client_msg_published == 3
    eventually(lambda: watcher.data == [3])


def test_publications_after_one_without_receivers_are_counted_refused_stored_and_shown(start_node: StartNode) -> None:
    spaces = (Namespace(name="shown", watch=True), Namespace(name="kept", history_size=9, history_lifetime=60))
    node = start_node(MemoryEngine(), namespaces=spaces)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    channels = ("news", "shown:a", "kept:a", "unknown:a", "other", "news")
    requests = [PublishRequest(channel, b"%d" % number) for channel in channels for number in range(3)]
    outcomes = node.publish_all(requests)
    assert outcomes[:6] == [None] * 6
    assert [outcome.offset for outcome in outcomes[6:9] if isinstance(outcome, StreamPosition)] == [1, 2, 3]
    assert outcomes[9:] == [NAMESPACE_NOT_FOUND] * 3 + [None] * 6
    assert node.metrics.counters.node_num_client_msg_published == 15
    eventually(lambda: watcher.data == [0, 1, 2])


def test_publications_into_a_channel_without_a_name_are_stored_like_single_ones(start_node: StartNode) -> None:
    node = start_node(MemoryEngine(), history_size=5, history_lifetime=60)
    outcomes = node.publish_all([PublishRequest("", b"1"), PublishRequest("", b"2")])
    assert [outcome.offset for outcome in outcomes if isinstance(outcome, StreamPosition)] == [1, 2]


def test_client_that_subscribes_during_a_batch_receives_the_rest(
    start_node: StartNode, background_greenlet: BackgroundGreenlet
) -> None:
    node = start_node(MemoryEngine(), history_size=9, history_lifetime=60)
    connect(node, channel="other")
    subscribing = gevent.spawn(connect, node, channel="news")
    others = [PublishRequest("other", b"0")] * 5  # after each, other greenlets may run
    news = [PublishRequest("news", b"%d" % number) for number in range(4)]
    node.publish_all([*news[:2], *others, *news[2:]])
    assert [push["body"]["data"] for push in received(subscribing.get())][-2:] == [2, 3]
    assert [publication.data for publication in node.history("news")] == [b"3", b"2", b"1", b"0"]


def test_a_publication_without_receivers_into_an_unknown_namespace_is_refused(start_node: StartNode) -> None:
    node = start_node(MemoryEngine())
    assert refusal(node.publish, "unknown:news", b"1") == NAMESPACE_NOT_FOUND
    assert node.publish_all([PublishRequest("unknown:news", b"2")]) == [NAMESPACE_NOT_FOUND]
    assert node.metrics.counters.node_num_client_msg_published == 0


def test_a_publication_for_clients_that_subscribe_later_is_kept(start_node: StartNode) -> None:
    node = start_node(MemoryEngine(), history_size=5, history_lifetime=60)
    node.publish("news", b"1")
    node.publish("news", b"2", options=PublishOptions(skip_history=True))
    node.publish("news", b"3", options=PublishOptions(once=PublishConditions("key")))
    node.publish("news", b"4", options=PublishOptions(once=PublishConditions("key")))
    assert [publication.data for publication in node.history("news")] == [b"3", b"1"]


def test_conditions_of_a_batch_are_checked_also_in_a_channel_without_receivers(start_node: StartNode) -> None:
    node = start_node(MemoryEngine())
    once = PublishOptions(once=PublishConditions("key"))
    node.publish_all([PublishRequest("news", b"1", options=once)])
    connection = connect(node, channel="news")
    node.publish_all([PublishRequest("news", b"2", options=once), PublishRequest("news", b"3")])
    assert [push["body"]["data"] for push in received(connection)] == [3]


def test_a_batch_keeps_the_uids_that_the_backend_has_given(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish_all([PublishRequest("news", b"1", "c9", "u1"), PublishRequest("news", b"2", "", "u2")])
    bodies = [push["body"] for push in received(connection)]
    assert [(body["uid"], body.get("client")) for body in bodies] == [("u1", "c9"), ("u2", None)]


def test_publishing_into_an_unknown_namespace_is_refused(node: Node) -> None:
    assert refusal(node.publish, "unknown:news", b"1") == NAMESPACE_NOT_FOUND


def test_a_failed_publish_reaches_the_caller(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("publish")
    assert refusal(node.publish, "news", b"1") == INTERNAL_ERROR
    assert "cannot publish: in 'news': publish has failed" in caplog.text


def test_repeated_engine_failures_are_logged_once(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing |= {"publish", "history"}
    for number in range(100):
        assert refusal(node.publish, f"news{number}", b"1") == INTERNAL_ERROR
    assert caplog.text.count("cannot publish") == 1


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"history_size": 1, "history_lifetime": 60}, 1),
        ({"history_size": 1}, 0),
        ({"history_lifetime": 60}, 0),
        ({"history_size": 2, "history_lifetime": 60, "history_drop_inactive": True}, 0),
    ],
)
def test_history_needs_size_and_lifetime(start_node: StartNode, options: dict[str, Any], kept: int) -> None:
    engine = FailingEngine()
    node = start_node(engine, **options)
    for _ in range(2):
        node.publish("news", b"1")
    assert len(engine.history("news")) == kept


KEPT = {"history_size": 5, "history_lifetime": 60}


def test_a_publication_has_a_position(start_node: StartNode) -> None:
    node = start_node(**KEPT)
    first = node.publish("news", b"1")
    assert first is not None
    outcomes = node.publish_all([PublishRequest("news", b"2"), PublishRequest("no:news", b"3")])
    assert outcomes == [first._replace(offset=2), NAMESPACE_NOT_FOUND]
    assert node.stream("news", HistoryFilter()).top == first._replace(offset=2)


def test_options_of_a_publication_are_passed_to_the_engine(start_node: StartNode) -> None:
    node = start_node(**KEPT)
    once = PublishOptions(tags={"a": "b"}, once=PublishConditions("key"))
    first = node.publish("news", b"1", options=once)
    assert first is not None
    assert node.publish("news", b"2", options=once) == first
    assert node.publish("news", b"3", options=PublishOptions(skip_history=True)) is None
    skipped = PublishRequest("news", b"3", options=PublishOptions(skip_history=True))
    assert node.publish_all([skipped, PublishRequest("news", b"2", options=once)]) == [None, first]
    (publication,) = node.stream("news", HistoryFilter(ALL)).publications
    assert (publication.data, publication.tags, publication.offset) == (b"1", {"a": "b"}, 1)


def test_a_position_of_another_epoch_is_refused(start_node: StartNode) -> None:
    node = start_node(**KEPT)
    assert refusal(node.stream, "news", HistoryFilter(ALL, StreamPosition(0, "other"))) == UNRECOVERABLE


def test_a_removed_history_keeps_its_position(start_node: StartNode) -> None:
    node = start_node(**KEPT)
    position = node.publish("news", b"1")
    node.remove_history("news")
    assert node.stream("news", HistoryFilter(ALL)) == ([], position)


# -- look up


@pytest.mark.parametrize("query", ["presence", "history", "remove_history"])
@pytest.mark.parametrize(
    ("channel", "error"), [("", INVALID_MESSAGE), ("unknown:x", NAMESPACE_NOT_FOUND), ("news", NOT_AVAILABLE)]
)
def test_queries_for_invalid_or_unavailable_channels_are_refused(
    node: Node, query: str, channel: str, error: Error
) -> None:
    assert refusal(getattr(node, query), channel) == error


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("presence", ["rich:news"]),
        ("history", ["rich:news"]),
        ("stream", ["rich:news", HistoryFilter()]),
        ("remove_history", ["rich:news"]),
        ("add_presence", ["rich:news", "c1", ALICE]),
        ("channels", []),
    ],
)
def test_an_engine_that_fails_is_an_internal_error(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture, call: str, arguments: list[Any]
) -> None:
    engine.failing.add(call)
    assert refusal(getattr(node, call), *arguments) == INTERNAL_ERROR
    assert f"{call} has failed" in caplog.text


# -- users


def test_a_user_is_unsubscribed_from_one_channel(node: Node) -> None:
    first, second, other = connect(node, "c1"), connect(node, "c2"), connect(node, "c3", "bob")
    node.unsubscribe_user("alice", "news")
    assert (first.unsubscribed, second.unsubscribed, other.unsubscribed) == (["news"], ["news"], [])


def test_a_user_is_unsubscribed_from_all_channels(node: Node) -> None:
    connection = connect(node)
    connection.channels = {"news": b"", "chat": b""}
    node.unsubscribe_user("alice", "")
    assert connection.unsubscribed == ["news", "chat"]


def test_a_user_is_disconnected(node: Node) -> None:
    connection, other = connect(node, "c1"), connect(node, "c2", "bob")
    node.disconnect_user("alice")
    assert (connection.closed_with, other.closed_with) == ([CLOSE_DISCONNECT], [])


def test_commands_for_a_user_without_connections_here_are_sent_to_the_other_nodes(
    node: Node, engine: FailingEngine
) -> None:
    before = engine.calls["publish_control"]
    node.unsubscribe_user("nobody", "")
    node.disconnect_user("nobody")
    assert engine.calls["publish_control"] - before == 2


def test_backends_must_name_a_user(node: Node) -> None:
    connect(node, user="")
    assert refusal(node.unsubscribe_user, "", "news") == INVALID_MESSAGE
    assert refusal(node.disconnect_user, "") == INVALID_MESSAGE


def test_unsubscribing_from_an_unknown_namespace_is_refused(node: Node) -> None:
    connection = connect(node)
    assert refusal(node.unsubscribe_user, "alice", "unknown:news") == NAMESPACE_NOT_FOUND
    assert connection.unsubscribed == []


def test_commands_that_cannot_be_sent_to_other_nodes_are_refused_as_internal_error(
    node: Node, engine: FailingEngine
) -> None:
    connection = connect(node)
    engine.failing.add("publish_control")
    assert refusal(node.unsubscribe_user, "alice", "news") == INTERNAL_ERROR
    assert refusal(node.disconnect_user, "alice") == INTERNAL_ERROR
    assert (connection.unsubscribed, connection.closed_with) == (["news"], [CLOSE_DISCONNECT])
