"""Fixtures for the core: nodes in the test's own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from gentrifugo.app.config.config import Config
from gentrifugo.app.node.hooks import Hook
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.wire import encode_publication
from gentrifugo.engines.base import Engine
from tests.credentials import SECRET
from tests.fakes import FailingEngine
from tests.greenlets import background_greenlet, nothing_left_behind

__all__ = ["background_greenlet", "nothing_left_behind"]

VERSION = "1.2.3"


@pytest.fixture
def start_node(nothing_left_behind: None) -> Iterator[Callable[..., Node]]:
    """Start nodes: `start_node(engine, {event: hook}, option=value, ...)`.

    All are stopped at the end, and all resources must be released.
    """
    nodes: list[Node] = []

    def start(engine: Engine | None = None, hooks: Mapping[str, Hook] | None = None, **options: Any) -> Node:
        node = Node(config(**options), engine or FailingEngine(), VERSION, encode_publication)
        for event, hook in (hooks or {}).items():
            node.hooks.add(event, hook)
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        node.close_connections()
        node.stop()


def config(**options: Any) -> Config:
    """Return a configuration for tests: with their secret, and without a rest between two writes."""
    return Config(**{"secret": SECRET, "name": "test", "client_write_delay": 0, **options})
