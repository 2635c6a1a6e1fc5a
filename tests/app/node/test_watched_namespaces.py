"""Behaviour of namespaces that operators watch for some time, although option watch is off."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.node import watched_namespaces as module
from gentrifugo.app.node.control import WatchNamespace
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.watched_namespaces import MAX_WATCH_TIME, WatchedNamespaces
from tests.fakes import Bus
from tests.greenlets import eventually


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(namespaces=(Namespace(name="chat"), Namespace(name="news", watch=True)))


def watched(node: Node) -> dict[str, bool]:
    return {name: node.rules.options(name).watch for name in ("plain", "chat:1", "news:1")}


def test_a_namespace_is_watched_until_its_time_is_over(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    assert watched(node) == {"plain": False, "chat:1": False, "news:1": True}
    with caplog.at_level(logging.INFO, module.__name__):
        node.watched_namespaces.watch(WatchNamespace("chat", 0.05))
        assert watched(node) == {"plain": False, "chat:1": True, "news:1": True}
        eventually(lambda: not watched(node)["chat:1"])
    assert [record.message for record in caplog.records] == [
        "an operator watches messages of namespace 'chat' for 0 s, although option watch is off",
        "watching messages of namespace 'chat' ended: time limit reached",
    ]


def test_channels_without_a_namespace_can_be_watched(node: Node) -> None:
    node.watched_namespaces.watch(WatchNamespace("", 60))
    assert watched(node) == {"plain": True, "chat:1": False, "news:1": True}


def test_operator_can_stop_watching_early(node: Node) -> None:
    node.watched_namespaces.watch(WatchNamespace("chat", 60))
    for _ in range(2):
        node.watched_namespaces.watch(WatchNamespace("chat", 0))
        assert not watched(node)["chat:1"]


def test_longer_time_extends_watching() -> None:
    timers: list[Callable[[], None]] = []
    namespaces = WatchedNamespaces(lambda seconds, end: timers.append(end), lambda: None)
    namespaces.watch(WatchNamespace("chat", 0.05))
    namespaces.watch(WatchNamespace("chat", 2 * MAX_WATCH_TIME))
    timers[0]()
    assert namespaces.remaining() == {"chat": MAX_WATCH_TIME}


def test_the_end_of_the_time_changes_nothing_if_an_operator_has_stopped_watching() -> None:
    timers: list[Callable[[], None]] = []
    changes: list[None] = []
    namespaces = WatchedNamespaces(lambda seconds, end: timers.append(end), lambda: changes.append(None))
    namespaces.watch(WatchNamespace("news", 60))
    namespaces.watch(WatchNamespace("news", 0))
    timers[0]()
    assert (list(namespaces.names), len(changes)) == ([], 2)


def test_reload_does_not_stop_watching(node: Node) -> None:
    node.watched_namespaces.watch(WatchNamespace("chat", 60))
    node.configure(node.config)
    assert watched(node)["chat:1"]


def test_namespace_is_watched_on_all_nodes(start_node: Callable[..., Node]) -> None:
    bus = Bus()
    first, second = (start_node(bus.engine(), name=name) for name in ("first", "second"))
    first.cluster.publish(WatchNamespace("", 60))
    eventually(lambda: second.rules.options("plain").watch)
