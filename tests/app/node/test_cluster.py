"""Behaviour of nodes that one engine connects: identity, control messages, pings, and the registry of nodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import gevent
import pytest

from gentrifugo.app.model.errors import (
    CLOSE_DISCONNECT,
)
from gentrifugo.app.node import cluster as cluster_module
from gentrifugo.app.node import control
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.registry import NodeInfo
from gentrifugo.app.node.user_commands import CloseConnections
from gentrifugo.app.protocol.v1.wire import encode_publication
from tests.app.conftest import VERSION, config
from tests.app.node.parts import ALICE, connect, received
from tests.fakes import Bus, BusEngine, FailingEngine
from tests.greenlets import eventually, settle

StartNode = Callable[..., Node]


def test_a_node_identifies_itself_when_it_starts(start_node: StartNode) -> None:
    """The process may have forked before, and each child process needs a separate identity."""
    built = Node(config(), FailingEngine(), VERSION, encode_publication)
    before = built.cluster.uid
    built.start()
    assert built.cluster.uid != before
    assert [info.uid for info in nodes_known_to(built)] == [built.cluster.uid]
    built.stop()


# -- control messages


def test_control_messages_of_the_node_itself_are_ignored(node: Node) -> None:
    connection = connect(node)
    node.handle_control(control.encode(node.cluster.uid, CloseConnections("alice")))
    settle()
    assert connection.closed_with == []


@pytest.mark.parametrize("message", [b"", b"garbage", b'{"version":1,"node":"\xff"}', b'{"x":' * 10_000])
def test_invalid_control_message_is_skipped(node: Node, caplog: pytest.LogCaptureFixture, message: bytes) -> None:
    node.handle_control(message)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "skipping invalid control message" in caplog.text


def test_different_kinds_of_invalid_control_messages_are_all_logged(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    for message in (b"garbage", b'{"version":99,"node":"n","message":{"type":"Ping"}}', b"", b"garbage"):
        node.handle_control(message)
    assert len(caplog.messages) == 3


def test_many_unreadable_messages_cause_one_log_line(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        node.handle_control(b"garbage %d" % number)
    assert len(caplog.records) == 1


def test_control_messages_do_not_block_the_engine(node: Node) -> None:
    """Control messages are handled in separate greenlets, because closing a connection may call the engine."""
    connection = connect(node)
    node.handle_control(control.encode("another", CloseConnections("alice")))
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


def test_channels_of_all_nodes_are_listed(nodes: tuple[Node, Node]) -> None:
    connect(nodes[0], channel="news")
    connect(nodes[1], channel="chat")
    assert sorted(nodes[0].channels()) == ["chat", "news"]


def test_nodes_know_each_other(start_node: StartNode) -> None:
    bus = Bus()
    first = start_node(bus.engine(), name="first", node_ping_interval=0.01)
    second = start_node(bus.engine(), name="second", node_ping_interval=0.01)
    for node in (first, second):
        await_names(node, "first", "second")


class InterruptibleEngine(BusEngine):
    """Loses the messages of its node to other nodes while `is_interrupted`."""

    is_interrupted = False

    def publish_control(self, message: bytes) -> None:
        if not self.is_interrupted:
            super().publish_control(message)


def test_node_without_pings_is_removed_and_lost(start_node: StartNode) -> None:
    bus = Bus()
    engine = InterruptibleEngine(bus)
    first = start_node(bus.engine(), name="first", node_ping_interval=0.01)
    start_node(engine, name="second", node_ping_interval=0.01)
    await_names(first, "first", "second")
    engine.is_interrupted = True
    await_names(first, "first")
    assert known_or_lost(first) == ["first", "second"]
    engine.is_interrupted = False
    await_names(first, "first", "second")
    assert known_or_lost(first) == ["first", "second"]


def test_a_node_that_stops_leaves_immediately(start_node: StartNode) -> None:
    bus = Bus()
    first, second = (start_node(bus.engine(), name=name, node_ping_interval=60) for name in ("first", "second"))
    await_names(first, "first", "second")
    second.stop()
    settle()
    assert known_or_lost(first) == ["first"]


def test_an_engine_that_hangs_delays_the_stop_of_a_node_only_for_a_short_time(
    start_node: StartNode, engine: FailingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "LEAVING_TIMEOUT", 0.01)
    monkeypatch.setattr(engine, "joins_nodes", True)
    node = start_node(engine)
    gate = engine.close_gate("publish_control")
    calls = engine.calls["publish_control"]
    node.stop()
    assert engine.calls["publish_control"] == calls + 1, "it has begun to say that it leaves, and did not wait for that"
    gate.set()
    settle()


def known_or_lost(node: Node) -> list[str]:
    return sorted(known.info.name for known in node.cluster.registry.known_or_lost())


def await_names(node: Node, *names: str) -> None:
    """Wait until the node knows the nodes with these names, and no others."""
    eventually(lambda: sorted(info.name for info in nodes_known_to(node)) == sorted(names))


def nodes_known_to(node: Node) -> list[NodeInfo]:
    nodes = node.stats()["nodes"]
    assert isinstance(nodes, list)
    return nodes


# -- pings and metrics


def test_node_is_in_its_own_registry_after_start(node: Node) -> None:
    (info,) = nodes_known_to(node)
    assert (info.uid, info.name) == (node.cluster.uid, "test")
    assert info.started_at > 1_500_000_000
    assert node.stats()["metrics_interval"] == 60


def test_node_returns_current_values(node: Node) -> None:
    for uid, user in (("c1", "alice"), ("c2", "alice"), ("c3", "bob")):
        connect(node, uid, user, "news")
    metrics = node.cluster.own_info().metrics
    assert metrics["node_num_clients"] == 3
    assert metrics["node_num_unique_clients"] == 2
    assert metrics["node_num_channels"] == 1
    assert metrics["node_num_add_client_conn"] == metrics["node_num_add_client_sub"] == 3


def test_node_counts_sent_messages(node: Node) -> None:
    connection = connect(node, channel="news")
    node.publish("news", b"1")
    (message,) = connection.transport.messages()
    metrics = node.cluster.own_info().metrics
    assert (metrics["client_num_msg_queued"], metrics["client_num_msg_sent"]) == (1, 1)
    assert metrics["client_bytes_out"] == len(connection.transport.frame(message))


def test_node_counts_relayed_messages(node: Node) -> None:
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


def test_a_ping_that_fails_is_retried(start_node: StartNode, engine: FailingEngine) -> None:
    engine.failing.add("publish_control")
    node = start_node(engine, node_ping_interval=0.01)
    eventually(lambda: engine.calls["publish_control"] > 2)
    assert len(nodes_known_to(node)) == 1


def test_a_defect_does_not_end_the_pings(
    start_node: StartNode, engine: FailingEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start_node(engine, node_ping_interval=0.01)
    with monkeypatch.context() as defect:
        defect.setattr(cluster_module, "MAX_MISSED_PINGS", None)
        eventually(lambda: "pings: internal error" in caplog.text)
    assert caplog.records[0].exc_info is not None
    sent = engine.calls["publish_control"]
    eventually(lambda: engine.calls["publish_control"] > sent + 2)


def test_changed_interval_applies_after_the_next_round(start_node: StartNode, engine: FailingEngine) -> None:
    node = start_node(engine, node_ping_interval=0.01)
    eventually(lambda: engine.calls["publish_control"] > 1)
    node.configure(replace(node.config, node_ping_interval=3600))
    before = engine.calls["publish_control"]
    gevent.sleep(0.05)
    assert engine.calls["publish_control"] <= before + 1


def test_clock_change_does_not_change_the_uptime(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start_node()
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert node.cluster.own_info().metrics["node_uptime_seconds"] in (0, 1)
