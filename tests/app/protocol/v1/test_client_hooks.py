"""Decisions of hooks about the connection of a client, and the events that they receive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event as Gate

from gentrifugo.app.model.errors import CLOSE_DISCONNECT
from gentrifugo.app.model.events import Publication
from gentrifugo.app.node import hooks
from gentrifugo.app.node.hooks import Context, Refuse
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.proxy_events import CONNECT_PROXY, AllowedConnection
from gentrifugo.app.protocol.v1.wire import encode_publication
from gentrifugo.engines.base import HistoryOptions, PublishConditions
from gentrifugo.engines.memory import MemoryEngine
from tests.app.conftest import VERSION, config
from tests.credentials import connect_params
from tests.greenlets import eventually, nothing_left_behind
from tests.local_client import LocalClient, closed

__all__ = ["nothing_left_behind"]

Hook = Callable[[Context], object]
Start = Callable[..., Node]


@pytest.fixture
def start(nothing_left_behind: None) -> Any:
    """Start a node with hooks: `start({event: hook}, option=value)`."""
    nodes: list[Node] = []

    def made(added: dict[str, Hook], engine: MemoryEngine | None = None, **options: Any) -> Node:
        settings = {"publish": True, "presence": True, "history_size": 5, "history_lifetime": 60, **options}
        node = Node(config(**settings), engine or MemoryEngine(), VERSION, encode_publication)
        for event, hook in added.items():
            node.hooks.add(event, hook)
        node.start()
        nodes.append(node)
        return node

    yield made
    for node in nodes:
        node.close_connections()
        node.stop()


class KeepingEngine(MemoryEngine):
    """An engine that records the publications before its stop."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[Publication] = []
        self.stopped = False

    def may_have_subscribers(self, channel: str) -> bool:
        return True

    def publish(
        self, publication: Publication, history: HistoryOptions | None, once: PublishConditions | None = None
    ) -> None:
        assert not self.stopped
        self.published.append(publication)

    def stop(self) -> None:
        self.stopped = True
        super().stop()


class Recorder:
    """A hook that records the contexts of its calls."""

    def __init__(self) -> None:
        self.seen: list[Context] = []

    def __call__(self, context: Context) -> None:
        self.seen.append(context)


def identified(context: Context) -> None:
    context.user, context.info = 42, {"name": "Ann"}


class TestConnect:
    def test_connect_hook_sets_the_user_of_a_client_without_token(self, start: Start) -> None:
        client = LocalClient(start({hooks.CONNECT: identified}))
        assert "error" not in client.call("connect")
        assert (client.connection.user, client.connection.default_info) == ("42", b'{"name":"Ann"}')

    def test_connect_hook_can_change_the_user_of_a_token(self, start: Start) -> None:
        hook = Recorder()
        client = LocalClient.connected(start({hooks.CONNECT: hook}), "7", '{"a": 1}')
        (context,) = hook.seen
        assert (context.user, context.info, context.client) == ("7", {"a": 1}, client.uid)
        assert client.connection.user == "7"
        other = LocalClient.connected(start({hooks.CONNECT: identified}), "7", '{"a": 1}')
        assert (other.connection.user, other.connection.default_info) == ("42", b'{"name":"Ann"}')

    def test_signed_info_is_kept_byte_for_byte(self, start: Start) -> None:
        client = LocalClient.connected(start({hooks.CONNECT: Recorder()}), "7", '{"a": 1.50}')
        assert client.connection.default_info == b'{"a": 1.50}'

    def test_unsigned_credentials_are_not_passed_to_the_connect_hook(self, start: Start) -> None:
        hook = Recorder()
        client = LocalClient(start({hooks.CONNECT: hook}))
        client.send({"method": "connect", "params": {"user": "root", "info": '{"admin": true}'}})
        assert client.close_reason == closed("invalid token")
        assert (hook.seen[0].user, hook.seen[0].info) == (None, None)

    def test_wrong_token_is_refused_before_the_connect_hook(self, start: Start) -> None:
        hook = Recorder()
        client = LocalClient(start({hooks.CONNECT: hook}))
        client.send({"method": "connect", "params": {**connect_params("42"), "token": "0" * 64}})
        assert client.close_reason == closed("invalid token")
        assert hook.seen == []

    def test_connect_hook_can_accept_anonymous_users(self, start: Start) -> None:
        def visitor(context: Context) -> None:
            context.user = ""

        client = LocalClient(start({hooks.CONNECT: visitor}))
        assert "error" not in client.call("connect")

    @pytest.mark.parametrize(
        ("hook", "reason"),
        [
            (lambda context: False, closed("permission denied")),
            (Refuse("not today"), closed("not today")),
            (Refuse("é" * 500), closed("é" * 14)),
            (Refuse({"code": 7}), closed("{'code': 7}")),
            (Refuse("half \ud800"), closed("half \ufffd")),
            (ValueError("secret"), closed("internal server error", reconnect=True)),
        ],
        ids=["False", "reason", "long reason", "no text", "half a pair", "exception"],
    )
    def test_connect_hook_can_refuse_a_client(self, start: Start, hook: Hook | Exception, reason: object) -> None:
        def raising(context: Context) -> None:
            assert isinstance(hook, Exception)
            raise hook

        client = LocalClient(start({hooks.CONNECT: raising if isinstance(hook, Exception) else hook}))
        client.send({"method": "connect", "params": {}})
        assert client.close_reason == reason

    def test_connection_limit_applies_to_the_user_set_by_the_connect_hook(self, start: Start) -> None:
        node = start({hooks.CONNECT: identified}, user_connection_limit=1)
        LocalClient(node).call("connect")
        second = LocalClient(node)
        second.send({"method": "connect", "params": {}})
        assert second.close_reason == closed("limit exceeded")

    def test_lifetime_of_credentials_begins_at_connect(self, start: Start) -> None:
        node = start({hooks.CONNECT: identified}, connection_lifetime=60)
        assert LocalClient(node).call("connect")["body"]["ttl"] == 60

    def test_connect_hook_is_called_with_insecure(self, start: Start) -> None:
        node = start({hooks.CONNECT: identified}, insecure=True)
        client = LocalClient(node)
        client.call("connect", user="7")
        assert client.connection.user == "42"

    def test_client_closed_during_the_connect_hook_is_not_connected(self, start: Start) -> None:
        gate = Gate()
        node = start({hooks.CONNECT: lambda context: gate.wait()})
        client = LocalClient(node)
        waiting = gevent.spawn(client.send, {"method": "connect", "params": connect_params("42")})
        gevent.sleep(0)
        client.connection.close()
        gate.set()
        waiting.join()
        assert node.hub.num_connections == 0
        assert client.received() == []


