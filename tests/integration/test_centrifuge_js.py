"""centrifuge-js 1.5.0, the browser client of Centrifugo v1, in Node over WebSocket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.application import Application
from tests.clients.driver import Driver, node_driver
from tests.credentials import connect_params, private_params
from tests.servers import Server, running
from tests.tcp_proxy import TcpProxy

NAMESPACES = [
    {"name": "chat", "publish": True, "presence": True, "join_leave": True, "history_size": 10, "history_lifetime": 60},
    {"name": "news", "history_size": 10, "history_lifetime": 60, "recover": True},
]
RETRY = 50
"""Milliseconds before the client's first attempt to reconnect; it doubles and jitters from there."""

Start = Callable[..., Driver]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"namespaces": NAMESPACES}, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: Server) -> APIClient:
    return APIClient(server.host, server.port)


@pytest.fixture
def start_client() -> Iterator[Start]:
    """Start a client for `user` at `port`; further arguments are options of the Centrifuge object."""
    clients: list[Driver] = []

    def start(port: int, user: str = "42", info: str = "", **options: Any) -> Driver:
        config = {
            "url": f"ws://127.0.0.1:{port}/connection/websocket",
            "retry": RETRY,
            **connect_params(user, info),
            **options,
        }
        client = node_driver("centrifuge_driver.js", json.dumps(config), package="centrifuge")
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.stop()


def connected(client: Driver, **options: Any) -> str:
    """Connect, which must succeed, and return the client id; `options` change options of the Centrifuge object."""
    client.send(do="connect", options=options)
    return str(client.wait_for("connect")["client"])


def subscribed(client: Driver, channel: str) -> None:
    client.send(do="subscribe", channel=channel)
    client.wait_for("subscribe", channel=channel)


def test_connect_returns_the_client_id(server: Server, start_client: Start) -> None:
    client = start_client(server.port)
    client.send(do="connect")
    event = client.wait_for("connect")
    assert len(event["client"]) == 36
    assert event["transport"] == "raw-websocket"


def test_messages_of_the_backend_arrive_in_order(
    server: Server, api: APIClient, start_client: Start, unique: str
) -> None:
    client = start_client(server.port)
    connected(client)
    subscribed(client, f"news:{unique}")
    for number in range(20):
        api.publish(f"news:{unique}", {"number": number})
    messages = [client.wait_for("message") for _ in range(20)]
    assert [message["data"]["number"] for message in messages] == list(range(20))


def test_publish_reaches_both_clients_with_the_publishers_info(
    server: Server, start_client: Start, unique: str
) -> None:
    ann = start_client(server.port, user="ann", info='{"name": "Ann"}')
    ben = start_client(server.port, user="ben")
    ann_id = connected(ann)
    connected(ben)
    subscribed(ann, f"chat:{unique}")
    subscribed(ben, f"chat:{unique}")
    ann.send(do="publish", channel=f"chat:{unique}", data={"text": "hello"})
    assert ann.wait_for("done", method="publish")["body"] == {"channel": f"chat:{unique}", "status": True}
    info = {"user": "ann", "client": ann_id, "default_info": {"name": "Ann"}}
    for client in (ann, ben):
        message = client.wait_for("message")
        assert message["data"] == {"text": "hello"}
        assert message["client"] == ann_id
        assert message["info"] == info


def test_publish_that_is_not_allowed_fails(server: Server, start_client: Start, unique: str) -> None:
    client = start_client(server.port)
    connected(client)
    subscribed(client, f"news:{unique}")
    client.send(do="publish", channel=f"news:{unique}", data=1)
    failed = client.wait_for("failed", method="publish")
    assert (failed["error"], failed["advice"]) == ("permission denied", "fix")


def test_client_receives_joins_and_leaves_of_others(server: Server, start_client: Start, unique: str) -> None:
    ann = start_client(server.port, user="ann")
    connected(ann)
    subscribed(ann, f"chat:{unique}")
    ann.wait_for("join")
    ben = start_client(server.port, user="ben")
    ben_id = connected(ben)
    subscribed(ben, f"chat:{unique}")
    assert ann.wait_for("join")["data"] == {"user": "ben", "client": ben_id}
    ben.send(do="unsubscribe", channel=f"chat:{unique}")
    assert ann.wait_for("leave")["data"] == {"user": "ben", "client": ben_id}


def test_client_library_reads_presence_and_history(
    server: Server, api: APIClient, start_client: Start, unique: str
) -> None:
    client = start_client(server.port)
    client_id = connected(client)
    subscribed(client, f"chat:{unique}")
    for number in (1, 2):
        api.publish(f"chat:{unique}", number)
    client.send(do="presence", channel=f"chat:{unique}")
    assert client.wait_for("done", method="presence")["body"]["data"] == {
        client_id: {"user": "42", "client": client_id}
    }
    client.send(do="history", channel=f"chat:{unique}")
    history = client.wait_for("done", method="history")["body"]["data"]
    assert [message["data"] for message in history] == [2, 1]


