"""Behaviour of a client's connection, protocol version 1: every command, every error, and every reason for its end."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gevent
import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.errors import CLOSE_DISCONNECT, CLOSE_SHUTDOWN
from gentrifugo.app.node.node import Node
from gentrifugo.app.runtime import yielding
from gentrifugo.app.runtime.timers import Callback, Timer
from tests.app.conftest import VERSION
from tests.contents import contents
from tests.credentials import SECRET, connect_params, private_params, sign
from tests.fakes import FailingEngine
from tests.greenlets import BackgroundGreenlet, eventually, settle
from tests.local_client import LocalClient, closed
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]

RICH = Namespace(
    name="rich",
    presence=True,
    join_leave=True,
    publish=True,
    anonymous=True,
    recover=True,
    history_size=10,
    history_lifetime=60,
)
OPEN = Namespace(name="open", publish=True)
BARE = Namespace(name="bare", recover=True)
PRESENT = Namespace(name="present", presence=True)


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def start(start_node: StartNode, engine: FailingEngine) -> StartNode:
    """Start the node of a test: `start(option=value, ...)`."""
    return lambda **options: start_node(engine, **{"namespaces": (RICH, OPEN, BARE, PRESENT), **options})


@pytest.fixture
def node(start: StartNode) -> Node:
    return start()


@pytest.fixture
def client(node: Node) -> LocalClient:
    return LocalClient.connected(node)


def lifetime_ending_in(delay: float) -> tuple[int, float]:
    """A timestamp for credentials, and the connection_lifetime with which they expire `delay` seconds from now."""
    timestamp = int(time.time())
    return timestamp, time.time() - timestamp + delay


def errors_of(reply: dict[str, Any]) -> tuple[Any, Any]:
    return reply.get("error"), reply.get("advice")


# -- the envelope

PING = {"method": "ping", "params": {}}

CLOSING = [
    (b"", "invalid message"),
    (b"x", "invalid message"),
    (b"[]", "invalid message"),
    (b"null", "invalid message"),
    (b"42", "invalid message"),
    (b'"ping"', "invalid message"),
    (b'["ping"]', "invalid message"),
    (b'{"method":"ping"', "invalid message"),
    (b'{"method":"ping"} {}', "invalid message"),
    (b'{"method":"ping","params":{"data":"\xff"}}', "invalid message"),
    (b'{"method":"publish","params":{"data":' + b"[" * 5_000, "invalid message"),
    (b'{"uid":1,"method":"ping"}', "invalid message"),
    (b'{"method":1}', "invalid message"),
    (b"{}", "method not found"),
    (b"[null]", "method not found"),
    (b'{"method":null}', "method not found"),
    (b'{"method":"Ping"}', "method not found"),
    (b'{"method":"unknown","params":{}}', "method not found"),
    (b'{"method":"message","params":{}}', "method not found"),
    (b'{"method":"ping","params":[]}', "invalid message"),
    (b'{"method":"ping","params":{"data":42}}', "invalid message"),
    (b'{"method":"subscribe"}', "invalid message"),
    (b'{"method":"subscribe","params":null}', "invalid message"),
    (b'{"method":"subscribe","params":{}}', "invalid message"),
    (b'{"method":"subscribe","params":{"channel":""}}', "invalid message"),
    (b'{"method":"subscribe","params":{"channel":42}}', "invalid message"),
    (b'{"method":"subscribe","params":{"channel":"news","recover":1}}', "invalid message"),
    (b'{"method":"unsubscribe"}', "invalid message"),
    (b'{"method":"unsubscribe","params":{"channel":null}}', "invalid message"),
    (b'{"method":"unsubscribe","params":{"channel":[]}}', "invalid message"),
    (b'{"method":"publish"}', "invalid message"),
    (b'{"method":"publish","params":{"channel":42,"data":1}}', "invalid message"),
    (b'{"method":"presence"}', "invalid message"),
    (b'{"method":"presence","params":{"channel":{}}}', "invalid message"),
    (b'{"method":"history"}', "invalid message"),
    (b'{"method":"history","params":{"channel":true}}', "invalid message"),
    (b'{"method":"refresh"}', "invalid message"),
    (b'{"method":"refresh","params":{"user":42}}', "invalid message"),
    (b'{"method":"refresh","params":{}}', "invalid token"),
    (b'{"method":"connect","params":{}}', "invalid message"),
    (b'{"method":"connect"}', "invalid message"),
]


@pytest.mark.parametrize(("message", "reason"), CLOSING, ids=lambda value: value[:60])
def test_fatal_errors_close_the_connection(client: LocalClient, message: bytes, reason: str) -> None:
    client.received()
    client.send(message)
    assert client.close_reason == closed(reason)
    assert client.received() == []


@pytest.mark.parametrize(
    ("message", "reason"),
    [(message, reason) for message, reason in CLOSING if message.startswith(b"{") and message.endswith(b"}")],
    ids=lambda value: value[:60],
)
def test_fatal_error_in_an_array_closes_without_replies(client: LocalClient, message: bytes, reason: str) -> None:
    client.received()
    client.send(b'[{"uid":"1","method":"ping"},%b,{"uid":"2","method":"ping"}]' % message)
    assert client.close_reason == closed(reason)
    assert client.received() == []


def test_subscriptions_of_an_array_are_removed_after_a_fatal_error(
    client: LocalClient, engine: FailingEngine, node: Node
) -> None:
    client.send([{"method": "subscribe", "params": {"channel": "rich:news"}}, {"method": "unknown"}])
    assert client.close_reason == closed("method not found")
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})


@pytest.mark.parametrize(("size", "reason"), [(100, None), (101, closed("limit exceeded"))])
def test_request_over_the_limit_closes_the_connection(start: StartNode, size: int, reason: Any) -> None:
    client = LocalClient(start(client_request_max_size=100, insecure=True))
    client.send(b'{"method":"connect","params":{}}'.ljust(size))
    assert client.close_reason == reason


def test_the_limit_of_a_request_counts_bytes(start: StartNode) -> None:
    client = LocalClient(start(client_request_max_size=100, insecure=True))
    client.send(json.dumps({"method": "connect", "params": {"user": "é" * 30}}, ensure_ascii=False))
    assert client.close_reason == closed("limit exceeded")


def test_a_reply_has_the_uid_of_its_command_if_it_had_one(client: LocalClient) -> None:
    client.received()
    for command in ({"uid": "x", **PING}, {"uid": "", **PING}, {"uid": None, **PING}, PING):
        client.send(command)
    assert client.received() == [{"uid": "x", "method": "ping"}] + [{"method": "ping"}] * 3


@pytest.mark.parametrize("commands", [[PING], [PING] * 3], ids=len)
def test_an_array_gets_one_array_of_replies(client: LocalClient, commands: list[Any]) -> None:
    client.received()
    client.send(commands)
    assert client.received() == [[{"method": "ping"}] * len(commands)]


def test_replies_of_an_array_stand_in_the_order_of_its_commands(client: LocalClient) -> None:
    client.received()
    client.send(
        [
            {"uid": "1", "method": "subscribe", "params": {"channel": "open:news"}},
            {"uid": "2", "method": "publish", "params": {"channel": "open:news", "data": 1}},
            {"uid": "3", "method": "publish", "params": {"channel": "news", "data": 1}},
            {"uid": "4", "method": "unsubscribe", "params": {"channel": "open:news"}},
        ]
    )
    push, replies = client.received()
    assert push["method"] == "message"
    assert [(reply["uid"], reply.get("error")) for reply in replies] == [
        ("1", None),
        ("2", None),
        ("3", "permission denied"),
        ("4", None),
    ]


def test_unknown_fields_are_ignored(client: LocalClient) -> None:
    client.received()
    client.send({"method": "ping", "params": {"data": "x", "more": [1]}, "more": {"a": 1}})
    assert client.received() == [{"method": "ping", "body": {"data": "x"}}]


# -- connect


def test_client_connects_with_a_valid_token(node: Node) -> None:
    client = LocalClient(node)
    reply = client.call("connect", **connect_params("alice"))
    body = {"version": VERSION, "client": client.uid, "expires": False, "expired": False, "ttl": 0}
    assert reply == {"uid": "1", "method": "connect", "body": body}
    assert [connection.uid for connection in node.hub.user_connections("alice")] == [client.uid]


def test_clients_have_different_ids(node: Node) -> None:
    clients = [LocalClient.connected(node) for _ in range(50)]
    assert len({client.uid for client in clients}) == 50
    assert all(len(client.uid) == 36 for client in clients)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {**connect_params("alice"), "token": ""},
        {**connect_params("alice"), "token": None},
        {**connect_params("alice"), "token": "0" * 64},
        {**connect_params("alice"), "token": connect_params("alice")["token"].upper()},
        {**connect_params("alice"), "user": "bob"},
        {**connect_params("alice"), "timestamp": "1"},
        {**connect_params("alice"), "info": "{}"},
        {key: value for key, value in connect_params("alice", info="{}").items() if key != "info"},
        connect_params("alice", secret="other"),
        {**connect_params("alice"), "token": "é\ud800"},
    ],
)
def test_a_wrong_token_closes_without_a_reply(node: Node, params: dict[str, Any]) -> None:
    client = LocalClient(node)
    client.send({"uid": "1", "method": "connect", "params": params})
    assert client.close_reason == closed("invalid token")
    assert client.received() == []


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"token": ""}, "missing token"),
        ({"token": "0" * 64}, "made with another secret, or for another user, timestamp or info"),
        ({"token": "A" * 64}, "malformed token: expected 64 lower-case hexadecimal digits"),
        ({"token": "0" * 63}, "not these 63 characters"),
        ({"token": "eyJh.eyJz.c2ln"}, "the token is a JWT"),
        ({"timestamp": "1700000000000"}, "invalid timestamp '1700000000000'"),
        ({"timestamp": "2023-11-14"}, "invalid timestamp '2023-11-14'"),
        ({"timestamp": "0123456789abcdef" * 4}, "invalid timestamp '0123456789abcdef0123':"),
    ],
)
def test_the_log_says_why_a_token_is_wrong_and_shows_no_secret(
    node: Node, caplog: pytest.LogCaptureFixture, params: dict[str, Any], reason: str
) -> None:
    caplog.set_level("DEBUG", "gentrifugo")
    good = connect_params("alice")
    client = LocalClient(node)
    client.send({"uid": "1", "method": "connect", "params": {**good, **params}})
    assert client.close_reason == closed("invalid token")
    assert "invalid token: user 'alice': " in caplog.text
    assert reason in caplog.text
    assert SECRET not in caplog.text.replace("another secret", "")
    assert good["token"] not in caplog.text
    assert params.get("token", "") == "" or params["token"] not in caplog.text


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "soon",
        "1500000000.5",
        "1e9",
        " 1500000000",
        "1500000000 ",
        "１５００００００００",
        "1" * 11,
        "1" * 9,
        "0123456789",
        "-150000000",
        "+150000000",
        "1500000000\n",
    ],
)
def test_timestamp_that_is_not_a_number_closes_the_connection(node: Node, timestamp: str) -> None:
    client = LocalClient(node)
    params = {"user": "alice", "timestamp": timestamp, "token": sign("alice", timestamp)}
    client.send({"method": "connect", "params": params})
    assert client.close_reason == closed("invalid message")


@pytest.mark.parametrize(
    "method", ["ping", "subscribe", "unsubscribe", "publish", "presence", "history", "refresh", ""]
)
def test_command_before_connect_closes_the_v1_connection(node: Node, method: str) -> None:
    client = LocalClient(node)
    client.send({"method": method, "params": {"channel": "news"}})
    assert client.close_reason == closed("unauthorized")
    assert client.received() == []


def test_connect_may_stand_before_other_commands_in_an_array(node: Node) -> None:
    client = LocalClient(node)
    subscribe = {"method": "subscribe", "params": {"channel": "news"}}
    client.send([{"method": "connect", "params": connect_params("alice")}, subscribe])
    ((connected, subscribed),) = client.received()
    assert connected["body"]["client"] == client.uid
    assert subscribed["body"]["status"]


def test_the_anonymous_user_connects_with_a_token(node: Node) -> None:
    client = LocalClient.connected(node, user="")
    assert client.connection.authenticated
    assert node.hub.num_users == 1


@pytest.mark.parametrize("params", [{}, {"user": "alice", "timestamp": "soon", "token": "x"}, connect_params("alice")])
def test_insecure_accepts_any_credentials(start: StartNode, params: dict[str, str]) -> None:
    node = start(insecure=True, secret="")
    client = LocalClient(node)
    assert client.call("connect", **params)["body"]["client"] == client.uid
    assert client.connection.user == params.get("user", "")


def test_connections_of_a_user_are_limited_in_v1(start: StartNode) -> None:
    node = start(user_connection_limit=2)
    first, _ = LocalClient.connected(node), LocalClient.connected(node)
    third = LocalClient(node)
    third.send({"method": "connect", "params": connect_params("alice")})
    assert third.close_reason == closed("limit exceeded")
    LocalClient.connected(node, "bob")
    first.connection.close()
    LocalClient.connected(node)


def test_the_limit_of_connections_is_not_for_anonymous_users(start: StartNode) -> None:
    node = start(user_connection_limit=1)
    clients = [LocalClient.connected(node, user="") for _ in range(3)]
    assert node.hub.num_connections == 3
    assert [client.close_reason for client in clients] == [None] * 3


# -- stale, expired, refreshed


def test_a_connection_that_does_not_connect_is_stale(start: StartNode) -> None:
    client = LocalClient(start(stale_connection_close_delay=0.01))
    assert eventually(lambda: client.close_reason) == closed("stale")


def test_client_that_connects_in_time_is_not_closed(start: StartNode) -> None:
    node = start(stale_connection_close_delay=0.01)
    client = LocalClient.connected(node)
    stale = LocalClient(node)
    eventually(lambda: stale.close_reason)
    assert client.close_reason is None


def test_without_stale_delay_no_client_is_closed(start: StartNode) -> None:
    node = start(stale_connection_close_delay=0)
    client = LocalClient(node)
    node.configure(replace(node.config, stale_connection_close_delay=0.01))
    stale = LocalClient(node)
    eventually(lambda: stale.close_reason)
    assert "error" not in client.call("connect", **connect_params("alice"))


def test_connect_reply_contains_the_lifetime(start: StartNode) -> None:
    client = LocalClient(start(connection_lifetime=60))
    body = client.call("connect", **connect_params("alice"))["body"]
    assert (body["expires"], body["expired"], body["ttl"]) == (True, False, 60)


def test_expired_credentials_do_not_connect_the_client(start: StartNode) -> None:
    node = start(connection_lifetime=60)
    client = LocalClient(node)
    body = client.call("connect", **connect_params("alice", timestamp=1_000_000_000))["body"]
    assert body == {"version": VERSION, "expires": True, "expired": True, "ttl": 60}
    assert node.hub.num_connections == 0
    client.send(PING)
    assert client.close_reason == closed("unauthorized")


def test_unauthenticated_client_may_connect_with_new_credentials(start: StartNode) -> None:
    client = LocalClient(start(connection_lifetime=60))
    client.call("connect", **connect_params("alice", timestamp=1_000_000_000))
    assert client.call("connect", **connect_params("alice"))["body"]["client"] == client.uid


def test_client_with_expired_credentials_is_closed_as_stale(start: StartNode) -> None:
    client = LocalClient(start(connection_lifetime=60, stale_connection_close_delay=0.01))
    client.call("connect", **connect_params("alice", timestamp=1_000_000_000))
    assert eventually(lambda: client.close_reason) == closed("stale")


def test_old_credentials_are_valid_without_a_lifetime(node: Node) -> None:
    assert (
        LocalClient(node).call("connect", **connect_params("alice", timestamp=1_000_000_000))["body"]["expired"]
        is False
    )


def test_client_with_expired_credentials_is_closed(start: StartNode) -> None:
    timestamp, lifetime = lifetime_ending_in(0.2)
    client = LocalClient(start(connection_lifetime=lifetime, expired_connection_close_delay=0))
    client.call("connect", **connect_params("alice", timestamp=timestamp))
    assert client.close_reason is None
    assert eventually(lambda: client.close_reason) == closed("expired", reconnect=True)


def test_client_is_closed_at_its_expiry_also_after_the_clock_was_set_back(
    start: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    timestamp, lifetime = lifetime_ending_in(0.2)
    client = LocalClient(start(connection_lifetime=lifetime, expired_connection_close_delay=0))
    client.call("connect", **connect_params("alice", timestamp=timestamp))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 0.5)
    assert eventually(lambda: client.close_reason) == closed("expired", reconnect=True)


def test_client_can_refresh_for_some_time_after_expiry(start: StartNode) -> None:
    timestamp, lifetime = lifetime_ending_in(0.05)
    node = start(connection_lifetime=lifetime, expired_connection_close_delay=3600)
    client = LocalClient(node)
    client.call("connect", **connect_params("alice", timestamp=timestamp))
    gevent.sleep(0.3)
    assert "error" not in client.call("ping")


def test_refreshed_client_is_not_closed(start: StartNode) -> None:
    timestamp, lifetime = lifetime_ending_in(0.2)
    node = start(connection_lifetime=lifetime, expired_connection_close_delay=0)
    refreshed, expired = LocalClient(node), LocalClient(node)
    for client in (refreshed, expired):
        client.call("connect", **connect_params("alice", timestamp=timestamp))
    body = refreshed.call("refresh", **connect_params("alice", timestamp=timestamp + 3600))["body"]
    assert (body["client"], body["expires"], body["expired"]) == (refreshed.uid, True, False)
    eventually(lambda: expired.close_reason)
    assert refreshed.close_reason is None


def test_refresh_with_old_credentials_does_not_extend_the_connection(start: StartNode) -> None:
    timestamp, lifetime = lifetime_ending_in(0.2)
    client = LocalClient(start(connection_lifetime=lifetime, expired_connection_close_delay=0))
    client.call("connect", **connect_params("alice", timestamp=timestamp))
    assert client.call("refresh", **connect_params("alice", timestamp=1_000_000_000))["body"]["expired"]
    assert eventually(lambda: client.close_reason) == closed("expired", reconnect=True)


def test_refresh_changes_the_info(start: StartNode) -> None:
    client = LocalClient.connected(start(connection_lifetime=60), info='"old"')
    client.subscribe("open:news")
    client.call("refresh", **connect_params("alice", info='"new"'))
    client.received()
    client.call("publish", channel="open:news", data=1)
    assert client.received()[0]["body"]["info"]["default_info"] == "new"


def test_refreshing_without_a_lifetime_is_answered(client: LocalClient) -> None:
    body = {"version": VERSION, "client": client.uid, "expires": False, "expired": False, "ttl": 0}
    assert client.call("refresh", **connect_params("alice"))["body"] == body


def test_refreshing_with_a_wrong_token_closes(client: LocalClient) -> None:
    client.send({"method": "refresh", "params": connect_params("alice", secret="other")})
    assert client.close_reason == closed("invalid token")


def test_refreshing_with_a_token_of_another_user_closes(start: StartNode) -> None:
    """Such a token would extend the connection, and show other clients the info of another user."""
    client = LocalClient.connected(start(connection_lifetime=60))
    client.send({"method": "refresh", "params": connect_params("bob", info='"Bob"')})
    assert client.close_reason == closed("invalid token")


def test_expiry_disabled_by_reload_closes_no_client(start: StartNode) -> None:
    timestamp, lifetime = lifetime_ending_in(0.05)
    node = start(connection_lifetime=lifetime, expired_connection_close_delay=0)
    client = LocalClient(node)
    client.call("connect", **connect_params("alice", timestamp=timestamp))
    node.configure(replace(node.config, connection_lifetime=0))
    gevent.sleep(0.3)
    assert client.close_reason is None


def test_insecure_credentials_never_expire(start: StartNode) -> None:
    client = LocalClient(start(insecure=True, connection_lifetime=0.01, expired_connection_close_delay=0))
    assert client.call("connect", user="alice", timestamp="1000000000")["body"]["client"] == client.uid
    gevent.sleep(0.3)
    assert client.close_reason is None


# -- subscribe

SUBSCRIBED = {"status": True, "last": "", "messages": None, "recovered": False}
NOT_SUBSCRIBED = {**SUBSCRIBED, "status": False}


def test_subscriber_receives_messages(client: LocalClient, node: Node) -> None:
    assert client.subscribe("news") == {"channel": "news", **SUBSCRIBED}
    client.received()
    node.publish("news", b'{"a": 1.50}', uid="u1")
    assert client.received_bytes() == [b'{"method":"message","body":{"uid":"u1","channel":"news","data":{"a": 1.50}}}']


def test_null_counts_as_the_default(client: LocalClient) -> None:
    assert client.subscribe("news", client=None, last=None, recover=None, info=None, sign=None)


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("news#bob", "permission denied"),
        ("news#", "permission denied"),
        ("news&c9", "permission denied"),
        ("$news", "permission denied"),
        ("$rich:news", "permission denied"),
        ("unknown:news", "namespace not found"),
        ("$unknown:news", "namespace not found"),
        ("c" * 256, "limit exceeded"),
        ("é" * 128, "limit exceeded"),
    ],
)
def test_a_subscription_is_refused_with_a_reply(
    client: LocalClient, engine: FailingEngine, channel: str, error: str
) -> None:
    reply = client.call("subscribe", channel=channel)
    assert errors_of(reply) == (error, "fix")
    assert reply["body"] == {"channel": channel, **NOT_SUBSCRIBED}
    assert client.close_reason is None
    assert engine.channels() == []


@pytest.mark.parametrize("channel", ["news#alice", "news#bob,alice", "c" * 255, "é" * 127, ":", "rich:", 'a"\\\0é'])
def test_a_subscription_is_granted(client: LocalClient, channel: str) -> None:
    assert client.subscribe(channel)["channel"] == channel


def test_client_subscribes_to_a_channel_with_its_client_id(client: LocalClient) -> None:
    assert client.subscribe(f"news&{client.uid}")


def test_subscribing_twice_is_refused(client: LocalClient, node: Node) -> None:
    client.subscribe("news")
    reply = client.call("subscribe", channel="news")
    assert errors_of(reply) == ("already subscribed", "fix")
    assert reply["body"] == {"channel": "news", **NOT_SUBSCRIBED}
    client.received()
    node.publish("news", b"1")
    assert len(client.received()) == 1


def test_client_can_subscribe_up_to_the_channel_limit(start: StartNode) -> None:
    client = LocalClient.connected(start(client_channel_limit=2))
    client.subscribe("one")
    client.subscribe("two")
    assert errors_of(client.call("subscribe", channel="three")) == ("limit exceeded", "fix")
    client.call("unsubscribe", channel="one")
    client.subscribe("three")


def test_anonymous_users_subscribe_only_with_option_anonymous(node: Node) -> None:
    client = LocalClient.connected(node, user="")
    assert errors_of(client.call("subscribe", channel="news")) == ("permission denied", "fix")
    assert client.subscribe("rich:news")


def test_insecure_lets_anonymous_users_subscribe(start: StartNode) -> None:
    client = LocalClient(start(insecure=True))
    client.call("connect")
    assert client.subscribe("news")


# -- private channels


def test_client_subscribes_to_a_private_channel_with_the_signature_of_the_backend(client: LocalClient) -> None:
    assert client.subscribe(**private_params(client.uid, "$news"))["channel"] == "$news"


@pytest.mark.parametrize(
    "change",
    [
        {"sign": ""},
        {"sign": None},
        {"sign": "0" * 64},
        {"client": ""},
        {"client": None},
        {"client": "another"},
        {"info": "{}"},
        {"channel": "$other"},
    ],
)
def test_any_other_signature_is_refused(client: LocalClient, change: dict[str, Any]) -> None:
    reply = client.call("subscribe", **{**private_params(client.uid, "$news"), **change})
    assert errors_of(reply) == ("permission denied", "fix")


def test_signature_for_another_client_is_refused(client: LocalClient, node: Node) -> None:
    other = LocalClient.connected(node, "bob")
    assert errors_of(client.call("subscribe", **private_params(other.uid, "$news"))) == ("permission denied", "fix")


def test_signature_does_not_open_a_channel_limited_to_another_user(client: LocalClient) -> None:
    reply = client.call("subscribe", **private_params(client.uid, "$news#bob"))
    assert errors_of(reply) == ("permission denied", "fix")


def test_private_channels_need_a_signature_also_with_insecure(start: StartNode) -> None:
    client = LocalClient(start(insecure=True))
    client.call("connect")
    assert errors_of(client.call("subscribe", channel="$news")) == ("permission denied", "fix")
    assert client.subscribe(**private_params(client.uid, "$news"))


@pytest.mark.parametrize(("info", "shown"), [('{"a": 1.50}', {"a": 1.5}), ("no json", "no json")])
def test_signed_info_is_shown_as_channel_info(client: LocalClient, info: str, shown: Any) -> None:
    client.subscribe(**private_params(client.uid, "$rich:news", info=info))
    presence = client.call("presence", channel="$rich:news")["body"]["data"]
    assert presence == {client.uid: {"user": "alice", "client": client.uid, "channel_info": shown}}


def test_unsigned_info_is_not_shown(client: LocalClient) -> None:
    client.subscribe("rich:news", info='{"admin": true}')
    presence = client.call("presence", channel="rich:news")["body"]["data"]
    assert presence == {client.uid: {"user": "alice", "client": client.uid}}


# -- joins and leaves


def test_client_receives_its_own_join_before_the_reply(client: LocalClient) -> None:
    client.received()
    client.subscribe("rich:news")
    join, reply = client.received()
    assert join["method"] == "join"
    assert join["body"] == {"channel": "rich:news", "data": {"user": "alice", "client": client.uid}}
    assert reply["method"] == "subscribe"


def test_client_receives_its_own_leave_before_the_reply(client: LocalClient) -> None:
    client.subscribe("rich:news")
    client.received()
    client.call("unsubscribe", channel="rich:news")
    assert [message["method"] for message in client.received()] == ["leave", "unsubscribe"]


def test_subscribers_receive_joins_and_leaves(client: LocalClient, node: Node) -> None:
    client.subscribe("rich:news")
    client.received()
    other = LocalClient.connected(node, "bob", info='"Bob"')
    other.subscribe("rich:news")
    other.connection.close()
    data = {"user": "bob", "client": other.uid, "default_info": "Bob"}
    assert [(push["method"], push["body"]["data"]) for push in client.received()] == [("join", data), ("leave", data)]


def test_closed_client_does_not_receive_its_own_leave(client: LocalClient) -> None:
    client.subscribe("rich:news")
    client.received()
    client.connection.close(CLOSE_DISCONNECT)
    assert client.received() == []


def test_without_join_leave_no_subscriber_receives_joins(client: LocalClient, node: Node) -> None:
    client.subscribe("open:news")
    client.received()
    other = LocalClient.connected(node, "bob")
    other.subscribe("open:news")
    other.call("unsubscribe", channel="open:news")
    assert client.received() == []


# -- recovery


@pytest.fixture
def history(node: Node) -> None:
    for uid in ("u1", "u2", "u3"):
        node.publish("rich:news", b"1", uid=uid)


def recovery(body: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The last uid, the uids of the messages, and whether the recovery is complete."""
    messages = body["messages"]
    return body["last"], messages and [message["uid"] for message in messages], body["recovered"]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, ("u3", None, False)),
        ({"recover": False, "last": "u1"}, ("u3", None, False)),
        ({"recover": True, "last": "u1"}, ("", ["u3", "u2"], True)),
        ({"recover": True, "last": "u3"}, ("", [], True)),
        ({"recover": True, "last": "unknown"}, ("", ["u3", "u2", "u1"], False)),
        ({"recover": True, "last": ""}, ("", ["u3", "u2", "u1"], False)),
        ({"recover": True, "last": None}, ("", ["u3", "u2", "u1"], False)),
        ({"recover": True}, ("", ["u3", "u2", "u1"], False)),
    ],
)
def test_returning_client_recovers_missed_messages(
    client: LocalClient, params: dict[str, Any], expected: tuple[Any, Any, Any]
) -> None:
    assert recovery(client.subscribe("rich:news", **params)) == expected


