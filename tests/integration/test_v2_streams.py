"""centrifuge-js 5 in Chromium over streams, configured as streams.md shows it, and behind proxies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.clients.driver import Driver
from tests.clients.v2 import Library, browser_server
from tests.docs.pages import DOCS, read
from tests.integration.test_proxies import nginx_conf, nginx_of
from tests.integration.test_streams import KEY, OPTIONS, api, haproxy_of
from tests.nginx_server import free_port, proxy
from tests.servers import Server, running
from tests.waiting import seconds

CHROMIUM = Library("chromium", "json")
ARGUMENTS = """
class Centrifuge { constructor(url, options) { console.log(JSON.stringify({url, options})); } }
const token = process.argv[1];
"""
"""Before the example of the page, prints what it gives to the library."""
StartClient = Callable[..., Driver]


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with browser_server() as endpoint:
        yield endpoint


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "compressed"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    namespaces = [
        {"name": "chat", "allow_subscribe_for_client": True, "allow_publish_for_client": True},
        {"name": "log", "allow_subscribe_for_client": True, "history_size": 10, "history_ttl": 60, "recover": True},
    ]
    options = {"allowed_origins": "*", "namespaces": namespaces, "stream_compression": request.param}
    with running({**OPTIONS, **options}, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start_client(browser: str) -> Iterator[StartClient]:
    """Start a client at a port with the configuration that docs/streams.md shows; WebSockets fail there."""
    with ExitStack() as clients:

        def start(port: int, transport: str) -> Driver:
            (example,) = [block for block in read(DOCS / "streams.md").blocks if block.language == "js"]
            command = ["node", "-e", ARGUMENTS + example.text, connection_token(KEY, "ann")]
            printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds(10)).stdout
            host = f"127.0.0.1:{port}"
            given = json.loads(printed.replace("s://realtime.example.com", f"://{host}"))
            given["url"] = [way for way in given["url"] if way["transport"] in ("websocket", transport)]
            given["url"][0]["endpoint"] = f"ws://{host}/blocked"
            client = CHROMIUM.start(port, browser=browser, **given)
            clients.callback(client.stop)
            return client

        yield start


def check_client(client: Driver, transport: str, api_port: int) -> None:
    """Connect, subscribe, publish, and receive publications of a backend."""
    client.send(do="connect")
    assert client.wait_for("connected")["transport"] == transport
    client.send(do="subscribe", channel="chat:room")
    client.wait_for("subscribed", channel="chat:room")
    client.send(do="publish", channel="chat:room", data={"text": "from the client"})
    assert client.wait_for("publication")["data"] == {"text": "from the client"}
    client.wait_for("done", method="publish")
    for number in range(20):
        api(api_port, "publish", channel="chat:room", data=number)
    assert [client.wait_for("publication")["data"] for _ in range(20)] == list(range(20))


@pytest.mark.parametrize("transport", ["http_stream", "sse"])
def test_browser_without_websocket_uses_streams(server: Server, start_client: StartClient, transport: str) -> None:
    check_client(start_client(server.port, transport), transport, server.port)


@pytest.mark.parametrize("transport", ["http_stream", "sse"])
def test_browser_recovers_missed_publications(server: Server, start_client: StartClient, transport: str) -> None:
    client = start_client(server.port, transport)
    client.send(do="connect")
    client.wait_for("connected")
    client.send(do="subscribe", channel="log:room")
    client.wait_for("subscribed")
    api(server.port, "disconnect", user="ann", disconnect={"code": 4000, "reason": "come back"})
    client.wait_for("connecting", code=4000)
    for number in range(3):
        api(server.port, "publish", channel="log:room", data=number)
    assert client.wait_for("subscribed")["recovered"] is True
    assert [client.wait_for("publication")["data"] for _ in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("transport", ["http_stream", "sse"])
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_browser_uses_streams_behind_a_proxy(
    server: Server, start_client: StartClient, tmp_path: Path, transport: str, kind: str
) -> None:
    port = free_port()
    command = nginx_of(nginx_conf(port, server), tmp_path) if kind == "nginx" else haproxy_of(port, server, tmp_path)
    with proxy(command, port, tmp_path):
        check_client(start_client(port, transport), transport, server.port)
