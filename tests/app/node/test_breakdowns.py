"""Behaviour of the figures by protocol, transport, method and code, with real clients on a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gentrifugo.app.node.breakdowns import (
    MAX_CLOSES,
    OTHER_KINDS,
    PEER_CLOSED,
    Breakdowns,
    CloseKind,
    ErrorKind,
    TrafficKind,
)
from gentrifugo.app.node.node import Node
from gentrifugo.engines.memory import MemoryEngine
from tests.greenlets import settle
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    return start_node(MemoryEngine(), token_hmac_secret_key=KEY, allow_subscribe_for_client=True)


@pytest.mark.parametrize(
    ("protocol", "connected"),
    [("v1", LocalClient.connected), ("v2 json", LocalClientV2.connected), ("v2 protobuf", LocalProtobufClient)],
)
def test_traffic_is_counted_by_transport_and_protocol(
    node: Node, protocol: str, connected: Callable[[Node], Any]
) -> None:
    client = connected(node)
    client.subscribe("news")
    settle()
    traffic = node.metrics.breakdowns.traffic[TrafficKind("websocket", protocol)]
    assert (traffic.connections, traffic.accepted) == (1, 1)
    assert traffic.messages_received == 2
    sent = traffic.frames_sent
    assert sent >= 2
    node.publish("news", b"{}")
    settle()
    assert traffic.frames_sent == sent + 1
    assert traffic.bytes_sent == len(b"".join(client.transport.socket.sent))
    assert traffic.bytes_sent == node.metrics.totals()["client_bytes_out"]
    assert traffic.frames_sent == node.metrics.totals()["client_num_msg_sent"]


def test_closed_connection_is_counted_by_code(node: Node) -> None:
    by_peer, by_server = LocalClientV2.connected(node), LocalClientV2.connected(node)
    by_peer.connection.close()
    node.disconnect_user(by_server.connection.user)
    settle()
    breakdowns = node.metrics.breakdowns
    traffic = breakdowns.traffic[TrafficKind("websocket", "v2 json")]
    assert (traffic.connections, traffic.accepted) == (0, 2)
    assert breakdowns.closes[CloseKind("v2 json", 0, PEER_CLOSED)] == 1
    ((code, reason),) = by_server.transport.closes
    assert breakdowns.closes[CloseKind("v2 json", code, reason)] == 1


def test_commands_of_clients_are_timed_by_method(node: Node) -> None:
    for client in (LocalClient.connected(node), LocalClientV2.connected(node)):
        client.subscribe("news")
    settle()
    commands = node.metrics.breakdowns.client_commands
    assert {name: histogram.count for name, histogram in commands.items()} == {"connect": 2, "subscribe": 2}
    assert commands["subscribe"].seconds > 0


def test_errors_in_replies_are_counted_by_method(node: Node) -> None:
    LocalClientV2.connected(node).send({"id": 5, "presence": {"channel": "news"}})
    LocalClient.connected(node).send({"uid": "5", "method": "presence", "params": {"channel": "news"}})
    settle()
    errors = node.metrics.breakdowns.client_errors
    assert {(kind.protocol, kind.method) for kind in errors} == {("v2 json", "presence"), ("v1", "presence")}
    assert set(errors.values()) == {1}


def test_reasons_that_an_application_chooses_do_not_grow_without_limit() -> None:
    breakdowns = Breakdowns()
    for number in range(3 * MAX_CLOSES):
        breakdowns.note_close("v1", 3000, f"reason {number}")
        breakdowns.note_client_error("v1", "publish", f"error {number}")
        breakdowns.note_unsubscribe(number)
    assert len(breakdowns.closes) == len(breakdowns.client_errors) == len(breakdowns.unsubscribes) == MAX_CLOSES + 1
    assert sum(breakdowns.closes.values()) == 3 * MAX_CLOSES
    assert breakdowns.closes[CloseKind("v1", 3000, OTHER_KINDS)] == 2 * MAX_CLOSES
    assert breakdowns.client_errors[ErrorKind("v1", "publish", OTHER_KINDS)] == 2 * MAX_CLOSES
    assert breakdowns.unsubscribes[OTHER_KINDS] == 2 * MAX_CLOSES


def test_codes_that_an_application_chooses_do_not_grow_without_limit() -> None:
    breakdowns = Breakdowns()
    for code in range(4000, 4000 + 2 * MAX_CLOSES):
        breakdowns.note_close("v2 json", code, "mine")
    assert len(breakdowns.closes) == MAX_CLOSES + 1