@pytest.mark.parametrize(
    ("channel", "params", "expected"),
    [
        ("rich:empty", {}, ("", None, False)),
        ("rich:empty", {"recover": True, "last": "u1"}, ("", [], False)),
        ("open:news", {"recover": True, "last": "u1"}, ("", None, False)),
        ("bare:news", {}, ("", None, False)),
        ("bare:news", {"recover": True, "last": "u1"}, ("", [], False)),
    ],
    ids=["empty", "empty, asked for", "not enabled", "no history", "no history, asked for"],
)
def test_subscription_without_history_recovers_no_messages(
    client: LocalClient, channel: str, params: dict[str, Any], expected: tuple[Any, Any, Any]
) -> None:
    assert recovery(client.subscribe(channel, **params)) == expected


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(("recover", "messages"), [(True, []), (False, None)])
def test_subscription_succeeds_without_recovery(
    client: LocalClient, engine: FailingEngine, recover: bool, messages: Any
) -> None:
    engine.failing.add("history")
    assert recovery(client.subscribe("rich:news", recover=recover, last="u1")) == ("", messages, False)
    assert client.close_reason is None


@pytest.mark.usefixtures("history")
def test_recovered_messages_are_as_they_were_published(client: LocalClient, node: Node) -> None:
    node.publish("rich:news", b'{"b": 1e400}', "c9", uid="u4")
    client.received_bytes()
    client.subscribe("rich:news", recover=True, last="u3")
    assert (
        b'"messages":[{"uid":"u4","client":"c9","channel":"rich:news","data":{"b": 1e400}}]'
        in (client.received_bytes()[-1])
    )


