"""Behaviour of a client's connection, protocol version 2: frames, connect, refresh, and every reason for its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gentrifugo.app.model.errors import CLOSE_DISCONNECT, CLOSE_SHUTDOWN, Disconnect
from gentrifugo.app.node import hooks, refusals
from gentrifugo.app.node.hooks import Context, Refuse, RPCError
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2.errors import CLOSE_TOO_MANY_REQUESTS
from gentrifugo.app.protocol.v2.token_making import connection_token, sign_token, subscription_token
from tests.app.conftest import VERSION
from tests.fakes import FailingEngine
from tests.greenlets import eventually, settle
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]

BAD_REQUEST = (3501, "bad request")


def connect(node: Node, token: str = "", **request: Any) -> LocalClientV2:
    """A client that has sent `connect`."""
    client = LocalClientV2(node)
    client.send({"id": 1, "connect": {"token": token, **request} if token else request})
    return client


# -- connect


def test_connect_returns_the_id_of_the_client_and_the_interval_of_pings(node: Node) -> None:
    client = connect(node, connection_token(KEY, "alice"))
    (reply,) = client.received()
    result = {"client": client.connection.uid, "version": VERSION, "ping": 25, "pong": True}
    assert reply == {"id": 1, "connect": result}
    assert node.hub.user_connections("alice") == [client.connection]


def test_a_client_without_a_token_is_closed(node: Node) -> None:
    assert connect(node).close == BAD_REQUEST


def test_a_client_without_a_token_is_anonymous_where_the_option_allows_it(start: StartNode) -> None:
    node = start(allow_anonymous_connect_without_token=True)
    assert "connect" in connect(node).received()[0]
    assert node.hub.num_users == 1


@pytest.mark.parametrize(
    "token", ["nonsense", connection_token("another key", "alice"), subscription_token(KEY, "alice", "open:a")]
)
def test_an_invalid_token_closes_the_connection(node: Node, token: str) -> None:
    assert connect(node, token).close == (3500, "invalid token")


def test_expired_token_is_an_error_and_later_commands_are_ignored(node: Node) -> None:
    client = LocalClientV2(node)
    client.send(
        {"id": 1, "connect": {"token": sign_token(KEY, {"sub": "alice", "exp": 1})}},
        {"id": 2, "connect": {"token": connection_token(KEY, "alice")}},
    )
    assert client.received() == [{"id": 1, "error": {"code": 109, "message": "token expired"}}]
    client.send({"id": 3, "connect": {"token": connection_token(KEY, "alice")}})
    assert client.received() == []
    assert client.close is None


def test_reply_to_an_expiring_token_contains_the_ttl(node: Node) -> None:
    result = connect(node, connection_token(KEY, "alice", expires=100)).received()[0]["connect"]
    assert result["expires"] is True
    assert 90 <= result["ttl"] <= 100


def test_a_connection_that_is_not_refreshed_is_closed(start: StartNode) -> None:
    node = start(expired_connection_close_delay=0)
    client = connect(node, connection_token(KEY, "alice", expires=0.05))
    eventually(lambda: client.close == (3005, "connection expired"))


def test_a_client_that_does_not_connect_is_closed(start: StartNode) -> None:
    client = LocalClientV2(start(stale_connection_close_delay=0.01))
    eventually(lambda: client.close == (3502, "stale"))


def test_a_second_connect_closes_the_connection(client: LocalClientV2) -> None:
    client.send({"id": 2, "connect": {"token": connection_token(KEY, "alice")}})
    assert client.close == BAD_REQUEST


def test_a_user_cannot_have_more_connections_than_the_limit(start: StartNode) -> None:
    node = start(user_connection_limit=1)
    LocalClientV2.connected(node)
    assert connect(node, connection_token(KEY, "alice")).close == (3504, "connection limit")


def test_a_token_subscribes_the_client_to_channels(node: Node) -> None:
    client = connect(node, connection_token(KEY, "alice", channels=["closed:a", "rich:b"]))
    subs = client.received()[0]["connect"]["subs"]
    assert subs["closed:a"] == {}
    assert subs["rich:b"]["recoverable"]
    node.publish("closed:a", b"1")
    assert client.pushes() == [{"channel": "closed:a", "pub": {"data": 1}}]


def test_a_token_with_more_channels_than_the_limit_closes_the_connection(start: StartNode) -> None:
    node = start(client_channel_limit=1)
    client = connect(node, connection_token(KEY, "alice", channels=["closed:a", "closed:b"]))
    assert client.close == (3505, "channel limit")
    assert node.hub.num_channels == 0


def test_token_with_a_channel_of_an_unknown_namespace_closes_the_connection(node: Node) -> None:
    client = connect(node, connection_token(KEY, "alice", channels=["missing:a"]))
    assert client.close == (3501, "unknown channel")


# -- connect with a hook


def test_a_hook_names_the_user_of_a_client_without_a_token(start_node: StartNode, engine: FailingEngine) -> None:
    def on_connect(context: Context) -> None:
        assert context.user is None
        context.user, context.info = 42, {"name": "Ann"}

    node = start_node(engine, hooks={"connect": on_connect}, token_hmac_secret_key=KEY)
    client = connect(node)
    assert "connect" in client.received()[0]
    assert (client.connection.user, client.connection.default_info) == ("42", b'{"name":"Ann"}')


def test_a_hook_refuses_a_client_with_its_reason(start_node: StartNode, engine: FailingEngine) -> None:
    def on_connect(context: Context) -> None:
        raise Refuse("no visitors today")

    node = start_node(engine, hooks={"connect": on_connect}, token_hmac_secret_key=KEY)
    assert connect(node, connection_token(KEY, "alice")).close == (4500, "no visitors today")


@pytest.mark.parametrize("temporary", [False, True])
def test_a_hook_refuses_a_client_with_an_error_of_its_own(
    start_node: StartNode, engine: FailingEngine, temporary: bool
) -> None:
    def on_connect(context: Context) -> None:
        raise RPCError(420, "later", temporary)

    node = start_node(engine, hooks={"connect": on_connect}, token_hmac_secret_key=KEY)
    client = connect(node, connection_token(KEY, "alice"))
    error = {"code": 420, "message": "later", **({"temporary": True} if temporary else {})}
    assert client.received() == [{"id": 1, "error": error}]
    client.send({"id": 2, "connect": {"token": connection_token(KEY, "alice")}})
    assert client.received() == []


@pytest.mark.parametrize("event", ["connect", "subscribe", "publish", "refresh"])
def test_a_hook_disconnects_a_client(start: StartNode, event: str) -> None:
    def disconnect(context: Context) -> None:
        raise hooks.DisconnectClient(4000, "moved")

    client = LocalClientV2(start(hooks={event: disconnect}))
    token = connection_token(KEY, "alice", expires=60)
    client.send(
        {"id": 1, "connect": {"token": token}},
        {"id": 2, "subscribe": {"channel": "open:a"}},
        {"id": 3, "publish": {"channel": "open:a", "data": 1}},
        {"id": 4, "refresh": {"token": token}},
    )
    assert client.close == (4000, "moved")


def test_a_hook_answers_a_refresh_with_an_error_of_its_own(start: StartNode) -> None:
    def on_refresh(context: Context) -> None:
        raise RPCError(420, "later")

    client = LocalClientV2.connected(start(hooks={"refresh": on_refresh}))
    answer = client.call("refresh", token=connection_token(KEY, "alice"))
    assert answer == {"error": {"code": 420, "message": "later"}}
    assert client.subscribe("open:a") == {}


# -- refresh


def test_refresh_extends_a_connection(node: Node) -> None:
    client = LocalClientV2.connected(node, expires=10)
    result = client.call("refresh", token=connection_token(KEY, "alice", expires=100))
    assert result == {"expires": True, "ttl": pytest.approx(100, abs=2)}
    assert client.call("refresh", token=connection_token(KEY, "alice")) == {}


@pytest.mark.parametrize(
    ("token", "close"),
    [
        ("", BAD_REQUEST),
        ("nonsense", (3500, "invalid token")),
        (connection_token(KEY, "bob"), (3500, "invalid token")),
        (sign_token(KEY, {"sub": "alice", "exp": 1}), (3005, "connection expired")),
    ],
)
def test_a_token_that_cannot_refresh_the_connection_closes_it(
    client: LocalClientV2, token: str, close: tuple[int, str]
) -> None:
    client.send({"id": 2, "refresh": {"token": token}})
    assert client.close == close


# -- frames


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"hello",
        b"[]",
        b"{}",
        b'{"id":2}',
        b'{"id":2,"dance":{}}',
        b'{"id":2,"ping":{}}',
        b'{"subscribe":{"channel":"open:a"}}',
        b'{"id":"2","subscribe":{"channel":"open:a"}}',
        b'{"id":4294967296,"subscribe":{"channel":"open:a"}}',
        b'{"id":2,"subscribe":{"channel":5}}',
        b'{"id":2,"subscribe":{"channel":""}}',
        b'{"id":2,"history":{"channel":""}}',
        b"\xff",
    ],
)
def test_a_frame_that_breaks_the_protocol_closes_the_connection(client: LocalClientV2, frame: bytes) -> None:
    client.send(frame)
    assert client.close == BAD_REQUEST


def test_a_command_before_connect_closes_the_connection(node: Node) -> None:
    client = LocalClientV2(node)
    client.send({"id": 1, "subscribe": {"channel": "open:a"}})
    assert client.close == BAD_REQUEST


def test_commands_before_an_invalid_command_of_a_frame_are_carried_out(client: LocalClientV2) -> None:
    client.received()
    client.send({"id": 2, "subscribe": {"channel": "open:a"}}, b"hello")
    assert client.received() == [{"id": 2, "subscribe": {}}]
    assert client.close == BAD_REQUEST


def test_a_message_for_the_application_closes_the_connection_without_a_handler(client: LocalClientV2) -> None:
    client.send({"send": {"data": 1}})
    assert client.close == (3508, "not available")


def test_a_call_of_an_unknown_method_is_an_error(client: LocalClientV2) -> None:
    assert client.call("rpc", method="add", data={})["error"]["code"] == 104


def test_a_frame_over_the_limit_closes_the_connection(start: StartNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", refusals.log.name)
    node = start(client_request_max_size=400)
    client = LocalClientV2.connected(node)
    client.send(b" " * 401)
    assert client.close == (1009, "")
    assert "message too large: it has 401 bytes, and option client_request_max_size is 400" in caplog.text
    assert [close.reason for close in node.closed_clients.last] == ["message too large"]


def test_a_frame_that_the_transport_cannot_take_closes_the_connection(
    start: StartNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", refusals.log.name)
    client = LocalClientV2.connected(start(client_request_max_size=400))
    client.connection.close_too_large()
    assert client.close == (1009, "")
    assert "message too large: it is larger than the 400 bytes of option client_request_max_size" in caplog.text


# -- pings


def test_client_that_answers_pings_is_not_closed(start: StartNode) -> None:
    client = LocalClientV2.connected(start(ping_interval=0.1, client_pong_timeout=0.1))
    client.received()
    for _ in range(3):
        eventually(lambda: client.received() == [{}])
        client.send(b"{}")
    assert client.close is None


def test_a_client_that_does_not_answer_a_ping_is_closed(start: StartNode) -> None:
    client = LocalClientV2.connected(start(ping_interval=0.1, client_pong_timeout=0.1))
    eventually(lambda: client.close == (3012, "no pong"))


def test_client_with_websocket_pings_gets_no_protocol_pings(start: StartNode) -> None:
    client = LocalClientV2(start(ping_interval=0.05), has_own_pings=True)
    result = client.call("connect", token=connection_token(KEY, "alice"))
    assert "ping" not in result
    assert "pong" not in result
    assert client.transport.pings


# -- the end


@pytest.mark.parametrize(
    ("disconnect", "close"),
    [
        (CLOSE_SHUTDOWN, (3001, "shutdown")),
        (CLOSE_DISCONNECT, (3503, "force disconnect")),
        (Disconnect("maintenance", reconnect=True, backend_code=4002), (4002, "maintenance")),
    ],
)
def test_reasons_of_the_node_become_close_codes(
    client: LocalClientV2, disconnect: Disconnect, close: tuple[int, str]
) -> None:
    client.connection.close(disconnect)
    assert client.close == close


def test_closed_connection_releases_all_resources(node: Node, client: LocalClientV2) -> None:
    client.subscribe("rich:a")
    client.connection.close()
    assert (node.hub.num_connections, node.hub.num_channels, node.hub.open) == (0, 0, set())
    assert node.presence("rich:a") == {}


def test_a_slow_client_is_closed(node: Node) -> None:
    client = LocalClientV2(node, limit=200)
    client.send({"id": 1, "connect": {"token": connection_token(KEY, "alice")}})
    client.send({"id": 2, "subscribe": {"channel": "open:a"}})
    node.publish("open:a", b'"' + b"x" * 300 + b'"')
    eventually(lambda: client.close == (3008, "slow"))
    assert node.metrics.counters.client_num_closed_slow == 1


def test_a_failed_transport_and_an_unexpected_error_close_the_connection(node: Node) -> None:
    first, second = LocalClientV2.connected(node), LocalClientV2.connected(node)
    first.connection.close_failed("Broken pipe")
    second.connection.close_broken(RuntimeError("a bug"))
    eventually(lambda: first.close == (3009, "write error"))
    assert second.close == (3004, "internal server error")


def test_a_reload_takes_effect_on_the_next_command(node: Node, client: LocalClientV2) -> None:
    node.configure(replace(node.config, client_channel_limit=0))
    assert client.call("subscribe", channel="open:a")["error"]["code"] == 106


def test_an_expiry_in_the_past_closes_at_once(start: StartNode) -> None:
    node = start(expired_connection_close_delay=0)
    client = LocalClientV2.connected(node)
    client.connection.expire_at(time.time() - 1)
    eventually(lambda: client.close == (3005, "connection expired"))


def test_only_the_beginning_of_a_long_name_of_a_library_is_kept(node: Node) -> None:
    client = LocalClientV2(node)
    client.call("connect", token=connection_token(KEY, "alice"), name="n" * 50_000, version="5")
    assert client.connection.library == "n" * 100


def test_admin_interface_shows_version_format_and_library_of_a_client(node: Node) -> None:
    connect(node, connection_token(KEY, "alice"), name="js", version="5.8.0")
    (connection,) = node.cluster.surveys.connections("alice")
    assert (connection.protocol, connection.library) == ("v2 json", "js 5.8.0")


def test_call_has_no_reply_if_its_handler_closes_the_connection(start: StartNode) -> None:
    clients: list[LocalClientV2] = []

    def handler(context: Context) -> None:
        clients[0].connection.close()

    clients.append(LocalClientV2.connected(start(hooks={"rpc": handler})))
    clients[0].received()
    clients[0].send({"id": 9, "rpc": {"method": "add"}})
    assert clients[0].received() == []


def test_recovering_a_channel_without_subscription_does_nothing(node: Node) -> None:
    client = LocalClientV2.connected(node)
    client.received()
    client.connection.recover_again("news")
    settle()
    assert client.received() == []


def test_disconnect_in_another_greenlet_has_its_code(node: Node) -> None:
    client = LocalClientV2.connected(node)
    client.connection.disconnect_later(CLOSE_TOO_MANY_REQUESTS)
    settle()
    assert client.transport.closes == [(3013, "too many requests")]
