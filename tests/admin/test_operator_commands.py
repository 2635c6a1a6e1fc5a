"""Behaviour of the commands of operators that v1 does not have, on two nodes with one engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gentrifugo.admin.operator_commands import answer_operator, different_options, merge_lists
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.node.commands import PublishOptions
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.questions import MAX_RANKED, ListAnswer, ListItem
from gentrifugo.app.protocol.v1 import wire
from tests.app.conftest import VERSION
from tests.fakes import Bus
from tests.greenlets import eventually
from tests.local_client import LocalClient

NAMESPACES = (Namespace(name="kept", history_size=3, history_lifetime=60), Namespace(name="plain"))


@pytest.fixture
def nodes(start_node: Callable[..., Node]) -> tuple[Node, Node]:
    bus = Bus()
    first, second = (
        start_node(bus.engine(), name=name, namespaces=NAMESPACES, node_ping_interval=0.2)
        for name in ("first", "second")
    )
    eventually(lambda: first.cluster.registry.peers and second.cluster.registry.peers)
    return first, second


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(namespaces=NAMESPACES)


def reply(node: Node, method: str, **params: Any) -> Any:
    """The reply to one command, decoded."""
    (command,) = wire.decode_commands(json.dumps({"method": method, "params": params}).encode())
    return json.loads(answer_operator(node, command))


def data(node: Node, method: str, **params: Any) -> Any:
    answer = reply(node, method, **params)
    assert answer["error"] is None, answer
    return answer["body"]["data"]


def names(node: Node, **params: Any) -> list[str]:
    return [item["name"] for item in data(node, "list", **params)["items"]]


class TestLists:
    def test_channels_have_the_subscribers_of_all_nodes(self, nodes: tuple[Node, Node]) -> None:
        for node in nodes:
            LocalClient.connected(node).subscribe("news")
        LocalClient.connected(nodes[1]).subscribe("sport")
        found = data(nodes[0], "list", kind="channels")
        assert [(item["name"], item["count"]) for item in found["items"]] == [("news", 2), ("sport", 1)]
        assert (found["total"], found["nodes"], found["has_more"]) == (3, 2, False)

    def test_users_have_the_connections_of_all_nodes(self, nodes: tuple[Node, Node]) -> None:
        for node in (*nodes, nodes[1]):
            LocalClient.connected(node, "alice")
        LocalClient.connected(nodes[1], "bob")
        found = data(nodes[0], "list", kind="users")
        assert [(item["name"], item["count"]) for item in found["items"]] == [("alice", 3), ("bob", 1)]

    def test_names_are_found_by_a_part_or_a_prefix(self, node: Node) -> None:
        for channel in ("news:a", "old news", "sport"):
            LocalClient.connected(node).subscribe(channel.replace("news:", "news-"))
        assert names(node, text="news", order="name") == ["news-a", "old news"]
        assert names(node, text="news", prefix=True) == ["news-a"]

    def test_a_list_by_name_reaches_every_channel(self, nodes: tuple[Node, Node]) -> None:
        channels = [f"channel-{number:03}" for number in range(230)]
        for place, channel in enumerate(channels):
            for node in nodes if place % 3 == 0 else nodes[place % 2 :][:1]:
                LocalClient.connected(node).subscribe(channel)
        found: list[str] = []
        has_more = True
        while has_more:
            page = data(nodes[0], "list", order="name", **({"after": found[-1]} if found else {}))
            assert len(page["items"]) <= 100
            found += [item["name"] for item in page["items"]]
            has_more = page["has_more"]
        assert found == channels

    def test_a_list_by_number_has_pages(self, node: Node) -> None:
        for number in range(120):
            LocalClient.connected(node).subscribe(f"channel-{number:03}")
        first, second = (data(node, "list", offset=offset) for offset in (0, 100))
        assert (len(first["items"]), first["has_more"]) == (100, True)
        assert (len(second["items"]), second["has_more"]) == (20, False)
        assert len({item["name"] for item in first["items"] + second["items"]}) == 120

    def test_a_list_by_rate_begins_with_the_busiest_channel(self, node: Node) -> None:
        for channel in ("quiet", "busy"):
            LocalClient.connected(node).subscribe(channel)
        assert [item["rate"] for item in data(node, "list", order="rate")["items"]] == [None, None]
        for _ in range(5):
            node.publish("busy", b"1")
        (busy, quiet) = data(node, "list", order="rate")["items"]
        assert (busy["name"], quiet["name"], quiet["rate"]) == ("busy", "quiet", 0)
        assert busy["rate"] > 0

    def test_the_rate_of_a_channel_is_that_of_the_node_that_receives_most(self) -> None:
        answers = [
            ListAnswer([ListItem("a", 2, 1.5), ListItem("b", 1)], 2),
            ListAnswer([ListItem("a", 1, 2.0), ListItem("b", 1, 0.5)], 2),
            ListAnswer([ListItem("a", 1)], 1),
        ]
        assert merge_lists(answers, "count") == [ListItem("a", 4, 2.0), ListItem("b", 2, 0.5)]

    @pytest.mark.parametrize(
        "params", [{"kind": "nodes"}, {"order": "age"}, {"offset": -1}, {"offset": MAX_RANKED + 1}]
    )
    def test_invalid_params_are_refused(self, node: Node, params: dict[str, Any]) -> None:
        with pytest.raises(InvalidJSON):
            reply(node, "list", **params)


class TestClients:
    def test_kinds_of_clients_are_counted_on_all_nodes(self, nodes: tuple[Node, Node]) -> None:
        for node in nodes:
            LocalClient.connected(node)
        found = data(nodes[0], "clients")
        assert found["nodes"] == 2
        assert found["transports"] == {"websocket": 2}
        assert found["protocols"] == {"v1": 2}
        assert found["libraries"] == {"": 2}
        assert (found["waiting"], found["last_closed"], found["closed"]) == ([], [], {})

    def test_closed_clients_are_listed_with_reason_and_node(self, nodes: tuple[Node, Node]) -> None:
        LocalClient.connected(nodes[1], "bob")
        nodes[1].disconnect_user("bob")
        LocalClient.connected(nodes[0], "alice").connection.close()
        found = data(nodes[0], "clients")
        assert found["closed"] == {"closed by the client": 1, "disconnect": 1}
        (closed,) = found["last_closed"]
        assert (closed["user"], closed["reason"], closed["node"]) == ("bob", "disconnect", "second")

    def test_clients_that_do_not_read_are_listed(self, node: Node) -> None:
        slow = LocalClient.connected(node, "slow")
        slow.connection.outbox.append(b"x" * 5000)
        (waiting,) = data(node, "clients")["waiting"]
        assert (waiting["user"], waiting["waiting"]) == ("slow", 5000)


class TestNodes:
    def test_version_engine_and_age_of_each_node_are_reported(self, node: Node) -> None:
        (found,) = data(node, "node_details")["nodes"]
        assert (found["name"], found["version"], found["engine"]) == ("test", VERSION, "memory")
        assert 0 <= time.time() - found["loaded_at"] < 60

    def test_options_that_differ_are_found_and_secrets_are_not_shown(self, start_node: Callable[..., Node]) -> None:
        bus = Bus()
        one = start_node(bus.engine(), name="one", drain_time=1, secret="first secret")
        two = start_node(bus.engine(), name="two", drain_time=2, secret="second secret")
        eventually(lambda: one.cluster.registry.peers and two.cluster.registry.peers)
        different = data(one, "node_details")["different"]
        assert set(different) == {"drain_time", "secret"}
        assert different["drain_time"] == {one.cluster.uid: 1, two.cluster.uid: 2}
        assert all(value.startswith("secret, mark ") for value in different["secret"].values())
        assert "first secret" not in str(different)

    def test_options_of_which_each_node_has_its_own_value_are_no_difference(
        self, start_node: Callable[..., Node]
    ) -> None:
        own = {
            "name": ("one", "two"),
            "address": ("127.0.0.1", "127.0.0.2"),
            "port": (8001, 8002),
            "api_port": ("9001", "9002"),
            "admin_port": ("9003", "9004"),
            "unix_socket": ("/run/1", "/run/2"),
            "log_file": ("/log/1", "/log/2"),
            "pid_file": ("/pid/1", "/pid/2"),
        }
        bus = Bus()
        one, two = (
            start_node(bus.engine(), **{name: values[number] for name, values in own.items()}) for number in (0, 1)
        )
        eventually(lambda: one.cluster.registry.peers and two.cluster.registry.peers)
        assert data(one, "node_details")["different"] == {}

    def test_single_node_has_no_differing_options(self) -> None:
        assert different_options([]) == {}


class TestChannel:
    def test_a_channel_has_its_subscribers_by_node_and_its_rate(self, nodes: tuple[Node, Node]) -> None:
        for node in (nodes[0], nodes[1], nodes[1]):
            LocalClient.connected(node).subscribe("plain:news")
        found = data(nodes[0], "channel", channel="plain:news")
        assert (found["subscribers"], found["nodes"]) == (3, {"first": 1, "second": 2})
        assert (found["namespace"], found["rate"], found["watched_for"]) == ("plain", None, None)
        assert data(nodes[0], "channel", channel="plain:news")["rate"] == 0

    def test_history_contains_offsets_and_the_position(self, node: Node) -> None:
        for payload in (b"1", b"2", b"\0\xff\xfe", b"4"):
            node.publish("kept:a", payload)
        found = data(node, "stream", channel="kept:a")
        assert [one["offset"] for one in found["publications"]] == [4, 3, 2]
        assert [one["data"] for one in found["publications"]] == [4, "//4=", 2]
        assert [one.get("is_base64") for one in found["publications"]] == [None, True, None]
        assert found["offset"] == 4
        assert found["epoch"]

    def test_history_contains_tags(self, node: Node) -> None:
        node.publish("kept:a", b"1", options=PublishOptions(tags={"kind": "goal"}))
        node.publish("kept:a", b"2")
        publications = data(node, "stream", channel="kept:a")["publications"]
        assert [one.get("tags") for one in publications] == [None, {"kind": "goal"}]

    def test_a_channel_without_history_is_refused(self, node: Node) -> None:
        assert reply(node, "stream", channel="plain:a")["error"] == "not available"

    def test_defaults_of_channel_options_are_returned(self, node: Node) -> None:
        assert data(node, "channel_defaults")["watch"] is False


class TestWatching:
    def test_a_namespace_is_watched_on_all_nodes(self, nodes: tuple[Node, Node]) -> None:
        assert data(nodes[0], "watch_namespace", namespace="plain", seconds=30) == {"plain": 30}
        eventually(lambda: nodes[1].rules.options("plain:a").watch)
        assert data(nodes[1], "watched_namespaces") == {"plain": 30}
        assert data(nodes[0], "channel", channel="plain:a")["watched_for"] == 30
        assert data(nodes[0], "watch_namespace", namespace="plain", seconds=0) == {}
        eventually(lambda: not nodes[1].rules.options("plain:a").watch)

    def test_an_unknown_namespace_is_refused(self, node: Node) -> None:
        assert reply(node, "watch_namespace", namespace="nowhere")["error"] == "namespace not found"

    def test_time_of_watching_is_limited(self, node: Node) -> None:
        with pytest.raises(InvalidJSON):
            reply(node, "watch_namespace", namespace="plain", seconds=86400)


class TestOneConnection:
    def test_one_connection_of_a_user_is_closed(self, nodes: tuple[Node, Node]) -> None:
        kept, closed = (LocalClient.connected(node, "alice") for node in nodes)
        assert data(nodes[0], "close_connection", user="alice", client=closed.uid) is True
        assert eventually(lambda: closed.close_reason)["reason"] == "disconnect"
        assert kept.close_reason is None

    def test_one_subscription_of_one_connection_is_ended(self, nodes: tuple[Node, Node]) -> None:
        kept, ended = (LocalClient.connected(node, "alice") for node in nodes)
        for client in (kept, ended):
            client.subscribe("plain:a")
        data(nodes[0], "end_subscription", user="alice", client=ended.uid, channel="plain:a")
        eventually(lambda: not ended.connection.channels)
        assert list(kept.connection.channels) == ["plain:a"]

    def test_connections_of_anonymous_users_can_be_closed(self, node: Node) -> None:
        client = LocalClient.connected(node, "")
        data(node, "close_connection", user="", client=client.uid)
        assert eventually(lambda: client.close_reason)["reason"] == "disconnect"

    def test_closing_a_connection_requires_a_client_id(self, node: Node) -> None:
        with pytest.raises(InvalidJSON):
            reply(node, "close_connection", user="alice", client="")


def test_known_nodes_have_the_time_of_their_last_ping(nodes: tuple[Node, Node]) -> None:
    first, second = sorted(data(nodes[0], "known_nodes"), key=lambda node: str(node["name"]))
    assert (first["name"], second["name"], second["uid"]) == ("first", "second", nodes[1].cluster.uid)
    assert second["metrics"]["node_num_clients"] == 0
    assert abs(second["reported_at"] - time.time()) < 60
