"""Commands of a backend, and the end of a connection, while a command of its client waits for the engine or keys."""

from __future__ import annotations

import dataclasses
from typing import Any

import gevent
import pytest
from gevent.event import Event as Gate

from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import (
    AddSubscription,
    CloseConnections,
    EndSubscriptions,
    RenewConnections,
    SendMessage,
)
from gentrifugo.app.protocol.v2.claims import ConnectionToken, SubscriptionToken
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.app.protocol.v2.tokens import TokenVerifier
from tests.app.protocol.v2.conftest import RICH, StartNode
from tests.fakes import FailingEngine
from tests.greenlets import settle
from tests.local_client_v2 import KEY, LocalClientV2

OTHER = RawClientInfo("bob", "another connection", b"", b"")


def names(messages: list[Any]) -> list[str]:
    """The replies and pushes in order, each as its keys."""
    return [next(iter(message.get("push", message).keys() - {"id", "channel"})) for message in messages]


def connecting(node: Node, *channels: str) -> tuple[LocalClientV2, gevent.Greenlet[..., None]]:
    """A client whose `connect` waits for the engine, and the greenlet that runs it."""
    client = LocalClientV2(node)
    command = {"id": 1, "connect": {"token": connection_token(KEY, "alice", channels=list(channels))}}
    greenlet = gevent.spawn(client.send, command)
    settle()
    return client, greenlet


def test_subscribe_command_of_a_backend_waits_for_the_reply_to_connect(node: Node, engine: FailingEngine) -> None:
    gate = engine.close_gate("subscribe")
    client, greenlet = connecting(node, "open:a", "open:b")
    subscribing = gevent.spawn(node.carry_out, AddSubscription("alice", channel="open:b"))
    other = gevent.spawn(node.carry_out, AddSubscription("alice", channel="open:c"))
    settle()
    assert client.received() == []
    gate.set()
    gevent.joinall([greenlet, subscribing, other])
    messages = client.received()
    assert names(messages) == ["connect", "subscribe"]
    assert sorted(messages[0]["connect"]["subs"]) == ["open:a", "open:b"]
    assert messages[1]["push"]["channel"] == "open:c"
    assert node.hub.num_subscriptions == 3


def test_the_end_of_a_subscription_by_a_backend_waits_for_the_reply_to_connect(
    node: Node, engine: FailingEngine
) -> None:
    gate = engine.close_gate("recover_since")
    client, greenlet = connecting(node, "open:a", "cache:b")  # is subscribed to the first one, and waits for the second
    ending = gevent.spawn(node.carry_out, EndSubscriptions("alice", channel="open:a"))
    settle()
    gate.set()
    gevent.joinall([greenlet, ending])
    assert names(client.received()) == ["connect", "unsubscribe"]
    assert sorted(client.connection.channels) == ["cache:b"]


def test_messages_and_refreshes_by_a_backend_wait_for_the_reply_to_connect(node: Node, engine: FailingEngine) -> None:
    gate = engine.close_gate("subscribe")
    client, greenlet = connecting(node, "open:a")
    commands = (SendMessage("alice", data=b"1"), RenewConnections("alice", expires_at=0))
    sending = [gevent.spawn(node.carry_out, command) for command in commands]
    settle()
    assert client.received() == []
    gate.set()
    gevent.joinall([greenlet, *sending])
    assert names(client.received()) == ["connect", "message", "refresh"]


def test_joins_and_leaves_of_others_do_not_precede_the_reply_to_connect(node: Node, engine: FailingEngine) -> None:
    gate = engine.close_gate("recover_since")
    client, greenlet = connecting(node, "rich:a")
    node.publish_join("rich:a", OTHER)
    node.publish_leave("rich:a", OTHER)
    settle()
    assert client.received() == []
    gate.set()
    greenlet.join()
    node.publish_leave("rich:a", OTHER)
    assert names(client.received()) == ["connect", "join", "leave"]


@pytest.mark.parametrize("wishes", [{}, {"delta": "fossil"}], ids=["plain", "with deltas"])
def test_joins_and_leaves_of_others_do_not_precede_the_reply_to_subscribe(
    start: StartNode, engine: FailingEngine, wishes: dict[str, Any]
) -> None:
    node = start(namespaces=(dataclasses.replace(RICH, allowed_delta_types="fossil"),))
    client = LocalClientV2.connected(node)
    client.received()
    gate = engine.close_gate("recover_since")
    greenlet = gevent.spawn(client.send, {"id": 5, "subscribe": {"channel": "rich:a", **wishes}})
    settle()
    node.publish_join("rich:a", OTHER)
    settle()
    assert client.received() == []
    gate.set()
    greenlet.join()
    node.publish_leave("rich:a", OTHER)
    assert names(client.received()) == ["subscribe", "join", "leave"]
    node.publish("rich:a", b"1")
    node.publish_leave("rich:a", OTHER)
    assert names(client.received()) == ["pub", "leave"]


