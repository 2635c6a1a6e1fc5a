"""Behaviour of the commands of protocol version 2 that name a channel: permissions, replies and pushes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from msgspec import Raw

from gentrifugo.app.node import hooks
from gentrifugo.app.node.hooks import Context, Refuse
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import AddSubscription
from gentrifugo.app.protocol.v2 import channel_commands
from gentrifugo.app.protocol.v2.channel_commands import CHANNEL_COMMANDS
from gentrifugo.app.protocol.v2.errors import CodedRefusal
from gentrifugo.app.protocol.v2.messages import PublishRequest
from gentrifugo.app.protocol.v2.token_making import sign_token, subscription_token
from tests.fakes import FailingEngine
from tests.greenlets import eventually
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]


def code(result: dict[str, Any]) -> int:
    """The code of the error."""
    return int(result["error"]["code"])


# -- subscribe


def test_a_subscriber_receives_publications(node: Node, client: LocalClientV2) -> None:
    assert client.subscribe("open:a") == {}
    node.publish("open:a", b'{"b": 1.50}')
    assert client.pushes() == [{"channel": "open:a", "pub": {"data": {"b": 1.5}}}]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"channel": "missing:a"}, 102),
        ({"channel": "closed:a"}, 103),
        ({"channel": "a"}, 103),
        ({"channel": "open:a", "type": 1}, 103),
        ({"channel": "$open:a"}, 103),
        ({"channel": "closed:a#bob"}, 103),
        ({"channel": "open:a#bob"}, 103),
        ({"channel": "open:a&bob"}, 103),
        ({"channel": "open:a", "token": "nonsense"}, 103),
        ({"channel": "open:" + "a" * 255}, 107),
    ],
)
def test_a_subscription_that_is_not_allowed_is_an_error(
    client: LocalClientV2, request_: dict[str, Any], expected: int
) -> None:
    assert code(client.call("subscribe", **request_)) == expected
    assert not client.connection.channels


@pytest.mark.parametrize("channel", ["open:a#bob", "open:R&D", "closed:a#bob&c1", "$closed:a#13"])
def test_a_token_decides_before_the_name_of_the_channel(client: LocalClientV2, channel: str) -> None:
    token = subscription_token(KEY, "alice", channel)
    assert "error" not in client.call("subscribe", channel=channel, token=token)
    assert set(client.connection.channels) == {channel}


def test_data_of_a_token_is_in_the_reply(client: LocalClientV2) -> None:
    token = sign_token(KEY, {"sub": "alice", "channel": "closed:a", "data": {"hello": 1}})
    assert client.subscribe("closed:a", token=token)["data"] == {"hello": 1}


def test_names_contain_no_client_ids_without_a_boundary(start: StartNode) -> None:
    client = LocalClientV2.connected(start(client_channel_boundary=""))
    assert client.subscribe("open:R&D") == {}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log of refused commands, in which every option can appear again."""
    channel_commands._closed_channels.reset()
    caplog.set_level("INFO", channel_commands.log.name)
    return caplog


@pytest.mark.parametrize(
    ("command", "channel", "why"),
    [
        (
            "subscribe",
            "a",
            "may not subscribe to 'a': the request has no subscription token, "
            "and option allow_subscribe_for_client is off for channels without a namespace",
        ),
        (
            "subscribe",
            "closed:a",
            "may not subscribe to 'closed:a': the request has no subscription token, "
            "and option allow_subscribe_for_client is off in namespace closed",
        ),
        (
            "subscribe",
            "a#alice",
            "may not subscribe to 'a#alice': the request has no subscription token, and option "
            "allow_subscribe_for_client is off for channels without a namespace, as is allow_user_limited_channels, "
            "which lets the users in the name of the channel subscribe",
        ),
        (
            "subscribe",
            "$open:a",
            "may not subscribe to '$open:a': the request has no subscription token, "
            "which channels that begin with $ require",
        ),
        (
            "publish",
            "closed:a",
            "may not publish in 'closed:a': it needs option allow_publish_for_client, "
            "or as a subscriber allow_publish_for_subscriber, in namespace closed",
        ),
        (
            "presence",
            "rich:a",
            "may not read the presence of 'rich:a': it needs option allow_presence_for_client, "
            "or as a subscriber allow_presence_for_subscriber, in namespace rich",
        ),
    ],
)
def test_option_that_would_allow_a_command_is_logged(
    client: LocalClientV2, log: pytest.LogCaptureFixture, command: str, channel: str, why: str
) -> None:
    data = {"data": 1} if command == "publish" else {}
    assert code(client.call(command, channel=channel, **data)) == 103
    (line,) = log.messages
    assert line == f"client {client.connection.uid} (user 'alice') {why} (logged once)"