# -- unsubscribe


def test_unsubscribed_client_receives_no_messages(client: LocalClient, node: Node, engine: FailingEngine) -> None:
    client.subscribe("news")
    reply = client.call("unsubscribe", channel="news")
    assert reply["body"] == {"channel": "news", "status": True}
    client.received()
    node.publish("news", b"1")
    assert client.received() == []
    assert engine.channels() == []


def test_unsubscribe_without_a_subscription_succeeds(client: LocalClient) -> None:
    assert client.call("unsubscribe", channel="rich:news")["body"] == {"channel": "rich:news", "status": True}


def test_unsubscribing_from_an_unknown_namespace_is_refused(client: LocalClient) -> None:
    reply = client.call("unsubscribe", channel="unknown:news")
    assert errors_of(reply) == ("namespace not found", "fix")
    assert reply["body"] == {"channel": "unknown:news", "status": False}


def test_client_may_subscribe_again(client: LocalClient, node: Node) -> None:
    for _ in range(3):
        client.subscribe("rich:news")
        client.call("unsubscribe", channel="rich:news")
    client.subscribe("rich:news")
    client.received()
    node.publish("rich:news", b"1")
    assert [push["method"] for push in client.received()] == ["message"]


def test_a_backend_ends_a_subscription(client: LocalClient, node: Node, engine: FailingEngine) -> None:
    client.subscribe("rich:news")
    client.received()
    node.unsubscribe_user("alice", "rich:news")
    leave, push = client.received()
    assert leave["method"] == "leave"
    assert push == {"method": "unsubscribe", "body": {"channel": "rich:news", "status": True}}
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})
    client.subscribe("rich:news")


