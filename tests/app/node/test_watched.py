"""Behaviour of watched channels for operators, on one node and on several nodes with one engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.node import watched as watched_module
from gentrifugo.app.node.commands import PublishOptions, PublishRequest
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.watched import BATCH_MESSAGES
from gentrifugo.engines.base import PublishConditions
from tests.app.node.parts import FakeWatcher
from tests.fakes import Bus, FailingEngine
from tests.greenlets import eventually, settle

StartNode = Callable[..., Node]

LAST = b'"last"'
"""What a test publishes at its end: when it is shown, everything before it has been shown too."""


@pytest.fixture
def nodes(start_node: StartNode) -> tuple[Node, Node]:
    bus = Bus()
    options = {"watch": True, "node_ping_interval": 0.02}
    return start_node(bus.engine(), **options), start_node(bus.engine(), **options)


def test_publications_of_other_nodes_are_shown(nodes: tuple[Node, Node]) -> None:
    watcher = FakeWatcher()
    nodes[0].cluster.watched.add(watcher)
    eventually(lambda: nodes[1].cluster.watched.wanted)
    nodes[1].publish("news", b'{"text": "\\ud800"}')
    nodes[0].publish("news", b"2")
    eventually(lambda: len(watcher.data) == 2)
    assert {"text": "\ud800"} in watcher.data


def test_no_messages_are_relayed_without_watching_operators(nodes: tuple[Node, Node]) -> None:
    watcher = FakeWatcher()
    nodes[0].cluster.watched.add(watcher)
    eventually(lambda: nodes[1].cluster.watched.wanted)
    nodes[0].cluster.watched.remove(watcher)
    eventually(lambda: not nodes[1].cluster.watched.wanted)
    nodes[1].publish("news", b"1")
    settle()
    assert nodes[1].metrics.counters.node_num_admin_msg_published == 0


def test_watcher_on_a_node_that_ends_is_removed(nodes: tuple[Node, Node]) -> None:
    nodes[0].cluster.watched.add(FakeWatcher())
    eventually(lambda: nodes[1].cluster.watched.wanted)
    nodes[0].stop()
    eventually(lambda: not nodes[1].cluster.watched.wanted)


def test_publications_that_failed_are_not_shown(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine, watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    engine.failing.add("publish")
    assert node.publish_all([PublishRequest("news", b"1")]) != [None]
    engine.failing.clear()
    assert node.publish_all([PublishRequest("news", b"2"), PublishRequest("news", b"3")]) == [None, None]
    eventually(lambda: watcher.data == [2, 3])


@pytest.mark.parametrize("once", [PublishConditions("key"), PublishConditions(version=1)])
def test_suppressed_publications_are_not_shown(start_node: StartNode, once: PublishConditions) -> None:
    node = start_node(watch=True, history_size=5, history_lifetime=60)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    options = PublishOptions(once=once)
    first = node.publish("news", b"1", options=options)
    assert node.publish("news", b"2", options=options) == first
    repeated = PublishRequest("news", b"3", options=options)
    assert node.publish_all([repeated, PublishRequest("news", b"4"), repeated])[0] == first
    node.publish("news", LAST)
    eventually(lambda: "last" in watcher.data)
    assert watcher.data == [1, 4, "last"]


def test_requests_that_a_backend_repeats_are_shown_once(start_node: StartNode) -> None:
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    methods = MethodCalls(node).by_name
    once, plain = b'{"channel":"news","data":1,"idempotency_key":"a"}', b'{"channel":"news","data":2}'
    for _ in range(2):
        methods["publish"](once)
        methods["broadcast"](b'{"channels":["news"],"data":1,"idempotency_key":"a"}')
        for publish in (once, plain):  # the plain one on the fast path
            methods["batch"](b'{"commands":[%b]}' % b",".join([b'{"publish":%b}' % publish] * 3))
    node.publish("news", LAST)
    eventually(lambda: "last" in watcher.data)
    assert watcher.data == [1, *[2] * 6, "last"]


def test_a_lone_message_is_shown_at_once(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_module, "BATCH_INTERVAL", 60)
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    node.publish("news", b"1")
    settle()
    assert watcher.data == [1]


def test_batches_are_bounded_in_number_and_in_size(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_module, "BATCH_SIZE", 50)
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    large = b'"' + b"x" * 60 + b'"'
    for data in (large, large, *[b"1"] * 2 * BATCH_MESSAGES):
        node.publish("news", data)
    eventually(lambda: watcher.data)
    node.publish("news", LAST)
    eventually(lambda: "last" in watcher.data)
    assert watcher.data == ["x" * 60, "last"]
    assert watcher.missed == 2 * BATCH_MESSAGES + 1


def test_all_watchers_receive_all_messages(start_node: StartNode) -> None:
    node = start_node(watch=True)
    watchers = [FakeWatcher(), FakeWatcher()]
    for watcher in watchers:
        node.cluster.watched.add(watcher)
    for number in range(3):
        node.publish("news", b"%d" % number)
    eventually(lambda: [watcher.data for watcher in watchers] == [[0, 1, 2]] * 2)
    assert watchers[0].batches <= 2


def test_a_message_that_does_not_fit_into_the_batch_ends_it(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a later, smaller message would be shown before it."""
    monkeypatch.setattr(watched_module, "BATCH_SIZE", 50)
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    for data in (b"1", b'"' + b"x" * 60 + b'"', b"2"):
        node.publish("news", data)
    eventually(lambda: watcher.data)
    node.publish("news", LAST)
    eventually(lambda: "last" in watcher.data)
    assert (watcher.data, watcher.missed) == ([1, "last"], 2)


def test_failed_control_message_does_not_fail_the_publish(start_node: StartNode) -> None:
    engine = FailingEngine()
    node = start_node(engine, watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    node.cluster.watched.set_peers_watching(True)
    engine.failing.add("publish_control")
    before = engine.calls["publish_control"]
    node.publish("news", b"1")
    eventually(lambda: watcher.data == [1])
    assert engine.calls["publish_control"] > before


def test_stopped_node_relays_no_messages(start_node: StartNode) -> None:
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    node.publish("news", b"1")
    node.cluster.watched.stop()
    node.cluster.watched.stop()
    settle()
    assert watcher.batches == 0


def test_messages_are_shown_also_after_an_unexpected_exception(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = start_node(watch=True)
    watcher = FakeWatcher()
    node.cluster.watched.add(watcher)
    with monkeypatch.context() as broken:
        broken.setattr(node.cluster.watched, "_encode", lambda publication: 1 / 0)
        node.publish("news", b"1")
        eventually(lambda: "ZeroDivisionError" in caplog.text)
    node.publish("news", b"2")
    eventually(lambda: watcher.data == [2])
