"""cent, the Python library for the HTTP API: 1.3.0, which posts forms, and 2.1.0, which posts JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.driver import HERE, Driver
from tests.parts import cent
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.waiting import eventually

NAMESPACES = [{"name": "all", "presence": True, "history_size": 3, "history_lifetime": 60}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running({"namespaces": NAMESPACES}, tmp_path_factory.mktemp("cent")) as server:
        yield server


@pytest.fixture
def channel(unique: str) -> str:
    return f"all:{unique}"


class Cent:
    """One version of the library, in a separate process."""

    def __init__(self, version: str, url: str, secret: str) -> None:
        self.version = version
        environment = {**os.environ, "PYTHONPATH": str(cent(version))}
        self.driver = Driver([sys.executable, str(HERE / "cent_driver.py"), url, secret], environment)

    def call(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Call a method, which must succeed."""
        answer = self.answer(method=method, args=arguments, kwargs=keywords)
        assert answer["error"] is None, answer
        return answer["result"]

    def error(self, method: str, *arguments: Any) -> str:
        """Call a method, which must fail."""
        return str(self.answer(method=method, args=arguments)["error"])

    def answer(self, **call: Any) -> dict[str, Any]:
        self.driver.send(**call)
        return self.driver.read()


@pytest.fixture(scope="module", params=["1.3.0", "2.1.0"])
def library(request: pytest.FixtureRequest, server: Server) -> Iterator[Cent]:
    library = Cent(request.param, server.url, server.secret)
    with library.driver:
        yield library


def test_cent_can_call_publish(server: Server, library: Cent, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        library.call("publish", channel, {"text": "Grüße"}, client="some-client")
        body = client.push()["body"]
        assert (body["data"], body["client"]) == ({"text": "Grüße"}, "some-client")


def test_cent_can_call_broadcast(server: Server, library: Cent, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        client.subscribe(f"{channel}-2")
        library.call("broadcast", [channel, f"{channel}-2"], 1)
        assert [client.push()["body"]["channel"] for _ in range(2)] == [channel, f"{channel}-2"]


def test_cent_can_call_unsubscribe(server: Server, library: Cent, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        library.call("unsubscribe", "42", channel)
        assert client.push() == {"method": "unsubscribe", "body": {"channel": channel, "status": True}}


def test_cent_can_unsubscribe_from_every_channel(server: Server, library: Cent, channel: str) -> None:
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        client.subscribe(f"{channel}-2")
        library.call("unsubscribe", "42")
        assert {client.push()["body"]["channel"] for _ in range(2)} == {channel, f"{channel}-2"}


def test_cent_can_call_disconnect(server: Server, library: Cent) -> None:
    with ProtocolClient(server, user="42") as client:
        library.call("disconnect", "42")
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}


def test_cent_can_call_presence(server: Server, library: Cent, channel: str) -> None:
    with ProtocolClient(server, user="42", info='{"name": "Ann"}') as client:
        client.subscribe(channel)
        assert library.call("presence", channel) == {
            client.id: {"user": "42", "client": client.id, "default_info": {"name": "Ann"}}
        }


def test_cent_can_call_history(library: Cent, channel: str) -> None:
    for number in range(4):
        library.call("publish", channel, number)
    assert [message["data"] for message in library.call("history", channel)] == [3, 2, 1]


def test_cent_can_call_channels(server: Server, library: Cent, channel: str) -> None:
    eventually(lambda: library.call("channels") == [], what="clients of other tests are gone")
    with ProtocolClient(server, user="42") as client:
        client.subscribe(channel)
        assert library.call("channels") == [channel]


def test_cent_can_call_stats(library: Cent) -> None:
    stats = library.call("stats")
    (node,) = stats["nodes"]
    assert node["uid"]
    assert node["name"]
    assert node["started_at"]
    assert stats["metrics_interval"] == 60


def test_cent_can_call_node(library: Cent) -> None:
    """The libraries are older than the command `node`, which is called with their method `send`."""
    answer = library.answer(send=[["node", {}]])
    (reply,) = answer["result"]
    assert (reply["method"], reply["error"]) == ("node", None)
    assert reply["body"]["data"]["uid"]


def test_cent_can_send_several_commands_in_one_request(library: Cent, channel: str) -> None:
    answer = library.answer(
        send=[
            ["publish", {"channel": channel, "data": 1}],
            ["publish", {"channel": "nosuch:1", "data": 1}],
            ["history", {"channel": channel}],
        ]
    )
    published, failed, history = answer["result"]
    assert published == {"method": "publish", "error": None, "body": None}
    assert failed["error"] == "namespace not found"
    assert [message["data"] for message in history["body"]["data"]] == [1]


def test_unknown_namespace_is_an_error(library: Cent) -> None:
    assert library.error("publish", "nosuch:1", 1) == "namespace not found"


@pytest.mark.parametrize("method", ["presence", "history"])
def test_disabled_features_return_not_available(library: Cent, method: str) -> None:
    assert library.error(method, "news") == "not available"


@pytest.mark.parametrize("version", ["1.3.0", "2.1.0"])
def test_wrong_secret_is_refused(server: Server, version: str, channel: str) -> None:
    library = Cent(version, server.url, "wrong")
    with library.driver:
        assert "401" in library.error("publish", channel, 1)