def test_a_backend_ends_all_subscriptions(client: LocalClient, node: Node, engine: FailingEngine) -> None:
    for channel in ("news", "open:chat"):
        client.subscribe(channel)
    client.received()
    node.unsubscribe_user("alice", "")
    assert [push["body"]["channel"] for push in client.received()] == ["news", "open:chat"]
    assert engine.channels() == []


# -- publish


def test_a_publisher_gets_its_own_message(client: LocalClient, node: Node) -> None:
    client.subscribe("open:news")
    client.received()
    assert client.call("publish", channel="open:news", data=[1])["body"] == {"channel": "open:news", "status": True}
    push, _ = client.received()
    info = {"user": "alice", "client": client.uid}
    uid = push["body"].pop("uid")
    assert push["body"] == {"channel": "open:news", "data": [1], "client": client.uid, "info": info}
    assert len(uid) == 36


def test_data_is_relayed_byte_for_byte(client: LocalClient) -> None:
    client.subscribe("open:news")
    data = '{"b" : 1.50,\n"a":[1e400, -0.0, 12345678901234567890], "é": "\\u00e9\\ud800"}'.encode()
    client.received()
    client.send(b'{"method":"publish","params":{"channel":"open:news","data":%b}}' % data)
    push, _ = client.received_bytes()
    assert push.endswith(b'"data":%b}}' % data)


