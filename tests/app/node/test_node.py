"""Behaviour of a node between its hub and its engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import gevent
import pytest

from gentrifugo.app.model.errors import (
    CLOSE_DISCONNECT,
    CLOSE_SHUTDOWN,
    INTERNAL_ERROR,
    NAMESPACE_NOT_FOUND,
    Disconnect,
)
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.wire import encode_publication
from tests.app.conftest import VERSION, config
from tests.app.node.parts import ALICE, connect, received, refusal
from tests.contents import contents
from tests.fakes import FailingEngine, FakeConnection
from tests.greenlets import eventually, settle
from tests.waiting import seconds

StartNode = Callable[..., Node]


# -- publish


def test_joins_and_leaves_reach_the_subscribers(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish_join("news", ALICE)
    node.publish_leave("news", ALICE)
    assert [push["method"] for push in received(connection)] == ["join", "leave"]


def test_a_failed_join_or_leave_is_only_logged(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("publish_event")
    node.publish_join("news", ALICE)
    node.publish_leave("news", ALICE)
    assert [record.message for record in caplog.records] == [
        "cannot publish a join: in 'news': publish_event has failed",
        "cannot publish a leave: in 'news': publish_event has failed",
    ]


# -- subscriptions: hub and engine agree


def test_engine_is_subscribed_while_a_channel_has_subscribers(node: Node, engine: FailingEngine) -> None:
    first, second = connect(node, "c1", channel="news"), connect(node, "c2", channel="news")
    assert engine.calls["subscribe"] == 1
    node.remove_subscription("news", first)
    assert engine.channels() == ["news"]
    node.remove_subscription("news", second)
    assert engine.channels() == []


def test_failed_subscription_is_removed_completely(node: Node, engine: FailingEngine) -> None:
    engine.failing.add("subscribe")
    connection = connect(node)
    assert refusal(node.add_subscription, "news", connection) == INTERNAL_ERROR
    assert not node.hub.has_subscribers("news")
    engine.failing.clear()
    node.add_subscription("news", connection)
    assert engine.channels() == ["news"]


def test_a_failed_unsubscription_is_only_logged(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(node, channel="news")
    engine.failing.add("unsubscribe")
    node.remove_subscription("news", connection)
    assert not node.hub.has_subscribers("news")
    assert "cannot unsubscribe: in 'news': unsubscribe has failed" in caplog.text


def test_removing_a_subscription_twice_unsubscribes_once(node: Node, engine: FailingEngine) -> None:
    connection = connect(node, channel="news")
    for _ in range(2):
        node.remove_subscription("news", connection)
    assert engine.calls["unsubscribe"] == 1


def test_a_first_subscriber_waits_for_the_last_one_to_have_left(node: Node, engine: FailingEngine) -> None:
    """Otherwise the engine could carry out the old unsubscribe after the new subscribe."""
    leaving, coming = connect(node, "c1", channel="news"), connect(node, "c2")
    gate = engine.close_gate("unsubscribe")
    gevent.spawn(node.remove_subscription, "news", leaving)
    settle()
    gevent.spawn(node.add_subscription, "news", coming)
    settle()
    assert engine.calls["subscribe"] == 1
    gate.set()
    eventually(lambda: engine.calls["subscribe"] == 2)
    node.publish("news", b"1")
    assert len(received(coming)) == 1


def test_second_subscriber_waits_for_the_engine_call_of_the_first(node: Node, engine: FailingEngine) -> None:
    gate = engine.close_gate("subscribe")
    first = gevent.spawn(connect, node, "c1", "alice", "news")
    settle()
    second = gevent.spawn(connect, node, "c2", "alice", "news")
    settle()
    assert not second.ready()
    gate.set()
    gevent.joinall([first, second])
    assert engine.calls["subscribe"] == 1


# -- presence and history


def test_presence_is_kept_for_the_configured_time(start_node: StartNode) -> None:
    node = start_node(presence=True, presence_expire_interval=0.01)
    node.add_presence("news", "c1", ALICE)
    assert node.presence("news") == {"c1": ALICE}
    eventually(lambda: node.presence("news") == {})


def test_presence_can_be_removed(node: Node) -> None:
    node.add_presence("rich:news", "c1", ALICE)
    node.remove_presence("rich:news", "c1")
    assert node.presence("rich:news") == {}


def test_history_and_last_uid_are_returned(node: Node) -> None:
    assert node.last_uid("rich:news") == ""
    for uid in ("u1", "u2"):
        node.publish("rich:news", b"1", uid=uid)
    assert [publication.uid for publication in node.history("rich:news")] == ["u2", "u1"]
    assert node.last_uid("rich:news") == "u2"


def test_a_failed_last_uid_is_an_internal_error(node: Node, engine: FailingEngine) -> None:
    engine.failing.add("history")
    assert refusal(node.last_uid, "rich:news") == INTERNAL_ERROR


def test_a_failed_removal_of_presence_is_only_logged(
    node: Node, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("remove_presence")
    node.remove_presence("rich:news", "c1")
    assert "cannot remove presence: in 'rich:news': remove_presence has failed" in caplog.text


# -- configuration


def test_new_configuration_applies_immediately(node: Node) -> None:
    node.configure(replace(node.config, presence=True, namespaces=()))
    assert node.presence("news") == {}
    assert refusal(node.publish, "rich:news", b"1") == NAMESPACE_NOT_FOUND


def test_a_new_configuration_reaches_the_flusher(start_node: StartNode) -> None:
    node = start_node(client_write_delay=3600)
    node.configure(replace(node.config, client_write_delay=0))
    connection = connect(node, channel="news")
    for _ in range(2):
        node.publish("news", b"1")
        settle()
    assert len(connection.transport.socket.sent) == 2


# -- the end


def test_closing_connections_closes_all_of_them(node: Node) -> None:
    connections = [connect(node, f"c{number}", f"user{number % 7}") for number in range(200)]
    node.close_connections()
    assert all(connection.closed_with == [CLOSE_SHUTDOWN] for connection in connections)
    assert node.stopping


def test_connections_are_closed_side_by_side(node: Node, engine: FailingEngine) -> None:
    """Each connection publishes a leave; one after the other, they would wait a thousand times for a slow engine."""
    leaving: list[int] = []

    class Slow(FakeConnection):
        def close(self, disconnect: Disconnect) -> None:
            leaving.append(1)
            gevent.sleep(0.05)
            super().close(disconnect)

    connections = [Slow(node.flusher, f"c{number}") for number in range(200)]
    node.hub.open.update(connections)
    started = time.monotonic()
    node.close_connections()
    assert len(leaving) == 200
    assert time.monotonic() - started < seconds(2)


def test_closing_connections_reaches_those_that_have_not_authenticated(node: Node) -> None:
    connection = FakeConnection(node.flusher, "c1")
    node.hub.open.add(connection)
    node.close_connections(CLOSE_DISCONNECT)
    assert connection.closed_with == [CLOSE_DISCONNECT]


def test_a_second_stop_of_a_node_does_nothing(node: Node) -> None:
    """The fixture checks that no greenlet is left."""
    node.stop()
    node.stop()
    assert node.stopping


def test_a_node_that_never_started_can_be_stopped(nothing_left_behind: None) -> None:
    node = Node(config(), FailingEngine(), VERSION, encode_publication)
    node.stop()
    assert node.stopping
    assert not node.has_pending_notifications


def test_stopped_node_delivers_no_events(node: Node) -> None:
    connection = connect(node, channel="news")
    node.stop()
    node.publish("news", b"1")
    assert received(connection) == []


def test_channel_without_subscribers_uses_no_memory(node: Node, engine: FailingEngine) -> None:
    connection = connect(node, channel="news")
    node.publish("news", b"1")
    received(connection)
    node.remove_subscription("news", connection)
    node.remove_connection(connection)
    node.hub.open.discard(connection)
    engine.calls.clear()
    assert contents(node.hub, node.flusher) == []
    assert contents(engine, node) == []


def test_the_engines_name_is_shown(node: Node) -> None:
    assert node.engine_name == "memory"
