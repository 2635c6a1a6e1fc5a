"""Fixtures for tests of clients of protocol version 2: a node, and its namespaces."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.node.node import Node
from tests.fakes import FailingEngine
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]

OPEN = Namespace(name="open", allow_subscribe_for_client=True, allow_publish_for_subscriber=True)
CLOSED = Namespace(name="closed", allow_user_limited_channels=True)
RICH = Namespace(
    name="rich",
    allow_subscribe_for_client=True,
    allow_publish_for_client=True,
    presence=True,
    allow_presence_for_subscriber=True,
    join_leave=True,
    force_push_join_leave=True,
    history_size=5,
    history_lifetime=60,
    recover=True,
    allow_history_for_client=True,
)
CACHE = Namespace(
    name="cache",
    allow_subscribe_for_client=True,
    history_size=5,
    history_lifetime=60,
    recover=True,
    force_recovery_mode="cache",
)


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def start(start_node: StartNode, engine: FailingEngine) -> StartNode:
    """Start the node of a test: `start(option=value, ...)`."""
    options = {"token_hmac_secret_key": KEY, "namespaces": (OPEN, CLOSED, RICH, CACHE)}
    return lambda **more: start_node(engine, **{**options, **more})


@pytest.fixture
def node(start: StartNode) -> Node:
    return start()


@pytest.fixture
def client(node: Node) -> LocalClientV2:
    return LocalClientV2.connected(node)
