"""Fixtures: a node, and the methods on it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.node.node import Node
from tests.app.api.parts import KEPT
from tests.fakes import FailingEngine
from tests.local_client import LocalClient


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def node(start_node: Callable[..., Node], engine: FailingEngine) -> Node:
    return start_node(engine, namespaces=(KEPT,), api_key="key")


@pytest.fixture
def calls(node: Node) -> MethodCalls:
    return MethodCalls(node)


@pytest.fixture
def client(node: Node) -> LocalClient:
    """Return a client of protocol v1 of the user "alice", subscribed to "news" and "kept:news"."""
    client = LocalClient.connected(node)
    for channel in ("news", "kept:news"):
        client.subscribe(channel)
    client.received()
    return client