def test_option_is_logged_once_for_each_namespace(client: LocalClientV2, log: pytest.LogCaptureFixture) -> None:
    for channel in ("closed:a", "closed:b", "a", "b", "$a", "$b", "a#alice", "b#alice"):
        client.call("subscribe", channel=channel)
    assert [line.partition("subscribe to ")[2].partition(":")[0] for line in log.messages] == [
        "'closed",
        "'a'",
        "'$a'",
        "'a#alice'",
    ]


def test_missing_option_for_anonymous_users_is_logged(node: Node, log: pytest.LogCaptureFixture) -> None:
    LocalClientV2.connected(node, "").call("subscribe", channel="open:a")
    assert "option allow_subscribe_for_anonymous is off in namespace open" in log.text


def test_the_debug_log_has_every_refused_command(client: LocalClientV2, log: pytest.LogCaptureFixture) -> None:
    log.set_level("DEBUG", channel_commands.log.name)
    for channel in ("closed:a", "closed:b"):
        client.call("subscribe", channel=channel)
    assert [record.levelname for record in log.records] == ["INFO", "DEBUG"]
    assert "'closed:b': the request has no subscription token" in log.messages[1]


def test_a_user_may_subscribe_to_channels_that_name_it(client: LocalClientV2) -> None:
    assert client.subscribe("closed:a#bob,alice") == {}


def test_channel_that_lists_users_is_only_for_them_in_an_open_namespace(client: LocalClientV2) -> None:
    assert client.subscribe("open:a#bob,alice") == {}
    assert code(client.call("subscribe", channel="open:a#bob")) == 103


def test_a_channel_can_be_subscribed_to_once(client: LocalClientV2) -> None:
    client.subscribe("open:a")
    assert code(client.call("subscribe", channel="open:a")) == 105


def test_a_client_cannot_have_more_channels_than_the_limit(start: StartNode) -> None:
    client = LocalClientV2.connected(start(client_channel_limit=1))
    client.subscribe("open:a")
    assert code(client.call("subscribe", channel="open:b")) == 106


def test_anonymous_users_need_an_option_of_their_own(node: Node) -> None:
    anonymous = LocalClientV2.connected(node, "")
    assert code(anonymous.call("subscribe", channel="open:a")) == 103


def test_a_token_lets_a_client_subscribe(node: Node, client: LocalClientV2) -> None:
    assert client.subscribe("$closed:a", token=client.token("$closed:a", info={"role": "host"})) == {}
    assert client.connection.subscriptions.info("$closed:a").channel_info == b'{"role":"host"}'


def test_insecure_mode_opens_all_channels_except_those_of_other_users_and_clients(start: StartNode) -> None:
    client = LocalClientV2(start(insecure=True, token_hmac_secret_key=""))
    assert client.call("connect")["client"] == client.connection.uid
    assert client.subscribe("$closed:a") == {}
    assert client.call("publish", channel="closed:b", data=1) == {}
    assert client.call("history", channel="rich:a", limit=1)["publications"] == []
    assert code(client.call("subscribe", channel="closed:a#bob")) == 103
    assert code(client.call("subscribe", channel="closed:a&other")) == 103


@pytest.mark.parametrize("of", [("bob", "closed:a"), ("alice", "closed:b")])
def test_a_token_of_another_user_or_channel_closes_the_connection(client: LocalClientV2, of: tuple[str, str]) -> None:
    client.send({"id": 2, "subscribe": {"channel": "closed:a", "token": subscription_token(KEY, *of)}})
    assert client.close == (3500, "invalid token")


def test_a_subscription_that_is_not_refreshed_ends(start: StartNode) -> None:
    client = LocalClientV2.connected(start(client_expired_sub_close_delay=0))
    result = client.subscribe("closed:a", token=client.token("closed:a", expires=0.5))
    assert result["expires"] is True
    ended = {"channel": "closed:a", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}
    eventually(lambda: client.pushes() == [ended])
    assert not client.connection.channels


def test_a_subscription_ends_at_its_expiry_also_after_the_clock_was_set_back(
    start: StartNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = LocalClientV2.connected(start(client_expired_sub_close_delay=0))
    client.subscribe("closed:a", token=client.token("closed:a", expires=0.5))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 0.5)
    eventually(lambda: not client.connection.channels)


def test_a_subscription_ends_if_the_clock_is_set_back_while_its_end_waits(
    start: StartNode, engine: FailingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = LocalClientV2.connected(start(client_expired_sub_close_delay=0))
    client.subscribe("closed:a", token=client.token("closed:a", expires=0.3))
    gate = engine.close_gate("unsubscribe")
    command = AddSubscription("alice", channel="open:b")
    client.connection.subscribe_from_server(command)
    waiting = gevent.spawn(client.connection.unsubscribe, "open:b")  # a slow engine: others wait for it
    expires_at = client.connection.subscriptions.channels["closed:a"].expires_at
    gevent.sleep(max(expires_at - time.time(), 0) + 0.2)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 60)
    gate.set()
    waiting.join(timeout=5)
    eventually(lambda: not client.connection.channels)