def test_presence_that_is_not_available_fails(server: Server, start_client: Start, unique: str) -> None:
    client = start_client(server.port)
    connected(client)
    subscribed(client, f"news:{unique}")
    client.send(do="presence", channel=f"news:{unique}")
    failed = client.wait_for("failed", method="presence")
    assert (failed["error"], failed["advice"]) == ("not available", "retry")


def test_subscribing_to_an_unknown_namespace_fails(server: Server, start_client: Start) -> None:
    client = start_client(server.port)
    connected(client)
    client.send(do="subscribe", channel="nosuch:a")
    failed = client.wait_for("subscribe_error", channel="nosuch:a")
    assert (failed["error"], failed["advice"]) == ("namespace not found", "fix")


def test_unsubscribed_client_gets_no_events(server: Server, api: APIClient, start_client: Start, unique: str) -> None:
    client = start_client(server.port)
    connected(client)
    subscribed(client, f"news:{unique}")
    client.send(do="unsubscribe", channel=f"news:{unique}")
    client.wait_for("unsubscribe")
    # The reply to this shows that the server has read the unsubscribe before it.
    subscribed(client, "news:b")
    api.publish(f"news:{unique}", 1)
    api.publish("news:b", 2)
    assert client.wait_for("message")["data"] == 2


def test_client_library_sends_batched_commands(server: Server, start_client: Start) -> None:
    client = start_client(server.port)
    connected(client)
    channels = [f"news:{number}" for number in range(5)]
    client.send(do="batch", commands=[{"do": "subscribe", "channel": channel} for channel in channels])
    assert [client.wait_for("subscribe")["channel"] for _ in channels] == channels


def test_client_does_not_reconnect_after_a_wrong_token(server: Server, start_client: Start) -> None:
    client = start_client(server.port, token="0" * 64)
    client.send(do="connect")
    assert client.wait_for("closed")["code"] == 3000
    event = client.wait_for("disconnect")
    assert (event["reason"], event["reconnect"]) == ("invalid token", False)


# -- private channels


def sign_channels(request: dict[str, Any]) -> tuple[int, Any]:
    """An application that signs every private channel except $secret."""
    answer: dict[str, Any] = {}
    for channel in request["channels"]:
        if channel == "$secret":
            answer[channel] = {"status": 403}
        else:
            params = private_params(request["client"], channel, '{"role": "guest"}')
            answer[channel] = {"sign": params["sign"], "info": params["info"]}
    return 200, answer


def test_client_library_subscribes_to_a_private_channel(server: Server, api: APIClient, start_client: Start) -> None:
    with Application(auth=sign_channels) as application:
        client = start_client(server.port, authEndpoint=application.url("auth"))
        client_id = connected(client)
        subscribed(client, "$chat:private")
        assert application.requests["auth"] == [{"client": client_id, "channels": ["$chat:private"]}]
        assert client.wait_for("join")["data"]["channel_info"] == {"role": "guest"}
        api.publish("$chat:private", 1)
        assert client.wait_for("message")["data"] == 1


def test_client_library_requests_signatures_together(server: Server, start_client: Start) -> None:
    with Application(auth=sign_channels) as application:
        client = start_client(server.port, authEndpoint=application.url("auth"))
        client_id = connected(client)
        channels = ["$one", "$secret", "$two"]
        client.send(do="batch", commands=[{"do": "subscribe", "channel": channel} for channel in channels])
        assert client.wait_for("subscribe_error")["channel"] == "$secret"
        assert {client.wait_for("subscribe")["channel"] for _ in range(2)} == {"$one", "$two"}
        assert application.requests["auth"] == [{"client": client_id, "channels": channels}]


def test_private_channel_with_a_wrong_signature_is_refused(server: Server, start_client: Start) -> None:
    with Application(auth=lambda request: (200, {"$one": {"sign": "wrong", "info": ""}})) as application:
        client = start_client(server.port, authEndpoint=application.url("auth"))
        connected(client)
        client.send(do="subscribe", channel="$one")
        failed = client.wait_for("subscribe_error")
        assert (failed["error"], failed["advice"]) == ("permission denied", "fix")


# -- connection check


def test_refreshed_connection_stays_open(start_server: Callable[..., Server], start_client: Start) -> None:
    # Timestamps are whole seconds: credentials that live for 2 may be good for little more than 1.
    server = start_server(connection_lifetime=2, expired_connection_close_delay=3)
    with Application(refresh=lambda request: (200, connect_params("42"))) as application:
        client = start_client(server.port, refreshEndpoint=application.url("refresh"))
        # Fresh credentials: starting the client may have taken longer than they live.
        connected(client, **connect_params("42"))
        subscribed(client, "news")
        # Longer than the first credentials allow, with the delay.
        assert client.seen(6) == []
        assert len(application.requests["refresh"]) >= 2
        APIClient(server.host, server.port).publish("news", 1)
        assert client.wait_for("message")["data"] == 1


