"""Behaviour of commands of backends for connections of protocol version 2."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from gentrifugo.app.model.payload import payload
from gentrifugo.app.model.subscription_options import SubscriptionOptions
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import AddSubscription, RenewConnections, SendMessage
from tests.fakes import Bus, FailingEngine
from tests.greenlets import settle
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient

StartNode = Callable[..., Node]


def test_a_message_reaches_a_client_of_another_node_by_its_user_or_by_its_id(start_node: StartNode) -> None:
    bus = Bus()
    nodes = [start_node(bus.engine(), name=name, token_hmac_secret_key=KEY) for name in ("first", "second")]
    clients = [LocalClientV2.connected(node) for node in nodes]
    for client in clients:
        client.received()
    nodes[0].carry_out(SendMessage("alice", data=b"1"))
    nodes[0].carry_out(SendMessage("", clients[1].connection.uid, data=b"2"))
    nodes[0].carry_out(SendMessage("", "nobody", data=b"3"))
    assert clients[0].pushes() == [{"message": {"data": 1}}]
    assert clients[1].pushes() == [{"message": {"data": 1}}, {"message": {"data": 2}}]


def test_a_message_that_is_not_json_is_not_sent_to_a_client_of_json(
    client: LocalClientV2, caplog: pytest.LogCaptureFixture
) -> None:
    client.received()
    client.connection.send_from_server(SendMessage("alice", data=b"\0\xff"))
    assert client.pushes() == []
    assert "cannot send a message to client" in caplog.text
    assert client.close is None


def test_info_that_is_not_json_reaches_clients_of_protobuf_unchanged(node: Node) -> None:
    client = LocalProtobufClient(node)
    client.connection.subscribe_from_server(
        AddSubscription("alice", channel="rich:a", options=SubscriptionOptions(b"\0\1"))
    )
    (info,) = node.presence("rich:a").values()
    assert info.channel_info == b"\0\1"
    client.connection.renew_from_server(RenewConnections("alice", expires_at=0, info=payload(b"\0\2")))
    assert client.connection.default_info == b"\0\2"


def test_a_subscription_that_a_backend_makes_recovers_from_a_position(node: Node, client: LocalClientV2) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    for number in (1, 2):
        node.publish("rich:a", b"%d" % number)
    other = LocalClientV2.connected(node)
    other.received()
    other.connection.subscribe_from_server(
        AddSubscription("alice", channel="rich:a", recover_offset=1, recover_epoch=epoch)
    )
    pushes = other.pushes()
    assert pushes[0]["subscribe"] == {"recoverable": True, "epoch": epoch, "offset": 1, "positioned": True}
    node.publish("rich:a", b"3")
    pushes += other.pushes()
    assert [(push["pub"]["offset"], push["pub"]["data"]) for push in pushes if "pub" in push] == [(2, 2), (3, 3)]


def test_a_subscription_that_a_backend_makes_begins_at_the_newest_position_if_nothing_can_be_recovered(
    node: Node, client: LocalClientV2
) -> None:
    client.received()
    for number in (1, 2):
        node.publish("rich:a", b"%d" % number)
    client.connection.subscribe_from_server(
        AddSubscription("alice", channel="rich:a", recover_offset=1, recover_epoch="another")
    )
    pushes = client.pushes()
    assert pushes[0]["subscribe"]["offset"] == 2
    assert not [push for push in pushes if "pub" in push]


def test_a_backend_can_switch_joins_and_leaves_off_for_one_subscription(node: Node, client: LocalClientV2) -> None:
    options = SubscriptionOptions(force_push_join_leave=False)
    client.connection.subscribe_from_server(AddSubscription("alice", channel="rich:a", options=options))
    client.received()
    LocalClientV2.connected(node).subscribe("rich:a")
    assert client.pushes() == []


def test_subscription_fails_if_its_history_cannot_be_read(
    client: LocalClientV2, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failing.add("recover_since")
    client.connection.subscribe_from_server(AddSubscription("alice", channel="rich:a"))
    assert "cannot subscribe client" in caplog.text
    assert not client.connection.channels
    assert client.close is None


def test_a_client_is_closed_if_the_engine_cannot_subscribe_it(client: LocalClientV2, engine: FailingEngine) -> None:
    engine.failing.add("subscribe")
    client.connection.subscribe_from_server(AddSubscription("alice", channel="rich:a"))
    assert client.close == (3004, "internal server error")


def test_a_subscription_that_waits_for_another_one_ends_with_the_connection(
    client: LocalClientV2, engine: FailingEngine
) -> None:
    gate = engine.close_gate("subscribe")
    commands = [AddSubscription("alice", channel=channel) for channel in ("open:a", "open:b")]
    subscribing = [gevent.spawn(client.connection.subscribe_from_server, command) for command in commands]
    settle()
    closing = gevent.spawn(client.connection.close)
    settle()
    gate.set()
    gevent.joinall(subscribing, timeout=5, raise_error=True)
    closing.get(timeout=5)
    assert not client.connection.channels
    assert client.node.hub.num_subscriptions == 0


def test_renewal_changes_the_info_for_other_clients(client: LocalClientV2) -> None:
    client.connection.renew_from_server(RenewConnections("alice", info=b'{"name":"Ann"}'))
    client.subscribe("rich:a")
    presence = client.call("presence", channel="rich:a")["presence"]
    assert presence[client.connection.uid]["conn_info"] == {"name": "Ann"}


def test_a_closed_connection_is_not_renewed(client: LocalClientV2) -> None:
    client.received()
    client.connection.close()
    client.connection.renew_from_server(RenewConnections("alice", expires_at=2**31))
    assert client.received() == []
