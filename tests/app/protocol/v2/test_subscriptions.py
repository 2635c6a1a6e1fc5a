"""Positions and recovery of clients of protocol version 2: no publication is delivered twice or is missing silently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import pytest

from gentrifugo.app.model.events import Publication
from gentrifugo.app.model.subscription_options import SubscriptionOptions
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import AddSubscription, RenewConnections
from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.fakes import FailingEngine
from tests.greenlets import eventually
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]

ENDED = {"channel": "rich:a", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}


def publish(node: Node, *numbers: int) -> None:
    for number in numbers:
        node.publish("rich:a", b"%d" % number)


def publications(client: LocalClientV2) -> list[Any]:
    return [push["pub"]["data"] for push in client.pushes() if "pub" in push]


def test_new_subscriber_receives_the_position_of_the_stream(node: Node, client: LocalClientV2) -> None:
    publish(node, 1, 2)
    result = client.subscribe("rich:a")
    assert result == {"recoverable": True, "positioned": True, "epoch": result["epoch"], "offset": 2}
    publish(node, 3)
    assert client.pushes() == [{"channel": "rich:a", "pub": {"data": 3, "offset": 3}}]


def test_the_first_publication_of_a_stream_has_its_epoch(node: Node, client: LocalClientV2) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    publish(node, 1)
    assert client.pushes() == [{"channel": "rich:a", "pub": {"data": 1, "offset": 1, "epoch": epoch}}]


def test_client_recovers_missed_publications(node: Node, client: LocalClientV2) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    publish(node, 1, 2, 3)
    other = LocalClientV2.connected(node)
    result = other.subscribe("rich:a", recover=True, offset=1, epoch=epoch)
    assert (result["recovered"], result["was_recovering"], result["offset"]) == (True, True, 1)
    assert result["publications"] == [{"data": 2, "offset": 2}, {"data": 3, "offset": 3}]
    publish(node, 4)
    assert publications(other) == [4]


@pytest.mark.parametrize(("offset", "epoch"), [(0, "another"), (9, ""), (0, "")])
def test_failed_recovery_is_reported_to_the_client(node: Node, client: LocalClientV2, offset: int, epoch: str) -> None:
    publish(node, *range(7))  # more than the history keeps
    result = client.subscribe("rich:a", recover=True, offset=offset, epoch=epoch)
    assert "recovered" not in result
    assert "publications" not in result
    assert (result["was_recovering"], result["offset"]) == (True, 7)


def test_a_client_may_refuse_a_subscription_that_is_not_recovered(node: Node, client: LocalClientV2) -> None:
    publish(node, 1)
    result = client.call("subscribe", channel="rich:a", recover=True, offset=0, epoch="another", flag=2)
    assert result == {"error": {"code": 112, "message": "unrecoverable position"}}
    assert not client.connection.channels
    assert node.hub.num_channels == 0


def test_a_client_cannot_recover_more_than_the_limit(start: StartNode) -> None:
    node = start(client_recovery_max_publication_limit=2)
    client = LocalClientV2.connected(node)
    publish(node, 1, 2, 3)
    assert "recovered" not in client.subscribe("rich:a", recover=True)


def test_in_cache_mode_a_client_recovers_the_newest_publication(node: Node, client: LocalClientV2) -> None:
    for number in (1, 2):
        node.publish("cache:a", b"%d" % number)
    result = client.subscribe("cache:a", recover=True)
    assert result["recovered"] is True
    assert [publication["data"] for publication in result["publications"]] == [2]


def test_publications_during_a_subscribe_arrive_once_and_in_order(
    node: Node, client: LocalClientV2, engine: FailingEngine
) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    publish(node, 1, 2)
    other = LocalClientV2.connected(node)
    gate = engine.close_gate("recover_since")
    subscribing = gevent.spawn(other.call, "subscribe", channel="rich:a", recover=True, offset=1, epoch=epoch)
    gevent.sleep(0.01)
    publish(node, 3)  # in the history that is read next, and held
    gate.set()
    result = subscribing.get(timeout=5)
    publish(node, 4)
    assert [publication["data"] for publication in result["publications"]] == [2, 3]
    assert publications(other) == [4]


def test_a_subscriber_with_positions_subscribes_again_after_a_gap(node: Node, client: LocalClientV2) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    publish(node, 1)
    client.pushes()
    node.handle_event(Publication("u3", "rich:a", b"3", offset=3, epoch=epoch))
    eventually(lambda: client.pushes() == [ENDED])
    assert not client.connection.channels


def test_a_new_epoch_is_a_gap(node: Node, client: LocalClientV2) -> None:
    client.subscribe("rich:a")
    node.handle_event(Publication("u1", "rich:a", b"1", offset=1, epoch="another"))
    eventually(lambda: client.pushes() == [ENDED])


def test_a_publication_that_arrives_twice_is_delivered_once(node: Node, client: LocalClientV2) -> None:
    epoch = client.subscribe("rich:a")["epoch"]
    for _ in range(2):
        node.handle_event(Publication("u1", "rich:a", b"1", offset=1, epoch=epoch))
    assert publications(client) == [1]


def test_a_gap_closes_the_connection_of_a_server_side_subscription(node: Node) -> None:
    client = LocalClientV2.connected(node, channels=["rich:a"])
    node.handle_event(Publication("u9", "rich:a", b"9", offset=9, epoch="another"))
    eventually(lambda: client.close == (3010, "insufficient state"))


def test_subscribers_without_positions_are_not_concerned_by_a_gap(start: StartNode) -> None:
    node = start(allow_subscribe_for_client=True, history_size=5, history_lifetime=60, allow_positioning=True)
    plain, positioned = LocalClientV2.connected(node), LocalClientV2.connected(node)
    plain.subscribe("a")
    positioned.subscribe("a", positioned=True)
    node.handle_event(Publication("u5", "a", b"5", offset=5, epoch="another"))
    eventually(lambda: [push for push in positioned.pushes() if "unsubscribe" in push] != [])
    assert [push["pub"]["offset"] for push in plain.pushes()] == [5]


def test_a_client_subscribes_again_if_a_publication_is_missing_before_those_that_it_waited_for(
    node: Node, engine: FailingEngine
) -> None:
    client = LocalClientV2.connected(node)
    gate = engine.close_gate("recover_since")
    subscribing = gevent.spawn(client.call, "subscribe", channel="rich:a")
    gevent.sleep(0.01)
    node.handle_event(Publication("u5", "rich:a", b"5", offset=5, epoch="another"))
    gate.set()
    subscribing.join(timeout=5)
    eventually(lambda: ENDED in client.pushes())
    assert not client.connection.channels


def test_a_subscription_fails_if_the_history_cannot_be_read(client: LocalClientV2, engine: FailingEngine) -> None:
    engine.failing.add("recover_since")
    result = client.call("subscribe", channel="rich:a")
    assert result == {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert not client.connection.channels


def test_in_cache_mode_an_empty_history_recovers_no_publication(client: LocalClientV2) -> None:
    result = client.subscribe("cache:a", recover=True)
    assert result.get("publications", []) == []
    assert "recovered" not in result


def test_subscription_can_end_after_a_reload_removed_its_namespace(node: Node, client: LocalClientV2) -> None:
    client.subscribe("rich:a")
    node.configure(replace(node.config, namespaces=()))
    client.call("unsubscribe", channel="rich:a")
    client.connection.unsubscribe("rich:a")
    assert not client.connection.channels
    assert node.hub.num_subscriptions == 0


def test_no_join_is_published_if_a_reload_removed_the_namespace_meanwhile(
    node: Node, client: LocalClientV2, engine: FailingEngine
) -> None:
    gate = engine.close_gate("recover_since")
    subscribing = gevent.spawn(client.call, "subscribe", channel="rich:a")
    gevent.sleep(0.01)
    node.configure(replace(node.config, namespaces=()))
    gate.set()
    assert subscribing.get(timeout=5)["positioned"] is True
    assert engine.calls["publish_event"] == 0


def test_a_server_side_subscription_may_end_before_it_goes_live(start: StartNode, engine: FailingEngine) -> None:
    node = start()
    client = LocalClientV2(node)
    gate = engine.close_gate("publish_event")
    token = connection_token(KEY, "alice", channels=["rich:a", "open:b"])
    connecting = gevent.spawn(client.call, "connect", token=token)
    gevent.sleep(0.01)
    client.connection.unsubscribe("open:b")
    gate.set()
    connecting.join(timeout=5)
    assert set(client.connection.channels) == {"rich:a"}
    assert client.close is None


def test_a_subscription_that_is_made_again_while_another_one_goes_live_begins_with_its_push(
    start: StartNode, engine: FailingEngine
) -> None:
    node = start()
    client = LocalClientV2(node)
    joins = engine.close_gate("publish_event")
    token = connection_token(KEY, "alice", channels=["rich:a", "rich:b"])
    connecting = gevent.spawn(client.call, "connect", token=token)
    gevent.sleep(0.01)  # it waits until its join in rich:a is published
    client.connection.unsubscribe("rich:b")
    presence = engine.close_gate("add_presence")
    subscribing = gevent.spawn(client.connection.subscribe_from_server, AddSubscription("alice", channel="rich:b"))
    gevent.sleep(0.01)
    node.handle_event(Publication("u1", "rich:b", b"1", offset=1, epoch=node.top("rich:b").epoch))
    joins.set()
    connecting.join(timeout=5)
    presence.set()
    subscribing.join(timeout=5)
    kinds = [
        next(kind for kind in push if kind != "channel") for push in client.pushes() if push["channel"] == "rich:b"
    ]
    assert kinds[:2] == ["unsubscribe", "subscribe"]
    assert kinds.count("join") == 1
    assert engine.calls["publish_event"] == 2


# -- commands of backends


def test_a_backend_subscribes_a_client(node: Node, client: LocalClientV2) -> None:
    client.received()
    options = SubscriptionOptions(data=b'{"why":1}')
    client.connection.subscribe_from_server(AddSubscription("alice", channel="rich:a", options=options))
    (push,) = [push for push in client.pushes() if "subscribe" in push]
    assert push["subscribe"]["data"] == {"why": 1}
    assert push["subscribe"]["recoverable"] is True
    publish(node, 1)
    assert publications(client) == [1]


def test_a_backend_subscribes_a_client_once(client: LocalClientV2) -> None:
    client.subscribe("open:a")
    client.connection.subscribe_from_server(AddSubscription("alice", channel="open:a"))
    assert client.pushes() == []


def test_a_backend_renews_a_connection_or_lets_it_expire(client: LocalClientV2) -> None:
    client.received()
    client.connection.renew_from_server(RenewConnections("alice", expires_at=2**31))
    assert client.received()[0]["push"]["refresh"]["expires"] is True
    client.connection.renew_from_server(RenewConnections("alice", expired=True))
    assert client.close == (3005, "connection expired")
