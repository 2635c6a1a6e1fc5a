"""Behaviour of the subscriptions that a client has as soon as it connects: from hooks, and personal channels."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

from gentrifugo.app.node.hooks import Context
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.fakes import Bus, FailingEngine
from tests.greenlets import settle
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient
from tests.token_keys import key_server, token

StartNode = Callable[..., Node]


def connect(node: Node, user: str = "alice", subs: Any = None, **claims: Any) -> dict[str, Any]:
    """The result of `connect`."""
    client = LocalClientV2(node)
    return client.call("connect", token=connection_token(KEY, user, **claims), subs=subs or {})


# -- channels of a hook


def test_a_hook_subscribes_a_client_to_channels(start: StartNode) -> None:
    def on_connect(context: Context) -> None:
        context.user, context.channels = "bob", ["open:a", "closed:b", "open:a"]

    node = start(hooks={"connect": on_connect})
    client = LocalClientV2(node)
    assert client.call("connect")["subs"] == {"open:a": {}, "closed:b": {}}
    client.received()
    node.publish("closed:b", b"1")
    assert client.pushes() == [{"channel": "closed:b", "pub": {"data": 1}}]


@pytest.mark.parametrize(
    ("new_client", "format_"), [(LocalClientV2.connected, "json"), (LocalProtobufClient, "protobuf")]
)
def test_hook_receives_the_format_of_the_client(
    start: StartNode, new_client: Callable[[Node], Any], format_: str
) -> None:
    formats: list[str] = []
    new_client(start(hooks={"connect": lambda context: formats.append(context.protocol)}))
    assert formats == [format_]


def test_hooks_receive_the_meta_of_the_token(start: StartNode) -> None:
    received: list[tuple[str, Any]] = []

    def note(context: Context) -> None:
        received.append((context.event, context.meta))

    client = LocalClientV2(start(hooks={"connect": note, "subscribe": note, "refresh": note}))
    result = client.call("connect", token=connection_token(KEY, "alice", meta={"role": "admin"}))
    assert "meta" not in result
    client.subscribe("open:a")
    client.call("refresh", token=connection_token(KEY, "alice", meta=[2]))
    client.subscribe("open:b")
    client.call("refresh", token=connection_token(KEY, "alice"))
    client.subscribe("open:c")
    admin = {"role": "admin"}
    assert received == [
        *(("connect", admin), ("subscribe", admin)),
        *(("refresh", [2]), ("subscribe", [2])),
        *(("refresh", None), ("subscribe", None)),
    ]


def test_a_client_recovers_the_channels_of_a_hook(start: StartNode) -> None:
    def on_connect(context: Context) -> None:
        context.channels = ["rich:a"]

    node = start(hooks={"connect": on_connect})
    node.publish("rich:a", b"1")
    first = connect(node)["subs"]["rich:a"]
    node.publish("rich:a", b"2")
    position = {"recover": True, "offset": first["offset"], "epoch": first["epoch"]}
    recovered = connect(node, subs={"rich:a": position})["subs"]["rich:a"]
    assert (recovered["recovered"], [message["data"] for message in recovered["publications"]]) == (True, [2])


def test_token_takes_precedence_over_the_hook_for_a_channel(start: StartNode) -> None:
    def on_connect(context: Context) -> None:
        context.channels = ["open:a", "open:b"]

    node = start(hooks={"connect": on_connect})
    assert connect(node, channels=["open:b", "open:c"])["subs"] == {"open:b": {}, "open:c": {}, "open:a": {}}


def test_too_many_channels_of_a_hook_close_the_connection(start: StartNode) -> None:
    def on_connect(context: Context) -> None:
        context.user, context.channels = "bob", ["open:a", "open:b"]

    client = LocalClientV2(start(client_channel_limit=1, hooks={"connect": on_connect}))
    client.send({"id": 1, "connect": {}})
    assert client.close == (3505, "channel limit")


@pytest.mark.parametrize("channels", ["open:a", [1], [""], None])
def test_invalid_channel_names_are_a_failure_of_the_hook(
    start: StartNode, caplog: pytest.LogCaptureFixture, channels: Any
) -> None:
    def on_connect(context: Context) -> None:
        context.user, context.channels = "bob", channels

    client = LocalClientV2(start(hooks={"connect": on_connect}))
    client.send({"id": 1, "connect": {}})
    assert client.close == (3004, "internal server error")
    assert "expected a list of names" in caplog.text


def test_client_is_closed_to_reconnect_if_its_channels_cannot_be_read(node: Node, engine: FailingEngine) -> None:
    engine.failing.add("recover_since")
    client = LocalClientV2(node)
    client.send({"id": 1, "connect": {"token": connection_token(KEY, "alice", channels=["open:a", "rich:a"])}})
    assert client.close == (3004, "internal server error")
    assert node.hub.num_subscriptions == 0


def test_a_client_cannot_refuse_a_subscription_of_the_server_that_is_not_recovered(node: Node) -> None:
    position = {"recover": True, "offset": 5, "epoch": "another", "flag": 2}
    subs = connect(node, channels=["rich:a"], subs={"rich:a": position})["subs"]
    assert subs["rich:a"]["was_recovering"]
    assert "recovered" not in subs["rich:a"]


# -- personal channels


def test_a_client_is_subscribed_to_the_personal_channel_of_its_user(start: StartNode) -> None:
    node = start(user_subscribe_to_personal=True)
    client = LocalClientV2.connected(node)
    assert set(client.connection.channels) == {"#alice"}
    client.received()
    node.publish("#alice", b"1")
    assert client.pushes() == [{"channel": "#alice", "pub": {"data": 1}}]


def test_personal_channels_may_have_a_namespace(start: StartNode) -> None:
    node = start(user_subscribe_to_personal=True, user_personal_channel_namespace="rich")
    assert connect(node)["subs"]["rich:#alice"]["recoverable"]


def test_an_anonymous_user_has_no_personal_channel(start: StartNode) -> None:
    node = start(user_subscribe_to_personal=True, allow_anonymous_connect_without_token=True)
    client = LocalClientV2(node)
    assert "subs" not in client.call("connect")


def test_personal_channel_of_a_removed_namespace_is_an_error(start: StartNode) -> None:
    node = start(user_subscribe_to_personal=True, user_personal_channel_namespace="missing")
    assert connect(node)["error"]["code"] == 102


def test_a_user_with_a_single_connection_loses_the_earlier_one_on_any_node(start_node: StartNode) -> None:
    bus = Bus()
    options = {
        "token_hmac_secret_key": KEY,
        "user_subscribe_to_personal": True,
        "user_personal_single_connection": True,
    }
    nodes = [start_node(bus.engine(), name=name, **options) for name in ("first", "second")]
    first, other = LocalClientV2.connected(nodes[0]), LocalClientV2.connected(nodes[0], "bob")
    second = LocalClientV2.connected(nodes[1])
    settle()
    assert first.close == (3504, "connection limit")
    assert (second.close, other.close) == (None, None)
    LocalClientV2.connected(nodes[1])
    assert second.close == (3504, "connection limit")


def test_one_of_two_clients_that_connect_at_the_same_time_stays(start: StartNode, engine: FailingEngine) -> None:
    node = start(user_subscribe_to_personal=True, user_personal_single_connection=True)
    gate = engine.close_gate("publish_control")
    clients = [LocalClientV2(node) for _ in range(3)]
    command = {"id": 1, "connect": {"token": connection_token(KEY, "alice")}}
    connecting = [gevent.spawn(client.send, command) for client in clients]
    settle()
    gate.set()
    gevent.joinall(connecting, timeout=5, raise_error=True)
    settle()
    assert [client.close for client in clients].count((3504, "connection limit")) == 2
    (stays,) = [client for client in clients if client.close is None]
    assert node.hub.connections() == [stays.connection]
    assert stays.received()[0]["connect"]["client"] == stays.connection.uid


# -- tokens and hooks


def test_a_client_without_a_token_and_without_a_user_of_a_hook_is_closed(start: StartNode) -> None:
    client = LocalClientV2(start(hooks={"connect": lambda context: None}))
    client.send({"id": 1, "connect": {}})
    assert client.close == (3501, "bad request")


def test_a_hook_changes_the_info_of_a_connection_that_is_refreshed(start: StartNode) -> None:
    def on_refresh(context: Context) -> None:
        context.info = {"name": "Ann"}

    client = LocalClientV2.connected(start(hooks={"refresh": on_refresh}))
    assert client.call("refresh", token=connection_token(KEY, "alice")) == {}
    assert client.connection.default_info == b'{"name":"Ann"}'


def test_a_connection_that_is_closed_while_its_hook_runs_does_not_connect(start: StartNode) -> None:
    clients: list[LocalClientV2] = []

    def on_connect(context: Context) -> None:
        clients[0].connection.close()

    node = start(hooks={"connect": on_connect})
    clients.append(LocalClientV2(node))
    clients[0].send({"id": 1, "connect": {"token": connection_token(KEY, "alice")}})
    assert clients[0].received() == []
    assert node.hub.num_connections == 0


def test_a_connection_that_is_closed_while_it_closes_others_does_not_connect(
    start: StartNode, engine: FailingEngine
) -> None:
    node = start(user_subscribe_to_personal=True, user_personal_single_connection=True)
    client, gate = LocalClientV2(node), engine.close_gate("publish_control")
    command = {"id": 1, "connect": {"token": connection_token(KEY, "alice")}}
    connecting = gevent.spawn(client.send, command)
    settle()
    client.connection.close()
    gate.set()
    gevent.joinall([connecting], timeout=5, raise_error=True)
    assert client.received() == []
    assert node.hub.num_connections == 0


def test_without_the_keys_for_tokens_every_command_with_one_is_an_internal_error(start_node: StartNode) -> None:
    with key_server() as server:
        server.status = 500
        node = start_node(token_hmac_secret_key=KEY, token_jwks_public_endpoint=server.url)
        client = LocalClientV2.connected(node)
        unknown = token({"sub": "alice", "channel": "news"}, "RS256", kid="a")
        for method, request in [("refresh", {}), ("subscribe", {"channel": "news"})]:
            error = client.call(method, token=unknown, **request)["error"]
            assert error == {"code": 100, "message": "internal server error", "temporary": True}
        assert client.close is None


# -- the times of tokens


@pytest.mark.parametrize(("claim", "why"), [("nbf", "token is not valid yet"), ("exp", "token has expired")])
def test_expired_and_premature_tokens_are_logged(
    claim: str, why: str, start: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gentrifugo")
    at = time.time() + (3600 if claim == "nbf" else -3600)
    client = LocalClientV2(start())
    client.send({"id": 1, "connect": {"token": token({"sub": "ann", claim: at}, key=KEY)}})
    assert client.received() == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
    (line,) = caplog.messages
    assert f"connect refused with 'token expired': {why}: " in line