def test_a_subscription_that_is_renewed_while_its_end_waits_does_not_end(
    start: StartNode, engine: FailingEngine
) -> None:
    client = LocalClientV2.connected(start(client_expired_sub_close_delay=0))
    client.subscribe("closed:a", token=client.token("closed:a", expires=0.3))
    gate = engine.close_gate("subscribe")
    command = AddSubscription("alice", channel="open:b")
    waiting = gevent.spawn(client.connection.subscribe_from_server, command)  # a slow engine: others wait for it
    eventually(lambda: engine.calls["subscribe"] == 2)
    expires_at = client.connection.subscriptions.channels["closed:a"].expires_at
    ending = gevent.spawn_later(0.6, client.connection.end_expired, "closed:a", expires_at)
    gevent.sleep(0.8)
    result = client.call("sub_refresh", channel="closed:a", token=client.token("closed:a", expires=60))
    assert result["expires"] is True
    gate.set()
    waiting.join(timeout=5)
    ending.join(timeout=5)
    assert set(client.connection.channels) == {"closed:a", "open:b"}
    assert [push for push in client.pushes() if "unsubscribe" in push] == []


def test_a_hook_can_refuse_a_subscription(start: StartNode) -> None:
    def on_subscribe(context: Context) -> None:
        if context.channel == "open:b":
            raise Refuse("members only")

    client = LocalClientV2.connected(start(hooks={hooks.SUBSCRIBE: on_subscribe}))
    assert client.subscribe("open:a") == {}
    assert client.call("subscribe", channel="open:b") == {"error": {"code": 103, "message": "members only"}}


def test_a_hook_opens_no_channel_that_the_options_close(start: StartNode) -> None:
    asked: list[str | None] = []
    client = LocalClientV2.connected(start(hooks={hooks.SUBSCRIBE: lambda context: asked.append(context.channel)}))
    assert code(client.call("subscribe", channel="closed:a")) == 103
    assert client.subscribe("closed:a", token=client.token("closed:a")) == {}
    assert asked == ["closed:a", "closed:a"]


def test_an_engine_that_fails_closes_the_connection(client: LocalClientV2, engine: FailingEngine) -> None:
    engine.failing = {"subscribe"}
    client.send({"id": 2, "subscribe": {"channel": "open:a"}})
    assert client.close == (3004, "internal server error")


# -- sub_refresh


def test_sub_refresh_extends_a_subscription(client: LocalClientV2) -> None:
    client.subscribe("closed:a", token=client.token("closed:a", expires=10))
    result = client.call("sub_refresh", channel="closed:a", token=client.token("closed:a", expires=100))
    assert result == {"expires": True, "ttl": pytest.approx(100, abs=2)}


def test_sub_refresh_needs_a_subscription_and_a_token(client: LocalClientV2, caplog: pytest.LogCaptureFixture) -> None:
    assert code(client.call("sub_refresh", channel="open:a", token=client.token("open:a"))) == 103
    client.subscribe("open:a")
    with caplog.at_level("DEBUG"):
        assert code(client.call("sub_refresh", channel="open:a")) == 107
    assert "the request has no token" in caplog.text


# -- unsubscribe


def test_unsubscribed_v2_client_receives_no_messages(node: Node, client: LocalClientV2) -> None:
    client.subscribe("open:a")
    assert client.call("unsubscribe", channel="open:a") == {}
    assert client.call("unsubscribe", channel="open:a") == {}
    node.publish("open:a", b"1")
    assert client.pushes() == []


def test_a_backend_ends_a_subscription_with_a_push(node: Node, client: LocalClientV2) -> None:
    client.subscribe("open:a")
    node.unsubscribe_user("alice", "open:a")
    ended = {"channel": "open:a", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}
    eventually(lambda: client.pushes() == [ended])


# -- join and leave


def test_joins_and_leaves_reach_other_subscribers_and_the_own_join_follows_the_reply(node: Node) -> None:
    first, second = LocalClientV2.connected(node), LocalClientV2.connected(node, "bob")
    first.received()
    first.send({"id": 9, "subscribe": {"channel": "rich:a"}})
    reply, own = first.received()
    assert reply["id"] == 9
    assert own["push"]["join"]["info"] == {"user": "alice", "client": first.connection.uid}
    second.subscribe("rich:a")
    second.call("unsubscribe", channel="rich:a")
    assert [next(iter(push.keys() - {"channel"})) for push in first.pushes()] == ["join", "leave"]
    assert second.pushes() == []