class TestSubscribe:
    def test_subscribe_hook_is_called_after_all_other_checks(self, start: Start) -> None:
        hook = Recorder()
        client = LocalClient.connected(start({hooks.SUBSCRIBE: hook}), "42", '{"a": 1}')
        client.call("subscribe", channel="what:ever")
        client.call("subscribe", channel="$private")
        client.call("subscribe", channel="dialog#7")
        assert hook.seen == []
        client.subscribe("news")
        (context,) = hook.seen
        assert (context.user, context.client, context.channel, context.info) == ("42", client.uid, "news", {"a": 1})

    def test_subscribe_hook_can_refuse_a_subscription(self, start: Start) -> None:
        def hook(context: Context) -> None:
            if context.channel != "news":
                raise Refuse("members only")

        client = LocalClient.connected(start({hooks.SUBSCRIBE: hook}))
        client.subscribe("news")
        reply = client.call("subscribe", channel="board")
        assert (reply["error"], reply["advice"], reply["body"]["status"]) == ("members only", "fix", False)
        assert list(client.connection.channels) == ["news"]

    @pytest.mark.parametrize(("reason", "error"), [({"code": 7}, "{'code': 7}"), ("\ud800", "\ufffd")], ids=repr)
    def test_reason_of_a_refusal_is_sent_as_text(self, start: Start, reason: object, error: str) -> None:
        def hook(context: Context) -> None:
            raise Refuse(reason)

        client = LocalClient.connected(start({hooks.SUBSCRIBE: hook}))
        assert client.call("subscribe", channel="news")["error"] == error

    def test_subscribe_hook_can_unsubscribe_its_own_client(self, start: Start) -> None:
        def only_one(context: Context) -> None:
            node.unsubscribe_user(str(context.user), "")

        node = start({hooks.SUBSCRIBE: only_one})
        client = LocalClient.connected(node)
        client.subscribe("one")
        client.received()
        client.send({"uid": "1", "method": "subscribe", "params": {"channel": "two"}})
        assert [message["method"] for message in client.received()] == ["unsubscribe", "subscribe"]
        assert list(client.connection.channels) == ["two"]

    def test_subscribe_hook_can_disconnect_its_own_client(self, start: Start) -> None:
        node: Node = start({hooks.SUBSCRIBE: lambda context: node.disconnect_user("alice")})
        client = LocalClient.connected(node)
        client.received()
        client.send({"method": "subscribe", "params": {"channel": "news"}})
        assert client.close_reason == closed("disconnect")
        assert client.received() == []
        assert not node.hub.has_subscribers("news")

    def test_waiting_subscribe_hook_does_not_block_other_clients(self, start: Start) -> None:
        gate = Gate()
        node = start({hooks.SUBSCRIBE: lambda context: context.user != "slow" or gate.wait()})
        slow, other = LocalClient.connected(node, "slow"), LocalClient.connected(node, "quick")
        waiting = gevent.spawn(slow.call, "subscribe", channel="news")
        gevent.sleep(0)
        other.subscribe("news")
        gate.set()
        assert waiting.get()["body"]["status"]


