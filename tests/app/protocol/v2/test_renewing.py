"""Connections and subscriptions that change while a backend decides about their expiry."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.node.hooks import Context
from gentrifugo.app.node.node import Node
from gentrifugo.app.node.proxy_events import CONNECT_PROXY, REFRESH_PROXY, SUB_REFRESH_PROXY, AllowedConnection, Renewal
from gentrifugo.app.protocol.v2.renewing import renew_connection, renew_subscription
from tests.fakes import FailingEngine
from tests.greenlets import eventually
from tests.local_client_v2 import KEY, LocalClientV2

StartNode = Callable[..., Node]
Answer = Callable[[LocalClientV2], object]

LATER = 100
"""Seconds for which the backend lets connections and subscriptions go on."""
RENEWED = Namespace(name="renewed", allow_subscribe_for_client=True, proxy_sub_refresh=True)


@pytest.fixture
def ask(start_node: StartNode) -> Any:
    """A client whose backend is a function in this process, which is called with the client."""

    def made(event: str, answer: Answer) -> LocalClientV2:
        client: LocalClientV2
        hooks = {event: lambda context: answer(client)}
        node = start_node(FailingEngine(), hooks, token_hmac_secret_key=KEY, namespaces=(RENEWED,))
        client = LocalClientV2.connected(node)
        return client

    return made


def test_connection_that_is_closed_meanwhile_is_not_renewed(ask: Any) -> None:
    def leave(client: LocalClientV2) -> Renewal:
        client.connection.close()
        return Renewal(expires_at=time.time() + LATER)

    client = ask(REFRESH_PROXY, leave)
    assert renew_connection(client.connection)
    # A timer would keep the closed connection in memory until then, which nothing else shows.
    assert client.connection._timer is None


def test_subscription_that_ends_meanwhile_is_not_renewed(ask: Any) -> None:
    def leave(client: LocalClientV2) -> Renewal:
        client.connection.subscriptions.remove("renewed:a")
        return Renewal(is_expired=True)

    client = ask(SUB_REFRESH_PROXY, leave)
    client.subscribe("renewed:a")
    assert renew_subscription(client.connection, "renewed:a")
    assert client.pushes() == []
    assert not renew_subscription(client.connection, "renewed:a"), "there is none any more"


def test_backend_receives_a_request_when_a_connection_expires(ask: Any) -> None:
    asked: list[float] = []

    def renew(client: LocalClientV2) -> Renewal:
        asked.append(time.time())
        return Renewal(expires_at=time.time() + LATER)

    client = ask(REFRESH_PROXY, renew)
    client.connection.expire_at(time.time() + 0.2)
    eventually(lambda: asked)
    assert client.close is None


def test_client_that_disconnects_during_a_backend_request_is_not_connected(start_node: StartNode) -> None:
    def leave(context: Context) -> AllowedConnection:
        client.connection.close()
        return AllowedConnection("42")

    node = start_node(FailingEngine(), {CONNECT_PROXY: leave}, token_hmac_secret_key=KEY)
    client = LocalClientV2(node)
    client.send({"id": 1, "connect": {}})
    assert not client.connection.authenticated
    assert client.received() == []
