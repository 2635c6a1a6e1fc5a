"""Helpers for tests of a node: connections that record calls, and the events that they have received."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.errors import (
    Error,
    Refused,
)
from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.node.node import Node
from tests.fakes import FakeConnection
from tests.greenlets import settle

ALICE = RawClientInfo("alice", "c1")
RICH = Namespace(name="rich", presence=True, history_size=10, history_lifetime=60)
"""Channels of the namespace `rich` have presence and history."""


def connect(node: Node, uid: str = "c1", user: str = "alice", channel: str = "") -> FakeConnection:
    """Return a connection that is registered on the node, and subscribed to `channel` if there is one."""
    connection = FakeConnection(node.flusher, uid, user)
    node.hub.open.add(connection)
    node.add_connection(connection)
    if channel:
        node.add_subscription(channel, connection)
        connection.channels[channel] = b""
    return connection


def received(connection: FakeConnection) -> list[Any]:
    settle()
    return [json.loads(message) for message in connection.transport.messages()]


def refusal(action: Callable[..., Any], *arguments: Any) -> Error:
    """Return the error with which the node refuses."""
    with pytest.raises(Refused) as refused:
        action(*arguments)
    return refused.value.error


class FakeWatcher:
    """Records the data of shown messages, and counts the messages that were left out."""

    def __init__(self) -> None:
        self.data: list[Any] = []
        self.batches = 0
        self.missed = 0

    def show(self, messages: Sequence[bytes], missed: int) -> None:
        self.data += [json.loads(message)["data"] for message in messages]
        self.batches += 1
        self.missed += missed