def test_a_publisher_cannot_pretend_to_be_another(client: LocalClient) -> None:
    client.subscribe("open:news")
    client.received()
    client.call("publish", channel="open:news", data=1, client="another", uid="chosen", info={"user": "bob"})
    body = client.received()[0]["body"]
    assert (body["client"], body["info"]["user"]) == (client.uid, "alice")
    assert body["uid"] != "chosen"


@pytest.mark.parametrize("info", ['{"a": 1}', "no json", ""])
def test_a_message_shows_the_info_of_its_publisher(node: Node, info: str) -> None:
    client = LocalClient.connected(node, info=info)
    client.subscribe("open:news")
    client.received()
    client.call("publish", channel="open:news", data=None)
    shown = client.received()[0]["body"]["info"].get("default_info")
    assert shown == {'{"a": 1}': {"a": 1}, "": None}.get(info, info)


def test_publishes_of_one_client_arrive_in_order(client: LocalClient, node: Node) -> None:
    other = LocalClient.connected(node, "bob")
    for subscriber in (client, other):
        subscriber.subscribe("open:news")
    other.received()
    for number in range(50):
        client.send({"method": "publish", "params": {"channel": "open:news", "data": number}})
    assert [push["body"]["data"] for push in other.received()] == list(range(50))


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channel": "open:news"}, "invalid message"),
        ({"channel": "", "data": 1}, "invalid message"),
        ({"data": 1}, "invalid message"),
        ({"channel": "open:other", "data": 1}, "permission denied"),
        ({"channel": "news", "data": 1}, "permission denied"),
        ({"channel": "unknown:news", "data": 1}, "permission denied"),
    ],
    ids=["no data", "empty channel", "no channel", "not subscribed", "not allowed", "unknown namespace"],
)
def test_a_publish_is_refused_with_a_reply(client: LocalClient, params: dict[str, Any], error: str) -> None:
    for channel in ("open:news", "news"):
        client.subscribe(channel)
    client.received()
    reply = client.call("publish", **params)
    assert errors_of(reply) == (error, "fix")
    assert reply["body"] == {"channel": params.get("channel", ""), "status": False}
    assert client.received() == [reply]