def test_connection_that_may_not_refresh_expires(start_server: Callable[..., Server], start_client: Start) -> None:
    server = start_server(connection_lifetime=2, expired_connection_close_delay=2)
    with Application(refresh=lambda request: (403, {})) as application:
        client = start_client(server.port, refreshEndpoint=application.url("refresh"))
        connected(client, **connect_params("42"))
        assert client.wait_for("closed")["code"] == 3000
        event = client.wait_for("disconnect")
        assert (event["reason"], event["reconnect"]) == ("expired", True)
        assert application.requests["refresh"]


def test_expired_credentials_are_refreshed_before_connecting(
    start_server: Callable[..., Server], start_client: Start
) -> None:
    server = start_server(connection_lifetime=60)
    with Application(refresh=lambda request: (200, connect_params("42"))) as application:
        old = connect_params("42", timestamp=1_000_000_000)
        # The client asks the application and tries again at the same time; the first is to win.
        client = start_client(server.port, refreshEndpoint=application.url("refresh"), retry=10_000, **old)
        connected(client)
        assert len(application.requests["refresh"]) == 1


# -- the connection breaks


def test_missed_messages_are_recovered_in_order(
    server: Server, api: APIClient, start_client: Start, unique: str
) -> None:
    with TcpProxy(server.host, server.port) as proxy:
        client = start_client(proxy.port)
        connected(client)
        subscribed(client, f"news:{unique}")
        api.publish(f"news:{unique}", 1)
        assert client.wait_for("message")["data"] == 1
        proxy.break_connections()
        assert client.wait_for("disconnect")["reconnect"] is True
        for number in (2, 3, 4):
            api.publish(f"news:{unique}", number)
        proxy.restore()
        event = client.wait_for("subscribe")
        assert (event["isResubscribe"], event["recovered"]) == (True, True)
        api.publish(f"news:{unique}", 5)
        assert [client.wait_for("message")["data"] for _ in range(4)] == [2, 3, 4, 5]


def test_too_many_missed_messages_are_not_recovered(
    server: Server, api: APIClient, start_client: Start, unique: str
) -> None:
    with TcpProxy(server.host, server.port) as proxy:
        client = start_client(proxy.port)
        connected(client)
        subscribed(client, f"news:{unique}")
        api.publish(f"news:{unique}", 0)
        client.wait_for("message")
        proxy.break_connections()
        client.wait_for("disconnect")
        for number in range(1, 13):
            api.publish(f"news:{unique}", number)
        proxy.restore()
        assert client.wait_for("subscribe")["recovered"] is False
        assert [client.wait_for("message")["data"] for _ in range(10)] == list(range(3, 13))


def test_disconnected_user_does_not_reconnect(server: Server, api: APIClient, start_client: Start) -> None:
    client = start_client(server.port, user="banned")
    connected(client)
    assert api.call("disconnect", user="banned") == {"method": "disconnect", "error": None, "body": None}
    closed = client.wait_for("closed")
    assert (closed["code"], closed["reason"], closed["reconnect"]) == (3000, "disconnect", False)
    event = client.wait_for("disconnect")
    assert (event["reason"], event["reconnect"]) == ("disconnect", False)
    assert client.seen(10 * RETRY / 1000) == []


def test_unsubscribed_user_gets_the_unsubscribe_event(
    server: Server, api: APIClient, start_client: Start, unique: str
) -> None:
    client = start_client(server.port, user="muted")
    connected(client)
    subscribed(client, f"news:{unique}")
    api.call("unsubscribe", user="muted", channel=f"news:{unique}")
    assert client.wait_for("unsubscribe")["channel"] == f"news:{unique}"
    api.publish(f"news:{unique}", 1)
    assert client.seen(0.2) == []


def test_clients_reconnect_after_a_restart(
    start_server: Callable[..., Server], start_client: Start, unique: str
) -> None:
    server = start_server(namespaces=NAMESPACES)
    client = start_client(server.port)
    connected(client)
    subscribed(client, f"news:{unique}")
    server.stop()
    event = client.wait_for("disconnect")
    assert (event["reason"], event["reconnect"]) == ("shutting down", True)
    restarted = start_server(port=server.port, namespaces=NAMESPACES)
    client.wait_for("connect", within=30)
    assert client.wait_for("subscribe")["isResubscribe"] is True
    APIClient(restarted.host, restarted.port).publish(f"news:{unique}", 1)
    assert client.wait_for("message")["data"] == 1
