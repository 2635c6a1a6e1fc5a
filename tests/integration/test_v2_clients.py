"""centrifuge-js 5.8 in Node and Chromium, and centrifuge-python 0.7: the functions of protocol v2."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.engines.redis.keys import Keys
from tests.api_client import APIClient
from tests.application import Application
from tests.clients.driver import Driver
from tests.clients.v2 import LIBRARIES, Library, browser_server
from tests.credentials import API_KEY, TOKEN_KEY, jwt
from tests.redis_server import RedisServer, redis_server
from tests.servers import Server, running
from tests.tcp_proxy import TcpProxy

OPTIONS: dict[str, Any] = {
    "token_hmac_secret_key": TOKEN_KEY,
    "api_key": API_KEY,
    "namespaces": [
        {
            "name": "chat",
            "allow_subscribe_for_client": True,
            "allow_publish_for_subscriber": True,
            "presence": True,
            "allow_presence_for_subscriber": True,
            "join_leave": True,
            "history_size": 10,
            "history_lifetime": 60,
            "allow_history_for_subscriber": True,
            "allow_recovery": True,
        },
        {
            "name": "news",
            "allow_subscribe_for_client": True,
            "history_size": 10,
            "history_lifetime": 60,
            "recover": True,
        },
        {
            "name": "scores",
            "allow_subscribe_for_client": True,
            "history_size": 1,
            "history_lifetime": 60,
            "recover": True,
            "force_recovery_mode": "cache",
        },
        {"name": "closed", "history_size": 10, "history_lifetime": 60, "recover": True},
    ],
}
SHORT = 2
"""Seconds that a token lives when a test waits for its end."""

WITH_SINCE = [library for library in LIBRARIES if library.name != "centrifuge-python"]
"""The libraries with the option `since`, the position of a first subscription."""

_numbers = itertools.count(1)
Start = Callable[..., Driver]


def fresh(namespace: str) -> str:
    """Return the name of a channel that no other test uses."""
    return f"{namespace}:{next(_numbers)}"


@pytest.fixture(params=LIBRARIES, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests without options; each test uses other channels."""
    with running(OPTIONS, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def api(server: Server) -> APIClient:
    return APIClient(server.host, server.port)


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with browser_server() as endpoint:
        yield endpoint


@pytest.fixture
def start_client(library: Library, request: pytest.FixtureRequest) -> Iterator[Start]:
    """Start a client of `user` at `port`, with a token unless another one is given."""
    clients: list[Driver] = []
    endpoint = request.getfixturevalue("browser") if library.name == "chromium" else ""

    def start(port: int, user: str = "42", **configuration: Any) -> Driver:
        token = configuration.pop("token", None)
        client = library.start(port, jwt(sub=user) if token is None else token, endpoint, **configuration)
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.stop()


def connected(client: Driver) -> str:
    """Connect, which must succeed, and return the client id."""
    client.send(do="connect")
    return str(client.wait_for("connected")["client"])


def subscribed(client: Driver, channel: str, **options: Any) -> dict[str, Any]:
    """Subscribe, which must succeed, and return the event."""
    client.send(do="subscribe", channel=channel, options=options)
    return client.wait_for("subscribed", channel=channel)


def result(client: Driver, method: str, **command: Any) -> Any:
    """The result of a method, which must succeed."""
    client.send(do=method, **command)
    return client.wait_for("done", method=method).get("result")


def data_of(client: Driver, count: int) -> list[Any]:
    """The payloads of the next publications."""
    return [client.wait_for("publication")["data"] for _ in range(count)]


def expiring(seconds: float = SHORT, **claims: Any) -> str:
    return jwt(exp=int(time.time() + seconds), **claims)


# -- connecting


def test_a_client_with_a_token_connects(server: Server, start_client: Start) -> None:
    assert len(connected(start_client(server.port))) == 36


def test_a_client_without_a_token_is_refused(server: Server, start_client: Start) -> None:
    client = start_client(server.port, token="")
    client.send(do="connect")
    event = client.wait_for("disconnected")
    assert (event["code"], event["reason"]) == (3501, "bad request")


def test_an_anonymous_user_may_not_subscribe(server: Server, start_client: Start) -> None:
    client = start_client(server.port, user="")
    connected(client)
    client.send(do="subscribe", channel="news:a")
    event = client.wait_for("unsubscribed", channel="news:a")
    assert (event["code"], event["reason"]) == (103, "permission denied")


def test_client_of_v2_does_not_reconnect_after_a_wrong_token(server: Server, start_client: Start) -> None:
    client = start_client(server.port, token=jwt("another key", sub="42"))
    client.send(do="connect")
    event = client.wait_for("disconnected")
    assert (event["code"], event["reason"]) == (3500, "invalid token")


def test_an_expired_token_is_replaced(server: Server, start_client: Start) -> None:
    with Application(token=lambda request: (200, {"token": jwt(sub="42")})) as application:
        client = start_client(server.port, token=expiring(-10, sub="42"), tokens=application.url("token"))
        connected(client)
        assert application.requests["token"] == [{}]


def test_a_token_is_replaced_before_the_connection_expires(
    start_server: Callable[..., Server], start_client: Start
) -> None:
    server = start_server(**OPTIONS, expired_connection_close_delay=1)
    with Application(token=lambda request: (200, {"token": expiring(sub="42")})) as application:
        client = start_client(server.port, tokens=application.url("token"), token="")
        connected(client)
        subscribed(client, "news:a")
        # Longer than the first token and the delay allow.
        assert [event for event in client.seen(2 * SHORT + 2) if event.get("code")] == []
        assert len(application.requests["token"]) >= 2
        APIClient(server.host, server.port).publish("news:a", 1)
        assert data_of(client, 1) == [1]


def test_the_server_subscribes_to_the_channels_of_the_token(
    server: Server, api: APIClient, start_client: Start
) -> None:
    channel = fresh("closed")
    client = start_client(server.port, token=jwt(sub="42", channels=[channel]))
    connected(client)
    client.wait_for("server_subscribed", channel=channel)
    api.publish(channel, {"text": "hello"})
    assert client.wait_for("server_publication", channel=channel)["data"] == {"text": "hello"}


# -- channels


def test_messages_of_the_backend_arrive_in_order(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("news")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    for number in range(20):
        api.publish(channel, {"number": number})
    publications = [client.wait_for("publication") for _ in range(20)]
    assert [publication["data"]["number"] for publication in publications] == list(range(20))
    assert [publication["offset"] for publication in publications] == list(range(1, 21))


def test_published_message_contains_its_publisher(server: Server, start_client: Start) -> None:
    channel = fresh("chat")
    ann = start_client(server.port, token=jwt(sub="ann", info={"name": "Ann"}))
    ben = start_client(server.port, user="ben")
    ann_id = connected(ann)
    connected(ben)
    subscribed(ann, channel)
    subscribed(ben, channel)
    result(ann, "publish", channel=channel, data={"text": "hello"})
    for client in (ann, ben):
        publication = client.wait_for("publication")
        assert publication["data"] == {"text": "hello"}
        assert publication["info"] == {"user": "ann", "client": ann_id, "conn_info": {"name": "Ann"}}


def test_a_publish_that_is_not_allowed_fails(server: Server, start_client: Start) -> None:
    channel = fresh("news")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    client.send(do="publish", channel=channel, data=1)
    failed = client.wait_for("failed", method="publish")
    assert (failed["code"], failed["message"]) == (103, "permission denied")


def test_tags_arrive_with_a_message(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("news")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    api.call_v4("publish", channel=channel, data=1, tags={"lang": "en"})
    assert client.wait_for("publication")["tags"] == {"lang": "en"}


def test_history_is_read_from_a_position_and_in_reverse(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("chat")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    for number in range(1, 7):
        api.publish(channel, number)
    top = result(client, "history", channel=channel)
    assert (top["publications"], top["offset"]) == ([], 6)

    def read(**options: Any) -> list[int]:
        history = result(client, "history", channel=channel, options=options)
        assert (history["offset"], history["epoch"]) == (6, top["epoch"])
        return [publication["data"] for publication in history["publications"]]

    assert read(limit=-1) == [1, 2, 3, 4, 5, 6]
    assert read(limit=2, since={"offset": 3, "epoch": top["epoch"]}) == [4, 5]
    assert read(limit=2, reverse=True) == [6, 5]
    assert read(limit=2, since={"offset": 3, "epoch": top["epoch"]}, reverse=True) == [2, 1]


def test_history_of_another_epoch_fails(server: Server, start_client: Start) -> None:
    channel = fresh("chat")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    client.send(do="history", channel=channel, options={"limit": 1, "since": {"offset": 1, "epoch": "other"}})
    assert client.wait_for("failed", method="history")["code"] == 112


def test_presence_and_presence_stats_are_read(server: Server, start_client: Start) -> None:
    channel = fresh("chat")
    ann = start_client(server.port, token=jwt(sub="ann", info={"name": "Ann"}))
    ben = start_client(server.port, user="ben")
    ids = {"ann": connected(ann), "ben": connected(ben)}
    for client in (ann, ben):
        subscribed(client, channel)
    assert result(ann, "presence", channel=channel) == {
        ids["ann"]: {"user": "ann", "client": ids["ann"], "conn_info": {"name": "Ann"}},
        ids["ben"]: {"user": "ben", "client": ids["ben"]},
    }
    assert result(ben, "presence_stats", channel=channel) == {"num_clients": 2, "num_users": 2}


def test_presence_without_the_option_fails(server: Server, start_client: Start) -> None:
    channel = fresh("news")
    client = start_client(server.port)
    connected(client)
    subscribed(client, channel)
    client.send(do="presence", channel=channel)
    assert client.wait_for("failed", method="presence")["code"] in (103, 108)


def test_v2_client_receives_joins_and_leaves_of_others(server: Server, library: Library, start_client: Start) -> None:
    channel = fresh("chat")
    ann = start_client(server.port, user="ann")
    connected(ann)
    subscribed(ann, channel, **library.subscription(join_leave=True))
    assert ann.wait_for("join")["info"]["user"] == "ann"
    ben = start_client(server.port, user="ben")
    ben_id = connected(ben)
    subscribed(ben, channel)
    assert ann.wait_for("join") == {"event": "join", "channel": channel, "info": {"user": "ben", "client": ben_id}}
    ben.send(do="unsubscribe", channel=channel)
    assert ann.wait_for("leave")["info"] == {"user": "ben", "client": ben_id}
    assert [event for event in ben.seen() if event["event"] in ("join", "leave")] == []


def test_an_unknown_namespace_ends_the_subscription(server: Server, start_client: Start) -> None:
    client = start_client(server.port)
    connected(client)
    client.send(do="subscribe", channel="nosuch:a")
    event = client.wait_for("unsubscribed", channel="nosuch:a")
    assert (event["code"], event["reason"]) == (102, "unknown channel")


# -- tokens of channels


def test_a_token_opens_a_channel(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("closed")

    def grant(request: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"token": jwt(sub="42", channel=request["channel"])}

    with Application(token=grant) as application:
        client = start_client(server.port, channelTokens=application.url("token"))
        connected(client)
        for name in (channel, "$secret"):
            subscribed(client, name)
            api.publish(name, name)
            assert data_of(client, 1) == [name]
        assert application.requests["token"] == [{"channel": channel}, {"channel": "$secret"}]


@pytest.mark.parametrize("channel", ["closed:a", "$secret"])
def test_subscribe_without_token_to_a_closed_channel_fails(server: Server, start_client: Start, channel: str) -> None:
    client = start_client(server.port)
    connected(client)
    client.send(do="subscribe", channel=channel)
    event = client.wait_for("unsubscribed", channel=channel)
    assert (event["code"], event["reason"]) == (103, "permission denied")


def test_a_token_of_another_channel_ends_the_connection(server: Server, start_client: Start) -> None:
    channel = fresh("closed")
    with Application(token=lambda request: (200, {"token": jwt(sub="42", channel="closed:b")})) as application:
        client = start_client(server.port, channelTokens=application.url("token"))
        connected(client)
        client.send(do="subscribe", channel=channel)
        assert client.wait_for("disconnected")["code"] == 3500


def test_a_token_of_a_channel_is_replaced_before_it_expires(
    start_server: Callable[..., Server], start_client: Start
) -> None:
    server = start_server(**OPTIONS, client_expired_sub_close_delay=1, client_presence_update_interval=1)

    def grant(request: dict[str, Any]) -> tuple[int, Any]:
        return 200, {"token": expiring(sub="42", channel=request["channel"])}

    with Application(token=grant) as application:
        client = start_client(server.port, channelTokens=application.url("token"))
        connected(client)
        subscribed(client, "closed:a")
        assert [event for event in client.seen(2 * SHORT + 2) if event["event"] == "unsubscribed"] == []
        assert len(application.requests["token"]) >= 3
        APIClient(server.host, server.port).publish("closed:a", 1)
        assert data_of(client, 1) == [1]
        assert [event for event in client.seen() if event["event"] == "subscribed"] == []


# -- what the backend and the network do


def test_missed_messages_are_recovered_in_order(
    server: Server, api: APIClient, library: Library, start_client: Start
) -> None:
    channel = fresh("news")
    with TcpProxy(server.host, server.port) as proxy:
        client = start_client(proxy.port)
        connected(client)
        subscribed(client, channel, **library.subscription())
        api.publish(channel, 1)
        assert data_of(client, 1) == [1]
        proxy.break_connections()
        client.wait_for("subscribing", channel=channel, code=1)
        for number in (2, 3, 4):
            api.publish(channel, number)
        proxy.restore()
        event = client.wait_for("subscribed", channel=channel)
        assert (event["was_recovering"], event["recovered"]) == (True, True)
        api.publish(channel, 5)
        assert data_of(client, 4) == [2, 3, 4, 5]
        assert [event for event in client.seen(0.2) if event["event"] == "publication"] == []


@pytest.mark.parametrize("library", WITH_SINCE, ids=str)
def test_first_subscription_with_a_position_receives_the_stored_message(
    server: Server, api: APIClient, start_client: Start
) -> None:
    channel, empty, beginning = fresh("scores"), fresh("scores"), {"offset": 0, "epoch": ""}
    for number in (1, 2):
        api.publish(channel, number)
    without = start_client(server.port)
    connected(without)
    assert not subscribed(without, channel)["recovered"]
    client = start_client(server.port)
    connected(client)
    assert subscribed(client, channel, since=beginning)["recovered"]
    assert data_of(client, 1) == [2]
    assert not subscribed(client, empty, since=beginning)["recovered"]
    assert [event for event in without.seen(0.2) if event["event"] == "publication"] == []


def test_too_many_missed_messages_are_not_recovered_in_v2(
    server: Server, api: APIClient, library: Library, start_client: Start
) -> None:
    channel = fresh("news")
    with TcpProxy(server.host, server.port) as proxy:
        client = start_client(proxy.port)
        connected(client)
        subscribed(client, channel, **library.subscription())
        api.publish(channel, 0)
        data_of(client, 1)
        proxy.break_connections()
        client.wait_for("subscribing", channel=channel, code=1)
        for number in range(1, 13):
            api.publish(channel, number)
        proxy.restore()
        event = client.wait_for("subscribed", channel=channel)
        assert (event["was_recovering"], event["recovered"]) == (True, False)
        api.publish(channel, 13)
        assert data_of(client, 1) == [13]


def test_messages_of_a_server_side_subscription_are_recovered(
    server: Server, api: APIClient, start_client: Start
) -> None:
    channel = fresh("closed")
    with TcpProxy(server.host, server.port) as proxy:
        client = start_client(proxy.port, token=jwt(sub="42", channels=[channel]))
        connected(client)
        client.wait_for("server_subscribed", channel=channel)
        api.publish(channel, 1)
        assert client.wait_for("server_publication")["data"] == 1
        proxy.break_connections()
        client.wait_for("connecting", code=1)
        for number in (2, 3):
            api.publish(channel, number)
        proxy.restore()
        assert client.wait_for("server_subscribed", channel=channel)["recovered"] is True
        api.publish(channel, 4)
        assert [client.wait_for("server_publication")["data"] for _ in range(3)] == [2, 3, 4]


def test_client_resubscribes_after_a_new_epoch(
    start_server: Callable[..., Server], library: Library, start_client: Start
) -> None:
    brief = {"name": "brief", "allow_subscribe_for_client": True, "history_size": 10, "recover": True}
    server = start_server(**{**OPTIONS, "namespaces": [{**brief, "history_lifetime": 1, "history_meta_ttl": 1}]})
    api = APIClient(server.host, server.port)
    client = start_client(server.port)
    connected(client)
    subscribed(client, "brief:a", **library.subscription())
    api.publish("brief:a", 1)
    assert data_of(client, 1) == [1]
    time.sleep(2)  # until nothing is known of the channel's history
    api.publish("brief:a", 2)
    assert client.wait_for("subscribing", code=2500)["reason"] == "insufficient state"
    event = client.wait_for("subscribed", channel="brief:a")
    assert (event["was_recovering"], event["recovered"]) == (True, False)
    api.publish("brief:a", 3)
    assert data_of(client, 1) == [3]


def lose_a_message(redis: RedisServer, channel: str, kept: bytes, lost: bytes) -> None:
    """Add another message to the history of a channel with one message, without publishing it to any node.

    The entry of the one that is there is `kept`, with its uid and its offset 1; the other one differs in its data.
    """
    keys = Keys("gentrifugo")
    stream, top = keys.stream(channel)
    entry, position = redis.ask("LINDEX", stream, 0), redis.ask("GET", top)
    epoch = position[:-1]  # the rest is the offset
    beginning, end = entry[: -len(epoch) - 2], entry[-len(epoch) - 1 :]
    assert entry == beginning + b"\x01" + end
    redis.ask("LPUSH", stream, beginning.replace(kept, lost) + b"\x02" + end)
    redis.ask("SET", top, epoch + b"2")


def test_a_client_that_has_missed_a_message_subscribes_again_and_recovers(
    start_server: Callable[..., Server], library: Library, start_client: Start, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis:
        server = start_server(**OPTIONS, **redis.options, redis_prefix="gentrifugo")
        api = APIClient(server.host, server.port)
        client = start_client(server.port)
        connected(client)
        subscribed(client, "news:a", **library.subscription())
        api.publish("news:a", "one")
        assert data_of(client, 1) == ["one"]
        lose_a_message(redis, "news:a", b"one", b"two")
        api.publish("news:a", "three")
        assert client.wait_for("subscribing", code=2500)["reason"] == "insufficient state"
        event = client.wait_for("subscribed", channel="news:a")
        assert (event["was_recovering"], event["recovered"]) == (True, True)
        api.publish("news:a", "four")
        assert data_of(client, 3) == ["two", "three", "four"]
        client.stop()
        server.stop()


def test_a_client_whose_subscription_was_ended_does_not_subscribe_again(
    server: Server, api: APIClient, start_client: Start
) -> None:
    channel = fresh("news")
    client = start_client(server.port, user="ann")
    connected(client)
    subscribed(client, channel)
    api.call_v4("unsubscribe", user="ann", channel=channel)
    event = client.wait_for("unsubscribed", channel=channel)
    assert (event["code"], event["reason"]) == (2000, "server unsubscribe")
    api.publish(channel, 1)
    assert [event for event in client.seen(0.2) if event["event"] in ("publication", "subscribed")] == []


def test_disconnected_user_of_v2_does_not_reconnect(server: Server, api: APIClient, start_client: Start) -> None:
    client = start_client(server.port, user="ann")
    connected(client)
    api.call_v4("disconnect", user="ann")
    event = client.wait_for("disconnected")
    assert (event["code"], event["reason"]) == (3503, "force disconnect")
    assert [event for event in client.seen(1) if event["event"] == "connected"] == []


def test_v1_calls_of_a_backend_reach_the_client(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("news")
    client = start_client(server.port, user="ann")
    connected(client)
    subscribed(client, channel)
    api.call("unsubscribe", user="ann", channel=channel)
    assert client.wait_for("unsubscribed", channel=channel)["code"] == 2000
    api.call("disconnect", user="ann")
    assert client.wait_for("disconnected")["code"] == 3503


def test_a_backend_subscribes_a_client(server: Server, api: APIClient, start_client: Start) -> None:
    channel = fresh("closed")
    client = start_client(server.port, user="ann")
    connected(client)
    api.call_v4("subscribe", user="ann", channel=channel)
    client.wait_for("server_subscribed", channel=channel)
    api.publish(channel, 1)
    assert client.wait_for("server_publication", channel=channel)["data"] == 1
    api.call_v4("unsubscribe", user="ann", channel=channel)
    client.wait_for("server_unsubscribed", channel=channel)


def test_clients_reconnect_after_a_restart(start_server: Callable[..., Server], start_client: Start) -> None:
    server = start_server(**OPTIONS)
    client = start_client(server.port)
    connected(client)
    subscribed(client, "news:a")
    server.stop()
    event = client.wait_for("connecting", code=3001)
    assert event["reason"] == "shutdown"
    restarted = start_server(port=server.port, **OPTIONS)
    client.wait_for("connected", within=30)
    event = client.wait_for("subscribed", channel="news:a")
    # The memory engine has begun anew.
    assert event["recovered"] is False
    APIClient(restarted.host, restarted.port).publish("news:a", 1)
    assert data_of(client, 1) == [1]