def test_insecure_lets_subscribers_publish_everywhere(start: StartNode) -> None:
    client = LocalClient(start(insecure=True))
    client.call("connect")
    client.subscribe("news")
    assert client.call("publish", channel="news", data=1)["body"]["status"]
    assert errors_of(client.call("publish", channel="other", data=1)) == ("permission denied", "fix")


# -- presence and history


def test_presence_lists_the_subscribed_clients(client: LocalClient, node: Node) -> None:
    other = LocalClient.connected(node, "bob", info='{"age": 42}')
    for subscriber in (client, other):
        subscriber.subscribe("rich:news")
    assert client.call("presence", channel="rich:news")["body"] == {
        "channel": "rich:news",
        "data": {
            client.uid: {"user": "alice", "client": client.uid},
            other.uid: {"user": "bob", "client": other.uid, "default_info": {"age": 42}},
        },
    }


def test_unsubscribed_client_is_removed_from_presence(client: LocalClient, node: Node) -> None:
    client.subscribe("rich:news")
    for leave in (
        lambda other: other.call("unsubscribe", channel="rich:news"),
        lambda other: other.connection.close(),
        lambda other: node.disconnect_user("bob"),
    ):
        other = LocalClient.connected(node, "bob")
        other.subscribe("rich:news")
        assert other.uid in client.call("presence", channel="rich:news")["body"]["data"]
        leave(other)
        assert list(client.call("presence", channel="rich:news")["body"]["data"]) == [client.uid]


def test_history_is_newest_first(client: LocalClient) -> None:
    client.subscribe("rich:news")
    for number in range(3):
        client.call("publish", channel="rich:news", data=number)
    body = client.call("history", channel="rich:news")["body"]
    assert body["channel"] == "rich:news"
    assert [message["data"] for message in body["data"]] == [2, 1, 0]
    assert body["data"][0]["info"] == {"user": "alice", "client": client.uid}


@pytest.mark.parametrize("method", ["presence", "history"])
@pytest.mark.parametrize(
    ("channel", "error"),
    [
        ("rich:other", ("permission denied", "fix")),
        ("unknown:news", ("permission denied", "fix")),
        ("", ("permission denied", "fix")),
        ("news", ("not available", "retry")),
    ],
)
def test_a_query_is_refused_with_a_reply(
    client: LocalClient, method: str, channel: str, error: tuple[str, str]
) -> None:
    client.subscribe("news")
    reply = client.call(method, channel=channel)
    assert errors_of(reply) == error
    assert reply["body"] == {"channel": channel, "data": None}


# -- ping


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ({"method": "ping"}, {"method": "ping"}),
        ({"method": "ping", "params": None}, {"method": "ping"}),
        ({"method": "ping", "params": {"data": ""}}, {"method": "ping"}),
        ({"method": "ping", "params": {"data": "\ud83d\ude00"}}, {"method": "ping", "body": {"data": "😀"}}),
    ],
)
def test_a_ping_is_answered(client: LocalClient, command: dict[str, Any], reply: dict[str, Any]) -> None:
    client.received()
    client.send(command)
    assert client.received() == [reply]


# -- presence that stays


