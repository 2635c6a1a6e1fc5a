"""cent.js 6.1, the Node library for the API of later versions: every method, with a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clients.driver import Driver, node_driver
from tests.protocol_client import ProtocolClient
from tests.servers import Server

KEY = "a key for tests"
NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server(namespaces=NAMESPACES, api_key=KEY)


@pytest.fixture
def cent(server: Server) -> Iterator[Driver]:
    with node_driver("centjs_driver.js", server.url, KEY, package="cent.js") as driver:
        yield driver


def call(cent: Driver, method: str, params: Any = None) -> Any:
    """Call a method of the library, which must succeed, and return the result."""
    cent.send(do="call", method=method, params=params)
    answer = cent.wait_for("answer")
    assert answer["error"] is None, answer
    return answer["result"]


def test_cent_js_can_call_publish_and_broadcast(server: Server, cent: Driver) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe("all:1")
        assert call(cent, "publish", {"channel": "all:1", "data": {"text": "Grüße"}})["offset"] == 1
        responses = call(cent, "broadcast", {"channels": ["all:1", "nosuch:1"], "data": {}})["responses"]
        assert responses[0]["result"]["offset"] == 2
        assert responses[1]["error"]["code"] == 102
        assert [client.message(), client.message()] == [{"text": "Grüße"}, {}]


def test_cent_js_can_call_history(cent: Driver) -> None:
    for number in range(4):
        call(cent, "publish", {"channel": "all:1", "data": {"n": number}})
    history = call(cent, "getHistory", {"channel": "all:1", "limit": -1, "reverse": True})
    assert [one["data"]["n"] for one in history["publications"]] == [3, 2, 1]
    assert call(cent, "removeHistory", {"channel": "all:1"}) == {}
    assert call(cent, "getHistory", {"channel": "all:1", "limit": -1})["publications"] == []


def test_cent_js_can_change_connections_of_a_user(server: Server, cent: Driver) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe("all:1")
        assert list(call(cent, "getPresence", {"channel": "all:1"})["presence"]) == [client.id]
        assert call(cent, "getPresenceStats", {"channel": "all:1"}) == {"num_clients": 1, "num_users": 1}
        assert call(cent, "getChannels") == {"channels": {"all:1": {"num_clients": 1}}}
        assert call(cent, "getInfo")["nodes"][0]["num_clients"] == 1
        assert call(cent, "subscribe", {"user": "nobody", "channel": "all:1"}) == {}
        assert call(cent, "refresh", {"user": "nobody"}) == {}
        assert call(cent, "unsubscribe", {"user": "42", "channel": "all:1"}) == {}
        assert client.push()["method"] == "unsubscribe"
        assert call(cent, "disconnect", {"user": "42"}) == {}
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_cent_js_can_send_several_commands_in_one_request(cent: Driver) -> None:
    commands = [
        {"method": "publish", "params": {"channel": "all:1", "data": {}}},
        {"method": "presence_stats", "params": {"channel": "all:1"}},
    ]
    published, stats = call(cent, "pipeline", commands)
    assert published["offset"] == 1
    assert stats == {"num_clients": 0, "num_users": 0}


def test_an_error_is_raised(cent: Driver) -> None:
    """The error of the library contains neither the code nor the text."""
    cent.send(do="call", method="publish", params={"channel": "nosuch:1", "data": {}})
    assert cent.wait_for("answer")["error"] is not None