class TestPublish:
    def test_publish_hook_can_replace_the_data(self, start: Start) -> None:
        def shout(context: Context) -> None:
            context.data = {"text": context.data["text"].upper(), "by": context.user}

        client = LocalClient.connected(start({hooks.PUBLISH: shout}))
        client.subscribe("news")
        client.received()
        client.send({"method": "publish", "params": {"channel": "news", "data": {"text": "hello"}}})
        push, reply = client.received()
        assert push["body"]["data"] == {"text": "HELLO", "by": "alice"}
        assert reply["body"]["status"]

    def test_publish_hook_can_refuse_a_publication(self, start: Start) -> None:
        client = LocalClient.connected(start({hooks.PUBLISH: lambda context: False}))
        client.subscribe("news")
        reply = client.call("publish", channel="news", data=1)
        assert (reply["error"], reply["body"]["status"]) == ("permission denied", False)

    def test_publish_hook_is_called_only_for_permitted_publications(self, start: Start) -> None:
        hook = Recorder()
        client = LocalClient.connected(start({hooks.PUBLISH: hook}))
        client.call("publish", channel="news", data=1)
        assert hook.seen == []

    def test_ended_subscription_does_not_publish(self, start: Start) -> None:
        node: Node = start({hooks.PUBLISH: lambda context: node.unsubscribe_user("alice", "news")})
        client = LocalClient.connected(node)
        client.subscribe("news")
        assert client.call("publish", channel="news", data=1)["error"] == "permission denied"

    @pytest.mark.parametrize(
        "data", ["123456789012345678901234567890", '"\\ud800"', '{"\\ud800": ["\\udc00"]}', "null"]
    )
    def test_hook_receives_all_json_values(self, start: Start, data: str) -> None:
        client = LocalClient.connected(start({hooks.PUBLISH: lambda context: None}))
        client.subscribe("news")
        client.received()
        client.send('{"method":"publish","params":{"channel":"news","data":' + data + "}}")
        assert client.received()[-1]["body"]["status"]

    @pytest.mark.parametrize("data", ["1e3", "1.50", '"\\ud800"', '{"a":1, "a":2}', "[" * 150 + "]" * 150])
    def test_unchanged_data_is_relayed_byte_for_byte(self, start: Start, data: str) -> None:
        node = start({hooks.PUBLISH: lambda context: None})
        client = LocalClient.connected(node)
        client.subscribe("news")
        client.received()
        client.send('{"method":"publish","params":{"channel":"news","data":' + data + "}}")
        assert [publication.data.decode() for publication in node.history("news")] == [data]

    @pytest.mark.parametrize("data", ["1e400", "1" * 5000, '"\\ud800"', "[" * 500 + "]" * 500], ids=len)
    def test_any_json_reaches_the_hook_and_is_published_unchanged(self, start: Start, data: str) -> None:
        seen: list[object] = []
        node = start({hooks.PUBLISH: lambda context: seen.append(context.data)})
        client = LocalClient.connected(node, info=data)
        client.subscribe("news")
        client.send('{"method":"publish","params":{"channel":"news","data":' + data + "}}")
        assert [publication.data.decode() for publication in node.history("news")] == [data]
        assert len(seen) == 1


class TestRefresh:
    def test_refresh_hook_decides_about_a_client_without_token(self, start: Start) -> None:
        def hook(context: Context) -> None:
            assert (context.user, context.info) == ("42", {"name": "Ann"})
            context.info = {"name": "Bob"}

        node = start({hooks.CONNECT: identified, hooks.REFRESH: hook}, connection_lifetime=60)
        client = LocalClient(node)
        client.call("connect")
        assert client.call("refresh")["body"]["ttl"] == 60
        assert client.connection.default_info == b'{"name":"Bob"}'

    def test_refresh_hook_can_refuse_a_valid_token(self, start: Start) -> None:
        node = start({hooks.REFRESH: lambda context: False}, connection_lifetime=60)
        client = LocalClient.connected(node)
        client.send({"method": "refresh", "params": connect_params("alice")})
        assert client.close_reason == closed("permission denied")

    @pytest.mark.parametrize(("named", "is_closed"), [("alice", False), ("42", False), ("bob", True)])
    def test_refresh_requires_a_token_of_the_same_user_or_the_first_token(
        self, start: Start, named: str, is_closed: bool
    ) -> None:
        client = LocalClient.connected(start({hooks.CONNECT: identified}, connection_lifetime=60), "alice")
        assert client.connection.user == "42"
        client.send({"method": "refresh", "params": connect_params(named)})
        assert client.close_reason == (closed("invalid token") if is_closed else None)

    def test_client_without_token_may_refresh_with_a_token_of_the_same_user(self, start: Start) -> None:
        client = LocalClient(start({hooks.CONNECT: identified}, connection_lifetime=60))
        client.call("connect")
        assert client.call("refresh", **connect_params("42"))["body"]["ttl"] == 60
        client.send({"method": "refresh", "params": connect_params("")})
        assert client.close_reason == closed("invalid token")