def test_presence_is_renewed_while_the_client_is_connected(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    client.subscribe("rich:news")
    eventually(lambda: engine.calls["add_presence"] > 3)


def test_only_the_first_interval_of_presence_is_shorter(start: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start(presence_ping_interval=10)
    started: list[tuple[float, Callback]] = []

    def after(delay: float, callback: Callback) -> Timer:
        started.append((delay, callback))
        return Timer(callback)

    monkeypatch.setattr(node.renewals, "after", after)
    LocalClient.connected(node).subscribe("rich:news")
    ((first, renew),) = started
    assert 5 <= first <= 10
    assert [renew() for _ in range(3)] == [10, 10, 10]
    settle()


@pytest.mark.parametrize("connected", [LocalClient.connected, LocalClientV2.connected])
def test_client_leaves_the_presence_of_a_channel_whose_option_was_switched_off(
    start: StartNode, engine: FailingEngine, connected: Callable[[Node], Any]
) -> None:
    node = start(token_hmac_secret_key=KEY, presence=True, allow_subscribe_for_client=True)
    client = connected(node)
    client.subscribe("news")
    assert len(engine.presence("news")) == 1
    node.configure(replace(node.config, presence=False))
    client.connection.close()
    assert engine.presence("news") == {}


def test_only_channels_with_presence_are_renewed(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    for channel in ("present:news", "open:news"):
        client.subscribe(channel)
    eventually(lambda: engine.calls["add_presence"] > 3)
    assert engine.presence("open:news") == {}


def test_presence_is_renewed_only_while_subscribed(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    client.subscribe("present:news")
    client.call("unsubscribe", channel="present:news")
    gevent.sleep(0.3)
    assert engine.calls["add_presence"] == 1
    client.subscribe("present:news")
    eventually(lambda: engine.calls["add_presence"] > 3)


def test_a_closed_client_is_not_renewed(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    client.subscribe("present:news")
    client.connection.close()
    gevent.sleep(0.3)
    assert engine.calls["add_presence"] == 1
    assert engine.presence("present:news") == {}


def test_a_renewal_that_fails_is_retried(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    client.subscribe("present:news")
    engine.failing.add("add_presence")
    eventually(lambda: engine.calls["add_presence"] > 3)
    assert client.close_reason is None


# -- trouble on the way out


def test_client_over_its_queue_limit_is_closed_as_slow(node: Node) -> None:
    client = LocalClient(node, limit=1_000)
    client.call("connect", **connect_params("alice"))
    client.subscribe("news")
    node.publish("news", b'"%b"' % (b"a" * 1_000))
    assert client.close_reason == closed("slow")


def ping(size: int = 0) -> dict[str, Any]:
    return {"method": "ping", "params": {"data": "x" * size}}


def test_other_greenlets_run_between_commands_of_an_array(
    client: LocalClient, background_greenlet: BackgroundGreenlet
) -> None:
    client.send([ping()] * 5)
    assert background_greenlet.turns >= 4


def test_a_client_whose_replies_are_too_many_is_closed_as_slow(
    start: StartNode, engine: FailingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    node = start(client_queue_max_size=2_000)
    client = LocalClient.connected(node)
    client.subscribe("rich:news")
    node.publish("rich:news", b'"%b"' % (b"a" * 500))
    client.received()
    calls = engine.calls["history"]
    client.send([{"method": "history", "params": {"channel": "rich:news"}}] * 100)
    assert engine.calls["history"] <= calls + 4, "the commands after that are not carried out"
    assert client.close_reason == closed("slow")
    assert client.received() == []
    assert node.metrics.counters.client_num_closed_slow == 1
    assert "slow client, closing connection: 2" in caplog.text


def test_queued_frames_and_replies_count_together_for_the_limit(
    start: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yielding, "TIME_SLICE", math.inf)  # nothing is written meanwhile
    node = start(client_queue_max_size=2_000)
    client = LocalClient.connected(node)
    client.transport.outbox.append(b"x" * 1_500)
    client.send([ping(100)] * 2)
    assert not client.connection.closed
    client.send([ping(100)] * 4)
    assert client.close_reason == closed("slow")
    assert node.metrics.counters.client_num_closed_slow == 1


def test_an_array_of_a_client_that_is_closed_meanwhile_is_not_carried_out(
    client: LocalClient, node: Node, background_greenlet: BackgroundGreenlet, engine: FailingEngine
) -> None:
    client.subscribe("open:news")
    gevent.spawn(client.connection.close)
    before = engine.calls["publish"]
    client.send([{"method": "publish", "params": {"channel": "open:news", "data": number}} for number in range(50)])
    assert engine.calls["publish"] < before + 50


def test_close_frame_to_a_slow_client_is_not_dropped(start: StartNode) -> None:
    """The close frame itself may exceed the limit."""
    client = LocalClient.connected(start())
    client.connection.close(CLOSE_SHUTDOWN)
    client.connection.close_slow()  # in a greenlet of its own, that is after what follows
    for frame in (b"news", b"close frame"):
        client.transport.outbox.append(frame)
    assert client.close_reason == closed("shutting down", reconnect=True)
    assert b"".join(client.transport.socket.sent).endswith(b"newsclose frame")


def test_a_client_that_answers_no_ping_is_closed(client: LocalClient) -> None:
    client.connection.close_silent()
    assert client.close_reason == closed("write ping error", reconnect=True)


def test_a_client_whose_socket_breaks_is_closed(client: LocalClient, node: Node) -> None:
    client.subscribe("news")
    client.transport.socket.broken = True
    node.publish("news", b"1")
    assert client.close_reason == closed("error sending message", reconnect=True)


# -- reload


def test_changed_options_apply_to_the_next_command(client: LocalClient, node: Node) -> None:
    client.subscribe("news")
    node.configure(replace(node.config, publish=True, client_channel_limit=1, secret="new"))
    assert client.call("publish", channel="news", data=1)["body"]["status"]
    assert errors_of(client.call("subscribe", channel="other")) == ("limit exceeded", "fix")
    client.send({"method": "refresh", "params": connect_params("alice", secret=SECRET)})
    assert client.close_reason == closed("invalid token")


def test_namespace_removed_by_a_reload_is_an_error(client: LocalClient, node: Node, engine: FailingEngine) -> None:
    for channel in ("rich:news", "rich:chat"):
        client.subscribe(channel)
    node.configure(replace(node.config, namespaces=()))
    assert errors_of(client.call("publish", channel="rich:news", data=1)) == ("namespace not found", "fix")
    assert errors_of(client.call("unsubscribe", channel="rich:news")) == ("namespace not found", "fix")
    client.connection.close()
    assert (engine.channels(), engine.presence("rich:news"), engine.presence("rich:chat")) == ([], {}, {})


def test_presence_in_a_removed_namespace_is_not_renewed(start: StartNode, engine: FailingEngine) -> None:
    node = start(presence_ping_interval=0.01)
    client = LocalClient.connected(node)
    client.subscribe("present:news")
    node.configure(replace(node.config, namespaces=()))
    before = engine.calls["add_presence"]
    gevent.sleep(0.3)
    assert engine.calls["add_presence"] == before
    assert client.close_reason is None


# -- engines that fail


@pytest.mark.parametrize("call", ["subscribe", "add_presence"])
def test_failed_subscription_closes_the_client_and_is_removed(
    client: LocalClient, node: Node, engine: FailingEngine, call: str
) -> None:
    client.received()
    engine.failing.add(call)
    client.send({"method": "subscribe", "params": {"channel": "rich:news"}})
    assert client.close_reason == closed("internal server error", reconnect=True)
    assert "subscribe" not in [message["method"] for message in client.received()]
    engine.failing.clear()
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})
    assert contents(node.hub, node.flusher) == []


def test_failed_publish_is_an_error_reply(client: LocalClient, engine: FailingEngine) -> None:
    client.subscribe("open:news")
    engine.failing.add("publish")
    reply = client.call("publish", channel="open:news", data=1)
    assert errors_of(reply) == ("internal server error", "retry")
    assert reply["body"] == {"channel": "open:news", "status": False}
    assert client.close_reason is None


@pytest.mark.parametrize("call", ["presence", "history"])
def test_failed_presence_or_history_is_an_error_reply(client: LocalClient, engine: FailingEngine, call: str) -> None:
    client.subscribe("rich:news")
    engine.failing.add(call)
    reply = client.call(call, channel="rich:news")
    assert errors_of(reply) == ("internal server error", "retry")
    assert reply["body"] == {"channel": "rich:news", "data": None}


@pytest.mark.parametrize("call", ["publish_event", "remove_presence", "unsubscribe"])
def test_unsubscribe_succeeds_although_the_engine_fails(
    client: LocalClient, node: Node, engine: FailingEngine, call: str
) -> None:
    engine.failing.add(call)
    client.subscribe("rich:news")
    assert client.call("unsubscribe", channel="rich:news")["body"]["status"]
    client.subscribe("rich:news")
    client.connection.close()
    assert contents(node.hub, node.flusher) == []


# -- engines that take their time


def subscribe_slowly(client: LocalClient, engine: FailingEngine, call: str) -> Any:
    """Begin to subscribe to "rich:news", which waits in the engine; returns the gate that lets it continue."""
    gate = engine.close_gate(call)
    gevent.spawn(client.send, {"uid": "s", "method": "subscribe", "params": {"channel": "rich:news"}})
    eventually(lambda: engine.calls[call])
    return gate


@pytest.mark.parametrize("call", ["subscribe", "add_presence", "history", "publish_event"])
def test_client_closed_during_a_subscribe_has_no_subscription(
    client: LocalClient, node: Node, engine: FailingEngine, call: str
) -> None:
    gate = subscribe_slowly(client, engine, call)
    gevent.spawn(client.connection.close, CLOSE_DISCONNECT)
    settle()
    gate.set()
    eventually(lambda: client.close_reason)
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})
    assert contents(node.hub, node.flusher) == []


@pytest.mark.parametrize("call", ["subscribe", "add_presence", "history", "publish_event"])
def test_unsubscribe_by_the_backend_ends_a_running_subscribe(
    client: LocalClient, node: Node, engine: FailingEngine, call: str
) -> None:
    gate = subscribe_slowly(client, engine, call)
    gevent.spawn(node.unsubscribe_user, "alice", "rich:news")
    settle()
    gate.set()
    eventually(
        lambda: (
            client.received_bytes()[-1:] == [b'{"method":"unsubscribe","body":{"channel":"rich:news","status":true}}']
        )
    )
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})
    assert node.hub.num_channels == 0


def test_subscribe_during_an_unsubscribe_by_the_backend_succeeds(
    client: LocalClient, node: Node, engine: FailingEngine
) -> None:
    client.subscribe("rich:news")
    gate = engine.close_gate("remove_presence")
    gevent.spawn(node.unsubscribe_user, "alice", "rich:news")
    settle()
    gevent.spawn(client.send, {"uid": "s", "method": "subscribe", "params": {"channel": "rich:news"}})
    settle()
    gate.set()
    eventually(lambda: any(message.get("uid") == "s" for message in client.received()))
    node.publish("rich:news", b"1")
    assert [push["method"] for push in client.received()] == ["message"]
    assert list(engine.presence("rich:news")) == [client.uid]


def test_client_that_unsubscribes_during_renewal_is_not_in_presence(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    client.subscribe("present:news")
    gate = engine.close_gate("add_presence")
    eventually(lambda: engine.calls["add_presence"] > 1)
    leaving = gevent.spawn(client.send, {"method": "unsubscribe", "params": {"channel": "present:news"}})
    settle()
    gate.set()
    leaving.join()
    settle()
    assert engine.presence("present:news") == {}


def test_closed_connection_carries_out_no_commands(client: LocalClient, engine: FailingEngine) -> None:
    client.connection.close(CLOSE_DISCONNECT)
    client.received()
    client.send([PING, {"method": "subscribe", "params": {"channel": "rich:news"}}])
    assert client.received() == []
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})


