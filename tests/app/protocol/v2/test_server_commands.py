"""Behaviour of what backends do to connections of protocol version 2 that belongs to no channel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.node.node import Node
from gentrifugo.app.node.user_commands import SendMessage
from tests.fakes import Bus
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]


def test_a_message_reaches_a_client_of_another_node_by_its_user_or_by_its_id(start_node: StartNode) -> None:
    bus = Bus()
    nodes = [start_node(bus.engine(), name=name, token_hmac_secret_key=KEY) for name in ("first", "second")]
    clients = [LocalClientV2.connected(node) for node in nodes]
    for client in clients:
        client.received()
    nodes[0].carry_out(SendMessage("alice", data=b"1"))
    nodes[0].carry_out(SendMessage("", clients[1].connection.uid, data=b"2"))
    nodes[0].carry_out(SendMessage("", "nobody", data=b"3"))
    assert clients[0].pushes() == [{"message": {"data": 1}}]
    assert clients[1].pushes() == [{"message": {"data": 1}}, {"message": {"data": 2}}]


def test_a_message_that_is_not_json_is_not_sent_to_a_client_of_json(
    client: LocalClientV2, caplog: pytest.LogCaptureFixture
) -> None:
    client.received()
    client.connection.send_from_server(SendMessage("alice", data=b"\0\xff"))
    assert client.pushes() == []
    assert "cannot send a message to client" in caplog.text
    assert client.close is None
