"""A node in the process of the test, with an engine that can be made to fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.node.node import Node
from tests.app.node.parts import RICH
from tests.fakes import FailingEngine

StartNode = Callable[..., Node]


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def node(start_node: StartNode, engine: FailingEngine) -> Node:
    return start_node(engine, namespaces=(RICH,))