def test_closed_connection_receives_no_unsubscribe(client: LocalClient) -> None:
    client.connection.close(CLOSE_DISCONNECT)
    client.received()
    client.connection.unsubscribe("news")
    assert client.received() == []


def test_client_closed_during_an_unsubscribe_of_a_backend_has_no_subscription(
    client: LocalClient, node: Node, engine: FailingEngine
) -> None:
    for channel in ("rich:news", "rich:chat"):
        client.subscribe(channel)
    client.received()
    gate = engine.close_gate("remove_presence")
    unsubscribing = gevent.spawn(node.unsubscribe_user, "alice", "")
    settle()
    closing = gevent.spawn(client.connection.close, CLOSE_DISCONNECT)
    settle()
    gate.set()
    unsubscribing.join()
    closing.join()
    assert client.close_reason == closed("disconnect")
    assert "unsubscribe" not in [message["method"] for message in client.received()]
    assert (engine.channels(), engine.presence("rich:news"), engine.presence("rich:chat")) == ([], {}, {})
    assert contents(node.hub, node.flusher) == []


def test_client_can_unsubscribe_while_another_channel_is_renewed(start: StartNode, engine: FailingEngine) -> None:
    client = LocalClient.connected(start(presence_ping_interval=0.01))
    for channel in ("present:news", "present:chat"):
        client.subscribe(channel)
    gate = engine.close_gate("add_presence")
    eventually(lambda: engine.calls["add_presence"] > 2)
    leaving = gevent.spawn(client.send, {"method": "unsubscribe", "params": {"channel": "present:chat"}})
    settle()
    gate.set()
    leaving.join()
    settle()
    assert (list(engine.presence("present:news")), engine.presence("present:chat")) == ([client.uid], {})


def test_a_connection_is_closed_once(client: LocalClient, engine: FailingEngine) -> None:
    client.subscribe("rich:news")
    gate = engine.close_gate("unsubscribe")
    closings = [gevent.spawn(client.connection.close, reason) for reason in (CLOSE_DISCONNECT, CLOSE_SHUTDOWN, None)]
    settle()
    gate.set()
    gevent.joinall(closings)
    assert client.close_reason == closed("disconnect")
    assert engine.calls["unsubscribe"] == engine.calls["remove_presence"] == 1


# -- nothing left


def test_closed_client_uses_no_memory(node: Node, engine: FailingEngine) -> None:
    client = LocalClient.connected(node)
    for channel in ("rich:news", "open:news"):
        client.subscribe(channel)
    client.connection.close()
    assert client.transport.closes == []
    assert contents(node.hub, node.flusher) == []
    assert (engine.channels(), engine.presence("rich:news")) == ([], {})


def test_connection_closed_before_connect_uses_no_memory(node: Node) -> None:
    client = LocalClient(node)
    assert node.hub.open == {client.connection}
    client.connection.close()
    assert contents(node.hub, node.flusher) == []


# -- counts


def test_commands_of_clients_are_counted(client: LocalClient, node: Node) -> None:
    client.subscribe("rich:news")
    client.call("publish", channel="rich:news", data=1)
    client.send([PING, PING])
    counters = node.metrics.counters
    assert (counters.client_num_connect, counters.client_num_subscribe, counters.client_num_msg_published) == (1, 1, 1)
    assert counters.client_api_num_requests == node.metrics.client_api.values()["client_api_1_count"] == 4
    assert counters.client_bytes_in > len(json.dumps([PING, PING]))


def test_without_secret_private_channels_are_refused(start: StartNode) -> None:
    """With --insecure there may be no secret, and anyone can create signatures with an empty key."""
    client = LocalClient.connected(start(secret="", insecure=True))
    reply = client.call("subscribe", channel="$room", client=client.uid, sign=sign(client.uid, "$room", secret=""))
    assert reply["error"] == "permission denied"


def test_without_secret_refresh_is_refused(start: StartNode) -> None:
    client = LocalClient.connected(start(secret="", insecure=True))
    client.send({"method": "refresh", "params": connect_params("alice", secret="")})
    assert client.close_reason == closed("invalid token")


def test_token_with_a_shifted_boundary_of_user_and_timestamp_is_refused(start: StartNode) -> None:
    """The parts of a token are joined without a separator, so user 42 could be read as user 4 and a future time."""
    client = LocalClient(start(connection_lifetime=60))
    params = connect_params("42")
    client.send({"method": "connect", "params": params | {"user": "4", "timestamp": f"2{params['timestamp']}"}})
    assert client.close_reason == closed("invalid message")


def test_an_internal_error_closes_the_client_with_the_advice_to_reconnect(
    client: LocalClient, caplog: pytest.LogCaptureFixture
) -> None:
    client.connection.close_broken(ValueError("a defect"))
    assert client.close_reason == {"reason": "internal server error", "reconnect": True}
    (record,) = [record for record in caplog.records if record.exc_info]
    assert client.uid in record.getMessage()
    assert "a defect" in caplog.text


def test_a_client_that_may_have_missed_messages_is_closed_to_recover(client: LocalClient, node: Node) -> None:
    client.subscribe("rich:a")
    node.streams.mark_incomplete("rich:a", only_positioned=False)
    eventually(lambda: client.transport.closes)
    assert client.transport.closes == [(3000, closed("insufficient state", reconnect=True))]
