"""Commands reach the node that has the session once and in order, or an error is raised."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.node import session_relay
from gentrifugo.app.node.control import SessionInput
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.session_relay import SilentNode, UnknownNode
from tests.fakes import Bus, FailingEngine
from tests.greenlets import eventually

StartNode = Callable[..., Node]


@pytest.fixture
def nodes(start_node: StartNode) -> tuple[Node, Node]:
    bus = Bus()
    first, second = (start_node(bus.engine(), name=name, node_ping_interval=0.02) for name in ("first", "second"))
    eventually(lambda: first.cluster.registry.peers and second.cluster.registry.peers)
    eventually(lambda: first.cluster.knows_all_peers())
    return first, second


def test_commands_for_a_session_of_this_node_arrive_until_it_is_closed(start_node: StartNode) -> None:
    node, taken = start_node(), list[bytes]()
    sessions = node.cluster.sessions
    sessions.open("secret", taken.append)
    sessions.send(node.cluster.uid, "secret", b"one")
    sessions.close("secret")
    sessions.send(node.cluster.uid, "secret", b"two")
    assert taken == [b"one"]


def test_commands_for_a_session_of_another_node_arrive_once_and_in_order(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    taken = list[bytes]()
    second.cluster.sessions.open("secret", taken.append)
    frames = [b"%d" % number for number in range(20)] + [b"\x00\xff"]
    for frame in frames:
        first.cluster.sessions.send(second.cluster.uid, "secret", frame)
    assert taken == frames


def test_commands_for_an_unknown_session_of_another_node_are_discarded(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    taken = list[bytes]()
    second.cluster.sessions.open("secret", taken.append)
    first.cluster.sessions.send(second.cluster.uid, "unknown", b"frame")
    assert taken == []
    # Otherwise each frame would leave an event in memory, which nothing else shows.
    assert first.cluster.sessions._awaited == {}


@pytest.mark.parametrize("uid", ["", "nobody"])
def test_commands_for_an_unknown_node_are_refused(nodes: tuple[Node, Node], uid: str) -> None:
    with pytest.raises(UnknownNode):
        nodes[0].cluster.sessions.send(uid, "secret", b"frame")


def test_without_other_nodes_commands_for_one_are_refused(start_node: StartNode) -> None:
    with pytest.raises(UnknownNode):
        start_node().cluster.sessions.send("nobody", "secret", b"frame")


def test_a_node_that_does_not_reply_is_reported(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_relay, "REPLY_TIMEOUT", 0.01)
    first, second = nodes
    monkeypatch.setattr(second.cluster.sessions, "handle_input", lambda message: None)
    for _ in range(2):
        with pytest.raises(SilentNode):
            first.cluster.sessions.send(second.cluster.uid, "secret", b"frame")
    text = f"timeout: node {second.cluster.uid} has not confirmed commands of a client within 0.01 s"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("WARNING", text)]


def test_a_failed_engine_is_reported_as_a_silent_node(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine)
    info = node.cluster.own_info()
    info.uid = "another"
    node.cluster.registry.add(info)
    engine.failing.add("publish_control")
    with pytest.raises(SilentNode):
        node.cluster.sessions.send("another", "secret", b"frame")


def test_a_reply_that_cannot_be_sent_loses_no_commands(start_node: StartNode, caplog: pytest.LogCaptureFixture) -> None:
    engine, taken = FailingEngine(), list[bytes]()
    node = start_node(engine)
    node.cluster.sessions.open("secret", taken.append)
    engine.failing.add("publish_control")
    node.cluster.sessions.handle_input(SessionInput("id", node.cluster.uid, "secret", b"frame"))
    eventually(lambda: "cannot publish a control message" in caplog.text)
    assert taken == [b"frame"]
