"""A reconnecting client: publications during its recovery reach it once, in order, and after the reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.events import Publication
from gentrifugo.app.node.node import Node
from gentrifugo.engines.base import HistoryOptions, Recovery
from tests.fakes import FailingEngine
from tests.greenlets import settle
from tests.local_client import LocalClient

StartNode = Callable[..., Node]

NEWS = Namespace(name="news", join_leave=True, recover=True, history_size=10, history_lifetime=60)


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def node(start_node: StartNode, engine: FailingEngine) -> Node:
    return start_node(engine, namespaces=(NEWS,))


@pytest.fixture
def client(node: Node) -> LocalClient:
    return LocalClient.connected(node)


class BusyEngine(FailingEngine):
    """An engine that publishes `before` when a recovery is requested, and `after` when the history has been read."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[str] = []
        self.after: list[str] = []

    def recover(self, channel: str, last: str) -> Recovery:
        self._publish(channel, self.before)
        found = super().recover(channel, last)
        self._publish(channel, self.after)
        return found

    def _publish(self, channel: str, uids: list[str]) -> None:
        for uid in uids:
            self.publish(Publication(uid, channel, b"1"), HistoryOptions(10, 60))


@pytest.mark.parametrize("as_array", [False, True])
def test_publications_during_recovery_arrive_once_and_in_order(start_node: StartNode, as_array: bool) -> None:
    busy = BusyEngine()
    node = start_node(busy, namespaces=(NEWS,))
    for uid in ("u1", "u2"):
        node.publish("news:news", b"1", uid=uid)
    busy.before, busy.after = ["u3", "u4"], ["u5", "u6"]
    client = LocalClient.connected(node)
    client.received()
    command = {"method": "subscribe", "params": {"channel": "news:news", "recover": True, "last": "u1"}}
    client.send([command, {"method": "ping"}] if as_array else command)
    node.publish("news:news", b"1", uid="u7")
    messages = client.received()
    assert [message["method"] for message in messages if isinstance(message, dict)].count("join") == 1
    (reply,) = [message[0] if isinstance(message, list) else message for message in messages if is_reply(message)]
    assert reply["body"]["recovered"] is True
    assert [message["uid"] for message in reply["body"]["messages"]] == ["u4", "u3", "u2"]
    pushes = [message for message in messages if isinstance(message, dict) and message["method"] == "message"]
    assert [push["body"]["uid"] for push in pushes] == ["u5", "u6", "u7"]
    assert messages.index(pushes[0]) > next(place for place, message in enumerate(messages) if is_reply(message))


def test_publications_received_from_another_node_are_not_repeated(start_node: StartNode) -> None:
    """This node is behind the other node: it receives only now the last message that the client has."""
    busy = BusyEngine()
    node = start_node(busy, namespaces=(NEWS,))
    node.publish("news:news", b"1", uid="u1")
    busy.before, busy.after = ["u2", "u3"], ["u4"]
    client = LocalClient.connected(node)
    client.received()
    client.send({"method": "subscribe", "params": {"channel": "news:news", "recover": True, "last": "u3"}})
    messages = client.received()
    (reply,) = [message for message in messages if message["method"] == "subscribe"]
    assert (reply["body"]["messages"], reply["body"]["recovered"]) == ([], True)
    assert [push["body"]["uid"] for push in messages if push["method"] == "message"] == ["u4"]


def is_reply(message: Any) -> bool:
    return isinstance(message, list) or message["method"] == "subscribe"


def test_subscriber_without_recovery_receives_publications_immediately(
    client: LocalClient, node: Node, engine: FailingEngine
) -> None:
    gate = engine.close_gate("history")
    subscribing = gevent.spawn(client.send, {"method": "subscribe", "params": {"channel": "news:news"}})
    settle()
    node.publish("news:news", b"1")
    assert [message["method"] for message in client.received()[1:]] == ["message"]
    gate.set()
    subscribing.get(timeout=1)


def test_client_that_unsubscribes_during_recovery_receives_no_messages(
    client: LocalClient, node: Node, engine: FailingEngine
) -> None:
    gate = engine.close_gate("history")
    command = {"method": "subscribe", "params": {"channel": "news:news", "recover": True}}
    subscribing = gevent.spawn(client.send, command)
    settle()
    node.publish("news:news", b"1")
    leaving = gevent.spawn(client.connection.close)
    gate.set()
    subscribing.get(timeout=1)
    leaving.get(timeout=1)
    assert not node.hub.has_subscribers("news:news")