def test_joins_are_sent_only_on_request_unless_forced(start: StartNode) -> None:
    asked = {"join_leave": True, "presence": True, "allow_presence_for_subscriber": True}
    node = start(allow_subscribe_for_client=True, **asked)
    first, second = LocalClientV2.connected(node), LocalClientV2.connected(node)
    first.subscribe("a", join_leave=True)
    second.subscribe("a")
    assert [push["join"]["info"]["client"] for push in first.pushes()] == [second.connection.uid]
    assert second.pushes() == []


# -- publish


def test_a_subscriber_publishes_with_its_info(node: Node) -> None:
    client = LocalClientV2.connected(node, info={"name": "Ann"})
    client.subscribe("open:a")
    assert client.call("publish", channel="open:a", data={"b": 1}) == {}
    info = {"user": "alice", "client": client.connection.uid, "conn_info": {"name": "Ann"}}
    assert client.pushes() == [{"channel": "open:a", "pub": {"data": {"b": 1}, "info": info}}]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"channel": "open:a", "data": 1}, 103),
        ({"channel": "rich:a"}, 107),
        ({"channel": "missing:a", "data": 1}, 102),
    ],
)
def test_a_publish_that_is_not_allowed_is_an_error(
    client: LocalClientV2, request_: dict[str, Any], expected: int
) -> None:
    assert code(client.call("publish", **request_)) == expected


def test_hook_can_change_published_data(start: StartNode) -> None:
    def on_publish(context: Context) -> None:
        context.data = {"checked": context.data}

    client = LocalClientV2.connected(start(hooks={hooks.PUBLISH: on_publish}))
    client.subscribe("open:a")
    client.call("publish", channel="open:a", data=1)
    assert client.pushes()[0]["pub"]["data"] == {"checked": 1}


def test_bytes_that_are_not_json_are_refused_where_a_hook_decides(start: StartNode) -> None:
    """Clients that use Protobuf can send them."""
    client = LocalClientV2.connected(start(hooks={hooks.PUBLISH: lambda context: None}))
    client.subscribe("open:a")
    with pytest.raises(CodedRefusal, match="bad request"):
        CHANNEL_COMMANDS["publish"](client.connection, 5, PublishRequest("open:a", Raw(b"\xff")))


def test_publish_that_the_engine_refuses_is_an_internal_error(client: LocalClientV2, engine: FailingEngine) -> None:
    client.subscribe("open:a")
    engine.failing = {"publish"}
    error = {"code": 100, "message": "internal server error", "temporary": True}
    assert client.call("publish", channel="open:a", data=1) == {"error": error}


# -- presence


def test_presence_returns_the_clients_of_a_channel(node: Node, client: LocalClientV2) -> None:
    LocalClientV2.connected(node).subscribe("rich:a")
    client.subscribe("rich:a")
    present = client.call("presence", channel="rich:a")["presence"]
    assert present[client.connection.uid] == {"user": "alice", "client": client.connection.uid}
    assert client.call("presence_stats", channel="rich:a") == {"num_clients": 2, "num_users": 1}


@pytest.mark.parametrize("method", ["presence", "presence_stats"])
def test_presence_needs_the_option_and_the_permission(client: LocalClientV2, method: str) -> None:
    assert code(client.call(method, channel="open:a")) == 108
    assert code(client.call(method, channel="rich:a")) == 103
    assert code(client.call(method, channel="missing:a")) == 102


# -- history


def test_history_returns_the_position_or_publications(node: Node, client: LocalClientV2) -> None:
    for number in range(3):
        node.publish("rich:a", b"%d" % number)
    position = client.call("history", channel="rich:a")
    assert position == {"publications": [], "epoch": position["epoch"], "offset": 3}
    page = client.call("history", channel="rich:a", limit=2)["publications"]
    assert page == [{"data": 0, "offset": 1, "epoch": position["epoch"]}, {"data": 1, "offset": 2}]
    since = {"offset": 1, "epoch": position["epoch"]}
    later = client.call("history", channel="rich:a", limit=-1, since=since)["publications"]
    assert [publication["offset"] for publication in later] == [2, 3]
    newest = client.call("history", channel="rich:a", limit=1, reverse=True)["publications"]
    assert [publication["offset"] for publication in newest] == [3]


def test_history_returns_no_more_than_the_limit_of_the_server(start: StartNode) -> None:
    node = start(client_history_max_publication_limit=2)
    client = LocalClientV2.connected(node)
    for number in range(3):
        node.publish("rich:a", b"%d" % number)
    assert len(client.call("history", channel="rich:a", limit=-1)["publications"]) == 2


def test_history_needs_the_option_the_permission_and_the_epoch(client: LocalClientV2) -> None:
    assert code(client.call("history", channel="open:a")) == 108
    assert code(client.call("history", channel="cache:a")) == 103
    since = {"offset": 0, "epoch": "another"}
    assert code(client.call("history", channel="rich:a", limit=1, since=since)) == 112
