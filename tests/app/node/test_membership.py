"""A leave is published for each join, and only for a join, in both versions of the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.node.node import Node
from tests.fakes import FailingEngine
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2

ROOM = Namespace(
    name="room",
    presence=True,
    join_leave=True,
    force_push_join_leave=True,
    allow_subscribe_for_client=True,
    history_size=5,
    history_lifetime=60,
    recover=True,
)
UNRECOVERABLE: dict[str, Any] = {"recover": True, "offset": 7, "epoch": "another", "flag": 2}
"""A request of version 2 for a subscription that is refused if it cannot be recovered."""


class Connects(Protocol):
    """A class of test clients, of one version of the protocol."""

    def connected(self, node: Node, user: str = "alice") -> Any:
        """Return a connected client."""


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def node(start_node: Callable[..., Node], engine: FailingEngine) -> Node:
    return start_node(engine, token_hmac_secret_key=KEY, namespaces=(ROOM,))


@pytest.fixture
def seen(node: Node) -> Callable[[], list[tuple[str, str]]]:
    """Return what a client of version 1 has received of others: `join` or `leave`, and the user."""
    watcher = LocalClient.connected(node, "watcher")
    watcher.subscribe("room:a")

    def events() -> list[tuple[str, str]]:
        received = [each for each in watcher.received() if each["method"] in ("join", "leave")]
        found = [(each["method"], each["body"]["data"]["user"]) for each in received]
        return [(method, user) for method, user in found if user != "watcher"]

    return events


BOTH_VERSIONS = pytest.mark.parametrize("version", [LocalClient, LocalClientV2], ids=["v1", "v2"])


@BOTH_VERSIONS
def test_a_client_joins_and_leaves(node: Node, seen: Callable[[], Any], version: Connects) -> None:
    client = version.connected(node, "bob")
    client.subscribe("room:a")
    client.connection.close()
    assert seen() == [("join", "bob"), ("leave", "bob")]


@BOTH_VERSIONS
def test_a_leave_follows_a_join_after_a_reload_without_joins(
    node: Node, seen: Callable[[], Any], version: Connects
) -> None:
    client = version.connected(node, "bob")
    client.subscribe("room:a")
    node.configure(replace(node.config, namespaces=(replace(ROOM, join_leave=False),)))
    client.call("unsubscribe", channel="room:a")
    assert seen() == [("join", "bob"), ("leave", "bob")]


@BOTH_VERSIONS
def test_there_is_no_leave_without_a_join_after_a_reload_with_joins(
    node: Node, seen: Callable[[], Any], version: Connects
) -> None:
    client = version.connected(node, "bob")
    node.configure(replace(node.config, namespaces=(replace(ROOM, join_leave=False),)))
    client.subscribe("room:a")
    node.configure(replace(node.config, namespaces=(ROOM,)))
    client.call("unsubscribe", channel="room:a")
    assert seen() == []


@BOTH_VERSIONS
def test_a_failed_subscription_causes_no_leave(
    node: Node, engine: FailingEngine, seen: Callable[[], Any], version: Connects
) -> None:
    client = version.connected(node, "bob")
    engine.failing = {"add_presence"}
    client.send({"id": 2, "subscribe": {"channel": "room:a"}} if version is LocalClientV2 else SUBSCRIBE)
    assert seen() == []


SUBSCRIBE = {"uid": "2", "method": "subscribe", "params": {"channel": "room:a"}}


def test_a_refused_recovery_causes_no_leave(node: Node, seen: Callable[[], Any]) -> None:
    client = LocalClientV2.connected(node, "bob")
    assert client.call("subscribe", channel="room:a", **UNRECOVERABLE)["error"]["code"] == 112
    assert seen() == []
