"""Behaviour of a node between its hub and its engine, and of several nodes that one engine joins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.config import Namespace
from gentrifugo.app.model.errors import (
    CLOSE_DISCONNECT,
    CLOSE_SHUTDOWN,
    INTERNAL_ERROR,
    INVALID_MESSAGE,
    NAMESPACE_NOT_FOUND,
    NOT_AVAILABLE,
    Disconnect,
    Error,
    Refused,
)
from gentrifugo.app.model.events import ClientInfo
from gentrifugo.app.node import cluster as cluster_module
from gentrifugo.app.node import control
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.registry import NodeInfo
from gentrifugo.app.protocol.v1.wire import encode_publication
from tests.app.conftest import VERSION, config
from tests.contents import contents
from tests.fakes import Bus, FakeConnection, TroubledEngine
from tests.greenlets import eventually, settle
from tests.waiting import seconds

StartNode = Callable[..., Node]

ALICE = ClientInfo("alice", "c1")
RICH = Namespace(name="rich", presence=True, history_size=10, history_lifetime=60)


@pytest.fixture
def engine() -> TroubledEngine:
    return TroubledEngine()


@pytest.fixture
def node(start_node: StartNode, engine: TroubledEngine) -> Node:
    return start_node(engine, namespaces=(RICH,))


def connect(node: Node, uid: str = "c1", user: str = "alice", channel: str = "") -> FakeConnection:
    """A connection that is registered on the node, and subscribed to `channel` if there is one."""
    connection = FakeConnection(node.flusher, uid, user)
    node.hub.open.add(connection)
    node.add_connection(connection)
    if channel:
        node.add_subscription(channel, connection)
        connection.channels[channel] = b""
    return connection


def received(connection: FakeConnection) -> list[Any]:
    settle()
    return [json.loads(message) for message in connection.transport.messages()]


def refusal(action: Callable[..., Any], *arguments: Any) -> Error:
    """The error with which the node refuses."""
    with pytest.raises(Refused) as refused:
        action(*arguments)
    return refused.value.error


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


def test_a_node_identifies_itself_when_it_starts(start_node: StartNode) -> None:
    """Before, it may have been in a process that forked, and each child needs an identity."""
    built = Node(config(), TroubledEngine(), VERSION, encode_publication)
    before = built.cluster.uid
    built.start()
    assert built.cluster.uid != before
    assert [info.uid for info in nodes_known_to(built)] == [built.cluster.uid]
    built.stop()


def test_publishing_into_an_unknown_namespace_is_refused(node: Node) -> None:
    assert refusal(node.publish, "unknown:news", b"1") == NAMESPACE_NOT_FOUND


def test_a_failed_publish_reaches_the_caller(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("publish")
    assert refusal(node.publish, "news", b"1") == INTERNAL_ERROR
    assert "cannot publish: in 'news': publish has failed" in caplog.text


def test_an_engine_that_is_away_does_not_fill_the_log(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture
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
    engine = TroubledEngine()
    node = start_node(engine, **options)
    for _ in range(2):
        node.publish("news", b"1")
    assert len(engine.history("news")) == kept


def test_joins_and_leaves_reach_the_subscribers(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish_join("news", ALICE)
    node.publish_leave("news", ALICE)
    assert [push["method"] for push in received(connection)] == ["join", "leave"]


def test_a_failed_join_or_leave_is_only_logged(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("publish_event")
    node.publish_join("news", ALICE)
    node.publish_leave("news", ALICE)
    assert [record.message for record in caplog.records] == [
        "cannot publish a join: in 'news': publish_event has failed",
        "cannot publish a leave: in 'news': publish_event has failed",
    ]


# -- subscriptions: hub and engine agree


def test_the_engine_is_subscribed_while_anybody_is(node: Node, engine: TroubledEngine) -> None:
    first, second = connect(node, "c1", channel="news"), connect(node, "c2", channel="news")
    assert engine.calls["subscribe"] == 1
    node.remove_subscription("news", first)
    assert engine.channels() == ["news"]
    node.remove_subscription("news", second)
    assert engine.channels() == []


def test_a_failed_subscription_leaves_nothing_behind(node: Node, engine: TroubledEngine) -> None:
    engine.failing.add("subscribe")
    connection = connect(node)
    assert refusal(node.add_subscription, "news", connection) == INTERNAL_ERROR
    assert not node.hub.has_subscribers("news")
    engine.failing.clear()
    node.add_subscription("news", connection)
    assert engine.channels() == ["news"]


def test_a_failed_unsubscription_is_only_logged(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture
) -> None:
    connection = connect(node, channel="news")
    engine.failing.add("unsubscribe")
    node.remove_subscription("news", connection)
    assert not node.hub.has_subscribers("news")
    assert "cannot unsubscribe: in 'news': unsubscribe has failed" in caplog.text


def test_removing_a_subscription_twice_unsubscribes_once(node: Node, engine: TroubledEngine) -> None:
    connection = connect(node, channel="news")
    for _ in range(2):
        node.remove_subscription("news", connection)
    assert engine.calls["unsubscribe"] == 1


def test_a_first_subscriber_waits_for_the_last_one_to_have_left(node: Node, engine: TroubledEngine) -> None:
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


def test_a_second_subscriber_waits_for_the_first_ones_engine_call(node: Node, engine: TroubledEngine) -> None:
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


def test_history_and_its_last_uid(node: Node) -> None:
    assert node.last_uid("rich:news") == ""
    for uid in ("u1", "u2"):
        node.publish("rich:news", b"1", uid=uid)
    assert [publication.uid for publication in node.history("rich:news")] == ["u2", "u1"]
    assert node.last_uid("rich:news") == "u2"


@pytest.mark.parametrize("query", ["presence", "history"])
@pytest.mark.parametrize(
    ("channel", "error"), [("", INVALID_MESSAGE), ("unknown:x", NAMESPACE_NOT_FOUND), ("news", NOT_AVAILABLE)]
)
def test_queries_are_refused(node: Node, query: str, channel: str, error: Error) -> None:
    assert refusal(getattr(node, query), channel) == error


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("presence", ["rich:news"]),
        ("history", ["rich:news"]),
        ("add_presence", ["rich:news", "c1", ALICE]),
        ("channels", []),
    ],
)
def test_an_engine_that_fails_is_an_internal_error(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture, call: str, arguments: list[Any]
) -> None:
    engine.failing.add(call)
    assert refusal(getattr(node, call), *arguments) == INTERNAL_ERROR
    assert f"{call} has failed" in caplog.text


def test_a_failed_last_uid_is_an_internal_error(node: Node, engine: TroubledEngine) -> None:
    engine.failing.add("history")
    assert refusal(node.last_uid, "rich:news") == INTERNAL_ERROR


def test_a_failed_removal_of_presence_is_only_logged(
    node: Node, engine: TroubledEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("remove_presence")
    node.remove_presence("rich:news", "c1")
    assert "cannot remove presence: in 'rich:news': remove_presence has failed" in caplog.text


# -- what backends ask


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


def test_a_user_who_is_not_here_may_be_elsewhere(node: Node) -> None:
    node.unsubscribe_user("nobody", "")
    node.disconnect_user("nobody")


def test_backends_must_name_a_user(node: Node) -> None:
    connect(node, user="")
    assert refusal(node.unsubscribe_user, "", "news") == INVALID_MESSAGE
    assert refusal(node.disconnect_user, "") == INVALID_MESSAGE


def test_unsubscribing_from_an_unknown_namespace_is_refused(node: Node) -> None:
    connection = connect(node)
    assert refusal(node.unsubscribe_user, "alice", "unknown:news") == NAMESPACE_NOT_FOUND
    assert connection.unsubscribed == []


def test_backends_hear_when_other_nodes_could_not_be_told(node: Node, engine: TroubledEngine) -> None:
    connection = connect(node)
    engine.failing.add("publish_control")
    assert refusal(node.unsubscribe_user, "alice", "news") == INTERNAL_ERROR
    assert refusal(node.disconnect_user, "alice") == INTERNAL_ERROR
    assert (connection.unsubscribed, connection.closed_with) == (["news"], [CLOSE_DISCONNECT])


# -- control messages


def test_a_nodes_own_messages_are_ignored(node: Node) -> None:
    connection = connect(node)
    node.handle_control(control.encode(node.cluster.uid, control.DisconnectUser("alice")))
    settle()
    assert connection.closed_with == []


@pytest.mark.parametrize("message", [b"", b"garbage", b'{"version":1,"node":"\xff"}', b'{"x":' * 10_000])
def test_what_is_no_control_message_is_skipped(node: Node, caplog: pytest.LogCaptureFixture, message: bytes) -> None:
    node.handle_control(message)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "a control message is skipped" in caplog.text


def test_control_messages_do_not_hold_up_the_engine(node: Node) -> None:
    """They are handled in greenlets of their own: closing a connection may take the engine itself."""
    connection = connect(node)
    node.handle_control(control.encode("another", control.DisconnectUser("alice")))
    assert connection.closed_with == []
    settle()
    assert connection.closed_with == [CLOSE_DISCONNECT]


# -- several nodes


@pytest.fixture
def nodes(start_node: StartNode) -> tuple[Node, Node]:
    bus = Bus()
    return start_node(bus.engine(), name="first"), start_node(bus.engine(), name="second")


def test_a_publication_reaches_subscribers_on_all_nodes(nodes: tuple[Node, Node]) -> None:
    connections = [connect(node, channel="news") for node in nodes]
    nodes[0].publish("news", b"1", uid="u1")
    for connection in connections:
        (push,) = received(connection)
        assert push["body"]["uid"] == "u1"


def test_a_user_is_unsubscribed_on_all_nodes(nodes: tuple[Node, Node]) -> None:
    connections = [connect(node, channel="news") for node in nodes]
    nodes[0].unsubscribe_user("alice", "news")
    nodes[1].unsubscribe_user("alice", "")
    settle()
    for connection in connections:
        assert connection.unsubscribed == ["news", "news"]


def test_a_user_is_disconnected_on_all_nodes(nodes: tuple[Node, Node]) -> None:
    connections = [connect(node) for node in nodes]
    nodes[0].disconnect_user("alice")
    settle()
    for connection in connections:
        assert connection.closed_with == [CLOSE_DISCONNECT]


def test_channels_of_all_nodes(nodes: tuple[Node, Node]) -> None:
    connect(nodes[0], channel="news")
    connect(nodes[1], channel="chat")
    assert sorted(nodes[0].channels()) == ["chat", "news"]


def test_nodes_know_each_other(start_node: StartNode) -> None:
    bus = Bus()
    first = start_node(bus.engine(), name="first", node_ping_interval=0.01)
    second = start_node(bus.engine(), name="second", node_ping_interval=0.01)
    for node in (first, second):
        await_names(node, "first", "second")


def test_a_node_that_went_away_is_forgotten(start_node: StartNode) -> None:
    bus = Bus()
    first = start_node(bus.engine(), name="first", node_ping_interval=0.01)
    second = start_node(bus.engine(), name="second", node_ping_interval=0.01)
    eventually(lambda: len(nodes_known_to(first)) == 2)
    second.stop()
    eventually(lambda: [info.name for info in nodes_known_to(first)] == ["first"])


def await_names(node: Node, *names: str) -> None:
    """Wait until the node knows the nodes with these names, and no others."""
    eventually(lambda: sorted(info.name for info in nodes_known_to(node)) == sorted(names))


def nodes_known_to(node: Node) -> list[NodeInfo]:
    nodes = node.stats()["nodes"]
    assert isinstance(nodes, list)
    return nodes


# -- telling of itself


def test_a_node_knows_itself_at_once(node: Node) -> None:
    (info,) = nodes_known_to(node)
    assert (info.uid, info.name) == (node.cluster.uid, "test")
    assert info.started_at > 1_500_000_000
    assert node.stats()["metrics_interval"] == 60


def test_node_shows_what_is_now(node: Node) -> None:
    for uid, user in (("c1", "alice"), ("c2", "alice"), ("c3", "bob")):
        connect(node, uid, user, "news")
    metrics = node.cluster.own_info().metrics
    assert metrics["node_num_clients"] == 3
    assert metrics["node_num_unique_clients"] == 2
    assert metrics["node_num_channels"] == 1
    assert metrics["node_num_add_client_conn"] == metrics["node_num_add_client_sub"] == 3


def test_node_counts_what_was_sent(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish("news", b"1")
    (message,) = connection.transport.messages()
    metrics = node.cluster.own_info().metrics
    assert (metrics["client_num_msg_queued"], metrics["client_num_msg_sent"]) == (1, 1)
    assert metrics["client_bytes_out"] == len(connection.transport.frame(message))


def test_node_counts_what_passes_through_it(node: Node) -> None:
    connection = connect(node, channel="rich:news")
    node.publish("rich:news", b"1")
    node.publish_join("rich:news", ALICE)
    node.publish_leave("rich:news", ALICE)
    node.add_presence("rich:news", "c1", ALICE)
    node.presence("rich:news")
    node.remove_presence("rich:news", "c1")
    node.history("rich:news")
    node.last_uid("rich:news")
    node.disconnect_user("nobody")
    node.remove_subscription("rich:news", connection)
    node.remove_connection(connection)
    metrics = node.cluster.own_info().metrics
    once = (
        *("node_num_client_msg_published", "node_num_client_msg_received", "node_num_join_msg_published"),
        *("node_num_join_msg_received", "node_num_leave_msg_published", "node_num_leave_msg_received"),
        *("node_num_add_presence", "node_num_presence", "node_num_remove_presence", "node_num_history"),
        *("node_num_last_message_id", "node_num_remove_client_sub", "node_num_remove_client_conn"),
    )
    assert {name: metrics[name] for name in once} == dict.fromkeys(once, 1)
    assert metrics["node_num_control_msg_published"] == metrics["node_num_control_msg_received"] == 2


def test_stats_show_the_last_whole_interval(start_node: StartNode) -> None:
    node = start_node(node_metrics_interval=0.05, node_ping_interval=0.01)
    node.publish("news", b"1")
    eventually(lambda: nodes_known_to(node)[0].metrics["node_num_client_msg_published"] == 1)
    eventually(lambda: nodes_known_to(node)[0].metrics["node_num_client_msg_published"] == 0)
    assert node.cluster.own_info().metrics["node_num_client_msg_published"] == 1


def test_a_ping_that_fails_is_tried_again(start_node: StartNode, engine: TroubledEngine) -> None:
    engine.failing.add("publish_control")
    node = start_node(engine, node_ping_interval=0.01)
    eventually(lambda: engine.calls["publish_control"] > 2)
    assert len(nodes_known_to(node)) == 1


def test_a_defect_does_not_end_the_pings(
    start_node: StartNode, engine: TroubledEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start_node(engine, node_ping_interval=0.01)
    monkeypatch.setattr(cluster_module, "SILENT_PINGS", None)
    eventually(lambda: len(caplog.records) > 1)
    assert caplog.records[0].exc_info is not None


# -- configuration


def test_a_new_configuration_holds_at_once(node: Node) -> None:
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


def test_a_new_interval_holds_from_the_next_round_on(start_node: StartNode, engine: TroubledEngine) -> None:
    node = start_node(engine, node_ping_interval=0.01)
    eventually(lambda: engine.calls["publish_control"] > 1)
    node.configure(replace(node.config, node_ping_interval=3600))
    before = engine.calls["publish_control"]
    gevent.sleep(0.05)
    assert engine.calls["publish_control"] <= before + 1


# -- the end


def test_closing_connections_closes_all_of_them(node: Node) -> None:
    connections = [connect(node, f"c{number}", f"user{number % 7}") for number in range(200)]
    node.close_connections()
    assert all(connection.closed_with == [CLOSE_SHUTDOWN] for connection in connections)
    assert node.stopping


def test_connections_are_closed_side_by_side(node: Node, engine: TroubledEngine) -> None:
    """Each has its leave to tell; one after the other they would wait a thousand times for a slow engine."""
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


def test_a_node_stops_once(node: Node) -> None:
    """What is left of it is what the fixture looks for."""
    node.stop()
    node.stop()
    assert node.stopping


def test_a_node_that_never_started_can_be_stopped(nothing_left_behind: None) -> None:
    Node(config(), TroubledEngine(), VERSION, encode_publication).stop()


def test_a_stopped_node_delivers_nothing(node: Node) -> None:
    connection = connect(node, channel="news")
    node.stop()
    node.publish("news", b"1")
    assert received(connection) == []


def test_a_channel_that_everybody_left_costs_nothing(node: Node, engine: TroubledEngine) -> None:
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