class TestDisconnect:
    @pytest.mark.parametrize(("disconnect", "reason"), [(None, ""), (CLOSE_DISCONNECT, "disconnect")])
    def test_disconnect_hook_gets_user_and_reason(self, start: Start, disconnect: Any, reason: str) -> None:
        hook = Recorder()
        client = LocalClient.connected(start({hooks.DISCONNECT: hook}), "42", '{"a": 1}')
        client.connection.close(disconnect)
        eventually(lambda: hook.seen)
        (context,) = hook.seen
        assert (context.user, context.client, context.reason, context.info) == ("42", client.uid, reason, {"a": 1})

    def test_disconnect_hook_is_not_called_for_unauthenticated_connections(self, start: Start) -> None:
        hook = Recorder()
        LocalClient(start({hooks.DISCONNECT: hook})).connection.close()
        gevent.sleep(0)
        assert hook.seen == []

    def test_disconnect_hook_is_called_for_all_clients_at_shutdown(self, start: Start) -> None:
        hook = Recorder()
        node = start({hooks.DISCONNECT: hook})
        for number in range(50):
            LocalClient.connected(node, str(number))
        node.close_connections()
        node.stop()
        assert {context.user for context in hook.seen} == {str(number) for number in range(50)}

    def test_disconnect_hook_can_publish_at_shutdown(self, start: Start) -> None:
        told: list[str] = []

        def hook(context: Context) -> None:
            gevent.sleep(0.02)
            node.publish("news", b"1")
            told.append(engine.published[-1].channel)

        engine = KeepingEngine()
        node = start({hooks.DISCONNECT: hook}, engine=engine)
        LocalClient.connected(node)
        node.close_connections()
        assert node.has_pending_notifications
        node.stop()
        assert (told, node.has_pending_notifications) == (["news"], False)


class TestOccupancy:
    def test_occupancy_hooks_enable_occupancy_events(self, start: Start) -> None:
        gate = Gate()
        node = start({hooks.OCCUPIED: lambda context: gate.wait()})
        LocalClient.connected(node).subscribe("news")
        assert node.has_pending_notifications
        gate.set()
        eventually(lambda: not node.has_pending_notifications)

    def test_occupied_and_vacated_hooks_are_called(self, start: Start) -> None:
        occupied, vacated = Recorder(), Recorder()
        node = start({hooks.OCCUPIED: occupied, hooks.VACATED: vacated})
        one, other = LocalClient.connected(node), LocalClient.connected(node)
        for client in (one, other):
            client.subscribe("news")
        one.call("unsubscribe", channel="news")
        assert [context.channel for context in occupied.seen] == ["news"]
        assert vacated.seen == []
        other.connection.close()
        eventually(lambda: [context.channel for context in vacated.seen] == ["news"])

    def test_channel_vacated_is_notified_without_a_hook_for_channel_occupied(self, start: Start) -> None:
        vacated = Recorder()
        client = LocalClient.connected(start({hooks.VACATED: vacated}))
        client.subscribe("news")
        client.call("unsubscribe", channel="news")
        eventually(lambda: [context.channel for context in vacated.seen] == ["news"])


def test_client_that_disconnects_during_a_backend_request_is_not_connected(start: Start) -> None:
    def allow(context: Context) -> AllowedConnection:
        client.connection.close()
        return AllowedConnection("42")

    node = start({CONNECT_PROXY: allow})
    client = LocalClient(node)
    client.send({"uid": "1", "method": "connect", "params": {}})
    assert not client.connection.authenticated
    assert client.received() == []


def test_a_backend_names_the_user_before_hooks_decide(start: Start) -> None:
    known: list[Any] = []

    def learn(context: Context) -> None:
        known.append((context.user, context.info))

    client = LocalClient(start({CONNECT_PROXY: lambda context: AllowedConnection("42", b"[1]"), hooks.CONNECT: learn}))
    assert "error" not in client.call("connect")
    assert known == [("42", [1])]
