"""Clients that may have missed publications, and can recover them, are disconnected with the advice to reconnect."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.errors import CLOSE_INSUFFICIENT_STATE
from gentrifugo.app.node.node import Node
from tests.fakes import FakeConnection
from tests.greenlets import eventually, settle

StartNode = Callable[..., Node]

NEWS = Namespace(name="news", recover=True, history_size=10, history_lifetime=60)
KEPT = Namespace(name="kept", history_size=10, history_lifetime=60)


@pytest.fixture
def node(start_node: StartNode) -> Node:
    return start_node(namespaces=(NEWS, KEPT), drain_time=0)


def subscriber(node: Node, uid: str, *channels: str) -> FakeConnection:
    connection = FakeConnection(node.flusher, uid)
    node.hub.open.add(connection)
    node.add_connection(connection)
    for channel in channels:
        node.add_subscription(channel, connection)
        connection.channels[channel] = b""
    return connection


def test_subscribers_of_a_channel_that_recovers_are_disconnected(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    stricken = [subscriber(node, f"c{number}", "news:a", "kept:a") for number in range(3)]
    other = subscriber(node, "other", "news:b")
    assert node.handle_missed("news:a", 10, 1)
    eventually(lambda: all(connection.closed_with == [CLOSE_INSUFFICIENT_STATE] for connection in stricken))
    assert other.closed_with == []
    assert "ending subscriptions of 3 clients, which then recover" in caplog.text
    assert CLOSE_INSUFFICIENT_STATE.reconnect


def test_each_is_disconnected_once_however_many_channels_are_concerned(node: Node) -> None:
    names = [f"news:{number}" for number in range(10)]
    connection = subscriber(node, "c1", *names)
    for name in names:
        assert node.handle_missed(name, None, 1)
    eventually(lambda: connection.closed_with == [CLOSE_INSUFFICIENT_STATE])


@pytest.mark.parametrize("channel", ["kept:a", "gone:a"])
def test_client_that_cannot_recover_stays_connected(node: Node, channel: str) -> None:
    connection = FakeConnection(node.flusher, "c1")
    node.hub.open.add(connection)
    connection.channels[channel] = b""
    assert node.handle_missed(channel, 10, 1) == (channel == "kept:a")
    settle()
    assert connection.closed_with == []


@pytest.mark.parametrize(
    ("found", "seconds", "missing"), [(9, 59, False), (0, 59, False), (10, 1, True), (0, 60, True), (None, 1, True)]
)
def test_missed_publications_are_assumed_only_after_overflow_or_expiry(
    node: Node, found: int | None, seconds: float, missing: bool
) -> None:
    connection = subscriber(node, "c1", "news:a")
    assert node.handle_missed("news:a", found, seconds) is missing
    settle()
    assert bool(connection.closed_with) is missing


def test_stopped_node_disconnects_no_clients(start_node: StartNode) -> None:
    node = start_node(namespaces=(NEWS,), drain_time=0)
    connection = subscriber(node, "c1", "news:a")
    assert node.handle_missed("news:a", 10, 1)
    node.stop()
    settle()
    assert connection.closed_with == []


def test_subscribers_recover_also_after_an_unexpected_exception(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscribers = [subscriber(node, f"c{number}", f"news:{number}") for number in range(2)]
    with monkeypatch.context() as broken:
        broken.setattr(node.hub, "is_muted", lambda *_: 1 / 0)
        assert node.handle_missed("news:0", 10, 1)
        eventually(lambda: "ZeroDivisionError" in caplog.text)
    assert node.handle_missed("news:1", 10, 1)
    eventually(lambda: all(connection.closed_with == [CLOSE_INSUFFICIENT_STATE] for connection in subscribers))
