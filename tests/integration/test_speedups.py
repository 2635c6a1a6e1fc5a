"""Servers with and without the C module for sending deliver the same messages."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from gentrifugo.app.net.bulk_send import SPEEDUPS_SWITCH
from tests.api_client import APIClient
from tests.parts import compiled_send_waiting
from tests.protocol_client import ProtocolClient
from tests.servers import Server

SUBSCRIBERS = 150
"""Enough for the helper thread of the C module to take part."""


@pytest.fixture(params=["used", "switched off by GENTRIFUGO_SPEEDUPS=0"])
def speedups(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The log line that says whether the next server uses the C module."""
    compiled_send_waiting()
    used: str = request.param
    if used == "used":
        monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    else:
        monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    return used


def test_messages_arrive_once_and_in_order_while_clients_connect_and_disconnect(
    speedups: str, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    assert f"C module for sending: {speedups}" in server.log
    api = APIClient(server.host, server.port)
    with ExitStack() as stack:

        def subscriber(number: int) -> ProtocolClient:
            client = stack.enter_context(ProtocolClient(server, f"user{number}"))
            client.subscribe("news")
            return client

        clients = [subscriber(number) for number in range(SUBSCRIBERS)]
        for first in range(0, 100, 10):
            for number in range(first, first + 10):
                api.publish("news", number)
            leaving = clients[first : first + 5]
            for client in leaving:
                client.close()  # unread messages are lost, and its descriptor is free for the next connection
            clients[first : first + 5] = [subscriber(SUBSCRIBERS + first + number) for number in range(5)]
        api.publish("news", "end")
        for place, client in enumerate(clients):
            expected = list(range(place // 10 * 10 + 10 if place % 10 < 5 and place < 100 else 0, 100))
            assert [client.message() for _ in range(len(expected) + 1)] == [*expected, "end"]
