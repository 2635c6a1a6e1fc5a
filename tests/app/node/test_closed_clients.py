"""Behaviour of the list of clients that a node has closed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.node.closed_clients import MAX_KEPT_CLOSED, ClosedClients
from gentrifugo.app.node.node import Node
from tests.fakes import FakeConnection
from tests.greenlets import eventually
from tests.local_client import LocalClient


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node()


def test_clients_that_the_server_has_closed_are_kept_with_the_reason(node: Node) -> None:
    first, second, third = (LocalClient.connected(node, user) for user in ("alice", "bob", "carol"))
    first.connection.close()
    node.disconnect_user("bob")
    third.connection.close_slow()
    eventually(lambda: third.close_reason)
    assert [(closed.user, closed.reason) for closed in node.closed_clients.last] == [
        ("bob", "disconnect"),
        ("carol", "slow"),
    ]
    assert [closed.client for closed in node.closed_clients.last] == [second.uid, third.uid]


def test_a_slow_client_is_noted_with_what_it_did_not_read(node: Node) -> None:
    closed = ClosedClients()
    client = FakeConnection(node.flusher, "c1", "alice")
    closed.note_slow("c1", 70_000)
    closed.note(client, "slow")
    closed.note(client, "slow")
    assert [one.unsent for one in closed.last] == [70_000, 0]


def test_memory_of_closed_clients_is_limited(node: Node) -> None:
    closed = ClosedClients()
    client = FakeConnection(node.flusher, "c1", "alice" * 100)
    for number in range(2 * MAX_KEPT_CLOSED):
        closed.note(client, f"reason {number} " + "long " * 100)
    assert len(closed.last) == MAX_KEPT_CLOSED
    assert max(len(one.reason) for one in closed.last) == max(len(one.user) for one in closed.last) == 100
