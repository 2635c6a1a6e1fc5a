"""cent.js 6.1, the Node library for the API of later versions: every method, with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.driver import Driver, node_driver
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.waiting import eventually

KEY = "a key for tests"
NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"namespaces": NAMESPACES, "api_key": KEY}, tmp_path_factory.mktemp("cent")) as server:
        yield server


@pytest.fixture
def channel(unique: str) -> str:
    return f"all:{unique}"


@pytest.fixture(scope="module")
def cent(server: Server) -> Iterator[Driver]:
    with node_driver("centjs_driver.js", server.url, KEY, package="cent.js") as driver:
        yield driver


def call(cent: Driver, method: str, params: Any = None) -> Any:
    """Call a method of the library, which must succeed, and return the result."""
    cent.send(do="call", method=method, params=params)
    answer = cent.wait_for("answer")
    assert answer["error"] is None, answer
    return answer["result"]


def test_cent_js_can_call_publish_and_broadcast(server: Server, cent: Driver, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        assert call(cent, "publish", {"channel": channel, "data": {"text": "Grüße"}})["offset"] == 1
        responses = call(cent, "broadcast", {"channels": [channel, "nosuch:1"], "data": {}})["responses"]
        assert responses[0]["result"]["offset"] == 2
        assert responses[1]["error"]["code"] == 102
        assert [client.message(), client.message()] == [{"text": "Grüße"}, {}]


def test_cent_js_can_call_history(cent: Driver, channel: str) -> None:
    for number in range(4):
        call(cent, "publish", {"channel": channel, "data": {"n": number}})
    history = call(cent, "getHistory", {"channel": channel, "limit": -1, "reverse": True})
    assert [one["data"]["n"] for one in history["publications"]] == [3, 2, 1]
    assert call(cent, "removeHistory", {"channel": channel}) == {}
    assert call(cent, "getHistory", {"channel": channel, "limit": -1})["publications"] == []


def test_cent_js_can_change_connections_of_a_user(server: Server, cent: Driver, channel: str) -> None:
    eventually(lambda: call(cent, "getInfo")["nodes"][0]["num_clients"] == 0, what="clients of other tests are gone")
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        assert list(call(cent, "getPresence", {"channel": channel})["presence"]) == [client.id]
        assert call(cent, "getPresenceStats", {"channel": channel}) == {"num_clients": 1, "num_users": 1}
        assert call(cent, "getChannels") == {"channels": {channel: {"num_clients": 1}}}
        assert call(cent, "getInfo")["nodes"][0]["num_clients"] == 1
        assert call(cent, "subscribe", {"user": "nobody", "channel": channel}) == {}
        assert call(cent, "refresh", {"user": "nobody"}) == {}
        assert call(cent, "unsubscribe", {"user": "42", "channel": channel}) == {}
        assert client.push()["method"] == "unsubscribe"
        assert call(cent, "disconnect", {"user": "42"}) == {}
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_cent_js_can_send_several_commands_in_one_request(cent: Driver, channel: str) -> None:
    commands = [
        {"method": "publish", "params": {"channel": channel, "data": {}}},
        {"method": "presence_stats", "params": {"channel": channel}},
    ]
    published, stats = call(cent, "pipeline", commands)
    assert published["offset"] == 1
    assert stats == {"num_clients": 0, "num_users": 0}


def test_an_error_is_raised(cent: Driver) -> None:
    """The error of the library contains neither the code nor the text."""
    cent.send(do="call", method="publish", params={"channel": "nosuch:1", "data": {}})
    assert cent.wait_for("answer")["error"] is not None
