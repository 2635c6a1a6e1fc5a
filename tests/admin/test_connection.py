"""Behaviour of one admin socket: replies, pushed messages, and reasons for closing it. The transport is a fake."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gentrifugo.admin import connection as connection_module
from gentrifugo.admin.access import Access
from gentrifugo.admin.connection import AdminConnection
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.config.options import options_of
from gentrifugo.app.config.visible_options import MASKED_TEXT
from gentrifugo.app.model.errors import CLOSE_INTERNAL_ERROR, CLOSE_LIMIT_EXCEEDED, CLOSE_PING_ERROR, Closing
from gentrifugo.app.node.node import Node
from tests.app.conftest import VERSION
from tests.fakes import FakeTransport
from tests.greenlets import eventually, settle
from tests.local_client import LocalClient

OPTIONS = {"admin_password": "open sesame", "admin_secret": "admin secret", "watch": True}


class Operator:
    """An admin connection on a fake transport."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.access = Access(lambda: node.config)
        self.admitted: list[AdminConnection] = []
        self.transport = FakeTransport(node.flusher, node.config.client_queue_max_size)
        self.connection = AdminConnection(node, self.access, self.transport, self.admitted.append)
        self.transport.on_overflow = self.connection.close_slow
        self.transport.on_error = self.connection.close_failed
        self._seen = 0

    def send(self, message: Any) -> list[Any]:
        """Send one frame, and return the messages since the last one."""
        self.connection.handle(message if isinstance(message, bytes) else json.dumps(message).encode())
        return self.received()

    def received(self) -> list[Any]:
        settle()
        messages = self.transport.messages()
        new, self._seen = messages[self._seen :], len(messages)
        return [json.loads(message) for message in new]

    def connect(self, **params: Any) -> Operator:
        token = self.access.log_in("", "open sesame")
        (reply,) = self.send({"method": "connect", "params": {"token": token, **params}})
        assert reply == [{"method": "connect", "error": None, "body": True}]
        return self

    def closed(self) -> Any:
        """Wait until the server closes the connection, and return the reason."""
        return eventually(lambda: self.close_reason)

    @property
    def close_reason(self) -> Any:
        settle()
        return self.transport.closes[0][1] if self.transport.closes else None


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(**OPTIONS, namespaces=(Namespace(name="quiet"),))


@pytest.fixture
def operator(node: Node) -> Operator:
    return Operator(node)


