"""Clients of one user that connect at the same time, with the option user_personal_single_connection: one stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.credentials import TOKEN_KEY, jwt
from tests.protocol_client_v2 import ProtocolClientV2
from tests.redis_server import redis_server
from tests.servers import Server
from tests.waiting import eventually
from tests.websocket_client import Closed

StartServer = Callable[..., Server]

OPTIONS: dict[str, Any] = {
    "token_hmac_secret_key": TOKEN_KEY,
    "user_subscribe_to_personal": True,
    "user_personal_single_connection": True,
}
ROUNDS = 12
"""How often clients connect at the same time; each time with another user."""


class Tab:
    """A client that sends `connect`, and reads later what became of it."""

    def __init__(self, node: Server) -> None:
        self.client = ProtocolClientV2(node)
        self.is_connected = False
        self.closed: Closed | None = None

    def connect(self, user: str) -> None:
        """Send `connect` without waiting for the reply."""
        self.client.send({"id": 1, "connect": {"token": jwt(sub=user)}})

    def read(self) -> None:
        """Read what has arrived."""
        try:
            while self.closed is None:
                self.is_connected = "connect" in self.client.recv(0.001) or self.is_connected
        except TimeoutError:
            pass
        except Closed as closed:
            self.closed = closed


def is_decided(tabs: Sequence[Tab]) -> bool:
    """Return whether each client has a reply or is closed, and all but one are closed."""
    for tab in tabs:
        tab.read()
    is_answered = all(tab.is_connected or tab.closed for tab in tabs)
    return is_answered and sum(tab.closed is not None for tab in tabs) >= len(tabs) - 1


def connect_together(nodes: Sequence[Server], count: int, user: str) -> None:
    """Let `count` clients of a user connect at the same time, spread over the nodes, and check that one stays."""
    tabs = [Tab(nodes[index % len(nodes)]) for index in range(count)]
    try:
        for tab in tabs:
            tab.connect(user)
        eventually(lambda: is_decided(tabs), within=10, what="all clients but one are closed")
        (stays,) = [tab for tab in tabs if not tab.closed]
        stays.client.assert_quiet()
        assert {(tab.closed.code, tab.closed.reason) for tab in tabs if tab.closed} == {(3504, "connection limit")}
    finally:
        for tab in tabs:
            tab.client.close()


def check_that_one_stays(nodes: Sequence[Server], count: int) -> None:
    for number in range(ROUNDS):
        connect_together(nodes if number % 2 else nodes[::-1], count, f"user{number}")


@pytest.mark.parametrize("count", [2, 16])
@pytest.mark.parametrize("nodes", [1, 2])
def test_one_client_stays_with_redis(start_server: StartServer, tmp_path: Path, nodes: int, count: int) -> None:
    with redis_server(tmp_path) as redis:
        check_that_one_stays([start_server(**OPTIONS, **redis.options) for _ in range(nodes)], count)


def test_one_client_stays_on_a_single_node(start_server: StartServer) -> None:
    check_that_one_stays([start_server(**OPTIONS)], 16)
