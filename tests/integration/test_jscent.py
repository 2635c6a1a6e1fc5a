"""jscent 0.2.1, the Node library for the HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.driver import Driver, node_driver
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.waiting import eventually

NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"namespaces": NAMESPACES}, tmp_path_factory.mktemp("jscent")) as server:
        yield server


@pytest.fixture
def channel(unique: str) -> str:
    return f"all:{unique}"


@pytest.fixture(scope="module")
def jscent(server: Server) -> Iterator[Driver]:
    with node_driver("jscent_driver.js", server.url, server.secret, package="jscent") as driver:
        yield driver


def call(jscent: Driver, method: str, *arguments: Any) -> Any:
    """Call a method of the library, which must succeed, and give the reply."""
    jscent.send(do="call", method=method, args=arguments)
    answer = jscent.wait_for("answer")
    assert answer["error"] is None, answer
    return answer["body"]


def test_jscent_can_call_publish(server: Server, jscent: Driver, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        reply = call(jscent, "publish", channel, {"text": "Grüße"})
        assert reply == {"method": "publish", "error": None, "body": None}
        assert client.message() == {"text": "Grüße"}


def test_jscent_can_call_publish_client(server: Server, jscent: Driver, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        call(jscent, "publishClient", channel, 1, client.id)
        assert client.push()["body"]["client"] == client.id


def test_jscent_can_call_disconnect(server: Server, jscent: Driver) -> None:
    with ProtocolClient(server, user="42") as client:
        assert call(jscent, "disconnect", "42")["error"] is None
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_jscent_can_call_unsubscribe(server: Server, jscent: Driver, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        assert call(jscent, "unsubscribe", "42", channel)["error"] is None
        assert client.push() == {"method": "unsubscribe", "body": {"channel": channel, "status": True}}


def test_jscent_can_call_presence(server: Server, jscent: Driver, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        body = call(jscent, "presence", channel)["body"]
        assert body == {"channel": channel, "data": {client.id: {"user": "42", "client": client.id}}}


def test_jscent_can_call_history(jscent: Driver, channel: str) -> None:
    for number in range(4):
        call(jscent, "publish", channel, number)
    body = call(jscent, "history", channel)["body"]
    assert [message["data"] for message in body["data"]] == [3, 2, 1]


def test_jscent_can_call_channels(server: Server, jscent: Driver, channel: str) -> None:
    eventually(lambda: call(jscent, "channels")["body"] == {"data": []}, what="clients of other tests are gone")
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        assert call(jscent, "channels")["body"] == {"data": [channel]}


def test_jscent_can_call_stats(jscent: Driver) -> None:
    (node,) = call(jscent, "stats")["body"]["data"]["nodes"]
    assert node["uid"]
    assert node["name"]
    assert node["started_at"]


def test_jscent_can_send_several_commands_in_one_request(jscent: Driver, channel: str) -> None:
    commands = [
        {"method": "publish", "params": {"channel": channel, "data": 1}},
        {"method": "history", "params": {"channel": channel}},
    ]
    jscent.send(do="send", commands=commands)
    replies = jscent.wait_for("answer")["body"]
    assert [reply["method"] for reply in replies] == ["publish", "history"]
    assert replies[1]["body"]["data"][0]["data"] == 1


def test_unknown_namespace_is_an_error_in_the_reply(jscent: Driver) -> None:
    reply = call(jscent, "publish", "nosuch:1", 1)
    assert reply == {"method": "publish", "error": "namespace not found", "advice": "fix", "body": None}


def test_wrong_secret_is_refused(server: Server, channel: str) -> None:
    with node_driver("jscent_driver.js", server.url, "wrong", package="jscent") as driver:
        driver.send(do="call", method="publish", args=[channel, 1])
        assert driver.wait_for("answer")["error"] == 401