class TestCommands:
    def test_a_command_is_answered_with_an_array_and_its_uid(self, operator: Operator) -> None:
        operator.connect()
        assert operator.send({"uid": "7", "method": "ping", "params": {}}) == [
            [{"uid": "7", "method": "ping", "error": None, "body": "pong"}]
        ]

    def test_an_array_is_answered_with_one_array_in_order(self, operator: Operator) -> None:
        operator.connect()
        (replies,) = operator.send([{"method": "channels", "params": {}}, {"method": "ping"}])
        assert replies == [
            {"method": "channels", "error": None, "body": {"data": []}},
            {"method": "ping", "error": None, "body": "pong"},
        ]

    def test_api_commands_have_the_results_of_the_http_api(self, operator: Operator) -> None:
        operator.connect()
        alice = LocalClient.connected(operator.node)
        alice.subscribe("news")
        alice.received()
        (reply,) = operator.send({"method": "publish", "params": {"channel": "news", "data": {"n": 1}}})
        assert reply == [{"method": "publish", "error": None, "body": None}]
        assert [push["body"]["data"] for push in alice.received()] == [{"n": 1}]

    def test_an_error_of_the_api_is_a_reply(self, operator: Operator) -> None:
        operator.connect()
        (reply,) = operator.send({"method": "presence", "params": {"channel": "news"}})
        assert reply[0]["error"] == "not available"

    def test_an_error_of_a_question_is_not_logged_as_one_of_a_backend(
        self, operator: Operator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The interface asks for presence and history of each channel that is opened, and shows what there is."""
        caplog.set_level("INFO")
        operator.connect()
        for method in ("presence", "history", "stream"):
            (reply,) = operator.send({"method": method, "params": {"channel": "news"}})
            assert reply[0]["error"] == "not available"
        assert "refused a command" not in caplog.text

    def test_info_contains_version_engine_and_configuration(self, operator: Operator) -> None:
        operator.connect()
        ((reply,),) = operator.send({"method": "info", "params": {}})
        data = reply["body"]["data"]
        assert (data["version"], data["engine"]) == (VERSION, "memory")
        config = data["config"]
        assert config["name"] == "test"
        assert config["namespaces"][0]["name"] == "quiet"
        assert config["channel_options"]["watch"] is True
        assert set(config) == {option.name for option in options_of(Config)} | {"channel_options"}

    def test_info_shows_no_secret(self, start_node: Callable[..., Node]) -> None:
        secrets = [option.name for option in options_of(Config) if option.facts.secret]
        options = dict.fromkeys(secrets, "hush hush") | {"admin_password": "open sesame"}
        operator = Operator(start_node(**options)).connect()
        ((reply,),) = operator.send({"method": "info"})
        assert "hush hush" not in json.dumps(reply)
        assert "open sesame" not in json.dumps(reply)
        assert {reply["body"]["data"]["config"][name] for name in secrets} == {MASKED_TEXT}

    def test_nodes_report_current_counters(self, operator: Operator) -> None:
        operator.connect()
        operator.send({"method": "publish", "params": {"channel": "news", "data": 1}})
        ((reply,),) = operator.send({"method": "nodes"})
        (node,) = reply["body"]["data"]
        assert node["name"] == "test"
        assert node["metrics"]["node_num_client_msg_published"] == 1

    def test_connections_of_a_user_are_listed_with_channels(self, operator: Operator) -> None:
        operator.connect()
        alice = LocalClient.connected(operator.node, "alice")
        alice.subscribe("news")
        LocalClient.connected(operator.node, "bob")
        ((reply,),) = operator.send({"method": "connections", "params": {"user": "alice"}})
        connection = {"client": alice.uid, "user": "alice", "node": "test", "channels": ["news"]}
        (found,) = reply["body"]["data"]
        assert -0.1 <= time.time() - found.pop("since") < 60
        assert 0 <= found.pop("idle") < 60
        shown = {"protocol": "v1", "library": "", "transport": "websocket", "address": ""}
        assert found == {**connection, **shown}

    def test_subscribers_are_counted_by_channel(self, operator: Operator) -> None:
        operator.connect()
        for user, channels in {"alice": ["news", "sport"], "bob": ["news"]}.items():
            client = LocalClient.connected(operator.node, user)
            for channel in channels:
                client.subscribe(channel)
        ((reply,),) = operator.send({"method": "subscribers", "params": {}})
        assert reply["body"]["data"] == {"news": 2, "sport": 1}
        ((reply,),) = operator.send({"method": "subscribers", "params": {"channel": "po"}})
        assert reply["body"]["data"] == {"sport": 1}


class TestWatching:
    def publish(self, operator: Operator, *channels: str) -> list[Any]:
        for channel in channels:
            operator.node.publish(channel, b'{"n": 1e3}', uid="u1")
        return operator.received()

    def test_messages_of_watched_channels_are_pushed_as_objects(self, operator: Operator) -> None:
        operator.connect(watch=True)
        body = {"uid": "u1", "channel": "news", "data": {"n": 1000.0}}
        assert self.publish(operator, "news") == [{"method": "message", "error": None, "body": body}]

    def test_data_is_shown_as_it_was_published(self, operator: Operator) -> None:
        operator.connect(watch=True)
        self.publish(operator, "news")
        assert b'"data":{"n": 1e3}' in operator.transport.messages()[-1]

    def test_messages_of_other_channels_are_not_shown(self, operator: Operator) -> None:
        operator.connect(watch=True)
        assert self.publish(operator, "quiet:news") == []

    def test_messages_are_not_pushed_to_operators_that_do_not_watch(self, operator: Operator) -> None:
        operator.connect()
        assert self.publish(operator, "news") == []
        assert operator.send({"method": "ping"}), "replies still come"

    def test_second_connect_can_stop_watching(self, operator: Operator) -> None:
        operator.connect(watch=True).connect()
        assert self.publish(operator, "news") == []

    def test_messages_of_clients_contain_the_publisher(self, start_node: Callable[..., Node]) -> None:
        operator = Operator(start_node(**OPTIONS, publish=True)).connect(watch=True)
        alice = LocalClient.connected(operator.node, "alice")
        alice.subscribe("news")
        alice.call("publish", channel="news", data="hello")
        ((push),) = operator.received()
        assert push["body"]["info"]["user"] == "alice"

    def test_excess_messages_are_dropped_and_counted(self, operator: Operator) -> None:
        operator.connect(watch=True, batch=True)
        for number in range(1000):
            operator.node.publish("news", b"%d" % number)
        eventually(lambda: any(b'"missed"' in message for message in operator.transport.messages()))
        shown = [push for batch in operator.received() for push in batch]
        messages = [push["body"]["data"] for push in shown if push["method"] == "message"]
        missed = sum(push["body"] for push in shown if push["method"] == "missed")
        assert messages == list(range(100))
        assert len(messages) + missed == 1000

    def test_messages_are_dropped_for_an_operator_that_does_not_read(
        self, operator: Operator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        operator.connect(watch=True, batch=True)
        monkeypatch.setattr(connection_module, "MAX_WAITING_BYTES", -1)
        assert self.publish(operator, "news") == []
        monkeypatch.undo()
        operator.connection.show([], 0)
        assert operator.received() == [[{"method": "missed", "error": None, "body": 1}]]

    def test_messages_are_not_pushed_to_a_closed_connection(self, operator: Operator) -> None:
        operator.connect(watch=True)
        operator.connection.close()
        assert not operator.node.cluster.watched.wanted
        assert self.publish(operator, "news") == []


class TestEnds:
    @pytest.mark.parametrize("token", [None, "", "insecure", "x.y.z"])
    def test_connection_with_invalid_token_is_closed(self, operator: Operator, token: str | None) -> None:
        assert operator.send({"method": "connect", "params": {"token": token}}) == []
        assert operator.close_reason == {"reason": "unauthorized", "reconnect": False}

    @pytest.mark.parametrize("method", ["ping", "info", "publish", "nodes", "nonsense", ""])
    def test_command_before_connect_closes_the_connection(self, operator: Operator, method: str) -> None:
        assert operator.send({"method": method, "params": {"channel": "news", "data": 1}}) == []
        assert operator.close_reason == {"reason": "unauthorized", "reconnect": False}

    @pytest.mark.parametrize(
        ("message", "reason"),
        [
            (b"", "invalid message"),
            (b"{", "invalid message"),
            (b"\xff", "invalid message"),
            (b"[" * 100_000, "invalid message"),
            (b'{"method":"connect"}', "invalid message"),
            (b'{"method":"publish","params":{"channel":""}}', "invalid message"),
            (b'{"method":"nonsense","params":{}}', "method not found"),
        ],
    )
    def test_invalid_command_closes_the_connection(self, operator: Operator, message: bytes, reason: str) -> None:
        operator.connect()
        assert operator.send(message) == []
        assert operator.close_reason == {"reason": reason, "reconnect": False}

    def test_connection_without_connect_command_is_closed(self, start_node: Callable[..., Node]) -> None:
        operator = Operator(start_node(**OPTIONS, stale_connection_close_delay=0.05))
        assert eventually(lambda: operator.close_reason) == {"reason": "stale", "reconnect": False}

    def test_connection_without_connect_command_is_closed_also_without_stale_delay(
        self, start_node: Callable[..., Node], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "AUTHENTICATION_TIME", 0.05)
        for delay in (0, 3600):
            operator = Operator(start_node(**OPTIONS, stale_connection_close_delay=delay))
            assert eventually(lambda: operator.close_reason) == {"reason": "stale", "reconnect": False}  # noqa: B023

    def test_only_a_valid_token_is_admitted(self, node: Node) -> None:
        operator, stranger = Operator(node).connect(), Operator(node)
        stranger.send({"method": "connect", "params": {"token": "wrong"}})
        assert (operator.admitted, stranger.admitted) == ([operator.connection], [])

    def test_connection_over_the_limit_gets_an_error_and_cannot_send_commands(self, node: Node) -> None:
        def refuse(connection: AdminConnection) -> None:
            raise Closing(CLOSE_LIMIT_EXCEEDED)

        operator = Operator(node)
        operator.connection._admit = refuse
        operator.send({"method": "connect", "params": {"token": operator.access.log_in("", "open sesame")}})
        assert operator.close_reason == {"reason": "limit exceeded", "reconnect": False}
        assert not operator.connection.authenticated

    @pytest.mark.parametrize("message", [b"\xff", b"{", b'{"method":"connect"}'])
    def test_garbage_is_logged_at_level_debug_only(
        self, operator: Operator, message: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG", logger="gentrifugo.admin.connection")
        operator.send(message)
        assert operator.close_reason == {"reason": "invalid message", "reconnect": False}
        assert {record.levelname for record in caplog.records if record.name.startswith("gentrifugo.admin")} == {
            "DEBUG"
        }

    def test_expired_token_closes_the_connection(self, start_node: Callable[..., Node]) -> None:
        operator = Operator(start_node(**OPTIONS, admin_token_lifetime=1.05)).connect()
        assert eventually(lambda: operator.close_reason) == {"reason": "expired", "reconnect": True}

    def test_failed_transport_closes_the_connection_without_reason(self, operator: Operator) -> None:
        operator.connect(watch=True)
        operator.connection.close_failed("connection reset")
        assert operator.transport.closes == []
        assert not operator.node.cluster.watched.wanted

    def test_internal_error_closes_the_connection_with_reconnect(
        self, operator: Operator, caplog: pytest.LogCaptureFixture
    ) -> None:
        operator.connect()
        operator.connection.close_broken(ValueError("a bug"))
        assert operator.close_reason == {"reason": CLOSE_INTERNAL_ERROR.reason, "reconnect": True}
        assert "ValueError: a bug" in caplog.text

    def test_connection_without_pong_is_closed(self, operator: Operator) -> None:
        operator.connect()
        operator.connection.close_silent()
        assert operator.close_reason == {"reason": CLOSE_PING_ERROR.reason, "reconnect": True}

    def test_closed_connection_is_not_closed_again_as_slow(self, operator: Operator) -> None:
        operator.connect()
        operator.connection.close_slow()
        operator.connection.close_silent()
        settle()
        assert len(operator.transport.closes) == 1

    def test_connection_with_full_queue_is_closed(self, start_node: Callable[..., Node]) -> None:
        node = start_node(**OPTIONS, client_queue_max_size=200)
        operators = [Operator(node).connect(watch=True) for _ in range(2)]
        node.publish("news", b'"' + b"x" * 300 + b'"')
        for operator in operators:
            assert operator.closed() == {"reason": "slow", "reconnect": False}
        assert not node.cluster.watched.wanted

    def test_connection_with_too_many_replies_is_closed(self, start_node: Callable[..., Node]) -> None:
        operator = Operator(start_node(**OPTIONS, client_queue_max_size=5000)).connect()
        assert operator.send([{"method": "node"}] * 100) == []
        assert operator.close_reason == {"reason": "slow", "reconnect": False}

    def test_with_insecure_admin_no_connect_is_needed(self, start_node: Callable[..., Node]) -> None:
        operator = Operator(start_node(insecure_admin=True))
        assert operator.send({"method": "ping"}) == [[{"method": "ping", "error": None, "body": "pong"}]]


def test_whole_seconds_are_shown_without_a_fraction(start_node: Callable[..., Node]) -> None:
    operator = Operator(start_node(**OPTIONS, ping_interval=25.0, client_write_delay=0.5)).connect()
    ((reply,),) = operator.send({"method": "info", "params": {}})
    config = json.dumps(reply["body"]["data"]["config"])
    assert '"ping_interval": 25,' in config
    assert '"client_write_delay": 0.5' in config