def test_a_connection_that_a_backend_closes_during_connect_has_no_subscriptions(
    node: Node, engine: FailingEngine
) -> None:
    gate = engine.close_gate("subscribe")
    client, greenlet = connecting(node, "open:a", "open:b")
    closing = gevent.spawn(node.carry_out, CloseConnections("alice"))
    settle()
    assert client.close is not None
    gate.set()
    gevent.joinall([greenlet, closing])
    assert client.received() == []
    assert node.hub.num_subscriptions == 0
    assert engine.channels() == []


def test_a_client_cannot_subscribe_a_second_time_while_a_backend_subscribes_it(
    node: Node, client: LocalClientV2, engine: FailingEngine
) -> None:
    client.received()
    gate = engine.close_gate("subscribe")
    waiting = [gevent.spawn(node.carry_out, AddSubscription("alice", channel=f"open:{name}")) for name in "ab"]
    settle()
    asking = gevent.spawn(client.send, {"id": 5, "subscribe": {"channel": "open:b"}})
    settle()
    gate.set()
    gevent.joinall(waiting)
    asking.join()
    messages = client.received()
    assert sorted(names(messages)) == ["error", "subscribe", "subscribe"]
    assert [message["error"]["code"] for message in messages if "error" in message] == [105]
    assert node.hub.num_subscriptions == 2


def test_a_backend_cannot_subscribe_a_client_a_second_time_while_it_subscribes(
    node: Node, client: LocalClientV2, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    client.received()
    gate = engine.close_gate("subscribe")
    first = gevent.spawn(node.carry_out, AddSubscription("alice", channel="open:a"))
    settle()
    asking = gevent.spawn(client.send, {"id": 5, "subscribe": {"channel": "open:b"}})
    second = gevent.spawn(node.carry_out, AddSubscription("alice", channel="open:b"))
    settle()
    gate.set()
    gevent.joinall([first, second])
    asking.join()
    assert sorted(names(client.received())) == ["subscribe", "subscribe"]
    assert node.hub.num_subscriptions == 2
    assert not caplog.records


class SlowKeys(TokenVerifier):
    """Checks tokens as usual, but waits for keys first."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.config)
        self.fetched = Gate()

    def connection(self, token: str) -> ConnectionToken:
        self.fetched.wait()
        return super().connection(token)

    def subscription(self, token: str, channel: str, user: str, client: str) -> SubscriptionToken:
        self.fetched.wait()
        return super().subscription(token, channel, user, client)


@pytest.fixture
def keys(node: Node, client: LocalClientV2) -> SlowKeys:
    """The token verifier of the client, which first waits for its keys."""
    client.connection.tokens = keys = SlowKeys(node)
    return keys


def refreshing(client: LocalClientV2) -> gevent.Greenlet[..., None]:
    client.subscribe("open:a")
    command = {"id": 7, "sub_refresh": {"channel": "open:a", "token": client.token("open:a")}}
    greenlet = gevent.spawn(client.send, command)
    settle()
    return greenlet


def test_a_subscription_that_a_backend_ends_while_the_client_refreshes_it_is_not_refreshed(
    node: Node, client: LocalClientV2, keys: SlowKeys
) -> None:
    greenlet = refreshing(client)
    node.carry_out(EndSubscriptions("alice", channel="open:a"))
    keys.fetched.set()
    greenlet.join()
    assert greenlet.exception is None
    messages = client.received()
    assert names(messages) == ["unsubscribe", "error"]
    assert messages[1]["error"]["code"] == 103


def test_a_connection_may_close_while_a_subscription_is_refreshed(client: LocalClientV2, keys: SlowKeys) -> None:
    greenlet = refreshing(client)
    client.connection.close()
    keys.fetched.set()
    greenlet.join()
    assert greenlet.exception is None


def test_a_backend_may_subscribe_a_client_while_keys_for_its_own_subscription_are_fetched(
    node: Node, client: LocalClientV2, keys: SlowKeys
) -> None:
    client.received()
    command = {"id": 7, "subscribe": {"channel": "open:a", "token": client.token("open:a")}}
    greenlet = gevent.spawn(client.send, command)
    settle()
    node.carry_out(AddSubscription("alice", channel="open:a"))
    keys.fetched.set()
    greenlet.join()
    messages = client.received()
    assert names(messages) == ["subscribe", "error"]
    assert messages[1]["error"]["code"] == 105
    assert node.hub.num_subscriptions == 1


def test_a_connection_that_closes_while_it_is_refreshed_does_not_wait_for_its_new_expiry(
    client: LocalClientV2, keys: SlowKeys
) -> None:
    command = {"id": 7, "refresh": {"token": connection_token(KEY, "alice", expires=86400)}}
    greenlet = gevent.spawn(client.send, command)
    settle()
    client.connection.close()
    keys.fetched.set()
    greenlet.join()
    # A timer would keep the closed connection in memory until then, which nothing else shows.
    assert client.connection._timer is None
