"""Compressed WebSockets: clients with and without compression, and attackers."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.api_client import APIClient
from tests.clients.driver import node_driver
from tests.credentials import connect_params
from tests.parts import program
from tests.protocol_client import ProtocolClient
from tests.servers import Server, running
from tests.websocket_client import HandshakeRefused, WebSocketClient

DATA = {"text": "Is anybody there? " * 50}
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
RSV1 = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = {"websocket_compression": True, "namespaces": [{"name": "open", "publish": True}]}
    with running(options, tmp_path_factory.mktemp("server")) as server:
        yield server


def call(client: ClientConnection, method: str, **params: Any) -> Any:
    client.send(json.dumps({"method": method, "params": params}))
    return json.loads(client.recv(timeout=5))


def test_client_that_requests_compression_gets_it(server: Server) -> None:
    url = f"ws://{server.host}:{server.port}/connection/websocket"
    with connect(url, compression="deflate") as client:
        assert [extension.name for extension in client.protocol.extensions] == ["permessage-deflate"]
        assert "error" not in call(client, "connect", **connect_params("42"))
        call(client, "subscribe", channel="open:news")
        client.send(json.dumps({"method": "publish", "params": {"channel": "open:news", "data": DATA}}))
        received = [json.loads(client.recv(timeout=5)) for _ in range(2)]
        assert [message["body"]["data"] for message in received if message["method"] == "message"] == [DATA]


def test_all_kinds_of_clients_get_the_same_message(server: Server) -> None:
    api = APIClient(server.host, server.port)
    url = f"ws://{server.host}:{server.port}/connection/websocket"
    offers = ["permessage-deflate", "permessage-deflate; server_max_window_bits=9"]
    with ProtocolClient(server, "plain") as plain, connect(url, compression="deflate") as library:
        raw = [
            WebSocketClient.connect(server.host, server.port, headers={"Sec-WebSocket-Extensions": o}) for o in offers
        ]
        for client in raw:
            client.send_json({"method": "connect", "params": connect_params("raw")})
            client.recv_frame()
            client.send_json({"method": "subscribe", "params": {"channel": "news"}})
            client.recv_frame()
        plain.subscribe("news")
        call(library, "connect", **connect_params("42"))
        call(library, "subscribe", channel="news")
        api.publish("news", DATA)
        assert plain.message() == DATA
        assert json.loads(library.recv(timeout=5))["body"]["data"] == DATA
        for client, window_bits in zip(raw, (15, 9), strict=True):
            frame = client.recv_frame()
            assert frame.rsv == RSV1
            assert len(frame.payload) < 300
            text = zlib.decompressobj(-window_bits).decompress(frame.payload + b"\x00\x00\xff\xff")
            assert json.loads(text)["body"]["data"] == DATA
            client.close()


def test_small_messages_are_left_alone(start_server: Callable[..., Server]) -> None:
    server = start_server(websocket_compression=True, websocket_compression_min_size=500)
    with WebSocketClient.connect(server.host, server.port, headers=DEFLATE) as client:
        client.send_json({"method": "connect", "params": connect_params("42")})
        assert client.recv_frame().rsv == 0
        client.send_json({"method": "subscribe", "params": {"channel": "news"}})
        assert client.recv_frame().rsv == 0
        APIClient(server.host, server.port).publish("news", DATA)
        assert client.recv_frame().rsv == RSV1


def test_compression_is_not_used_without_the_option(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with WebSocketClient.connect(server.host, server.port, headers=DEFLATE) as client:
        assert "sec-websocket-extensions" not in client.headers


def test_an_offer_that_cannot_be_read_is_refused(server: Server) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocketClient.connect(server.host, server.port, headers={"Sec-WebSocket-Extensions": "permessage-deflate; ="})
    assert refused.value.status == 400
    assert b"cannot parse Sec-WebSocket-Extensions" in refused.value.body


def test_compression_bomb_closes_only_its_own_connection(start_server: Callable[..., Server]) -> None:
    server = start_server(websocket_compression=True)
    bombs = [WebSocketClient.connect(server.host, server.port, headers=DEFLATE) for _ in range(20)]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (deflater.compress(b" " * (64 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    with ProtocolClient(server, "42") as other:
        before = memory_peak(server)
        for client in bombs:
            client.send_frame(1, bomb, rsv=RSV1)
        for client in bombs:
            frame = client.recv_frame()
            assert (frame.opcode, b"limit exceeded" in frame.payload) == (8, True)
            client.drop()
        assert other.call("ping")["method"] == "ping"
        # Each may have its 64 KB on the way in, as often as it is put together, and the largest message inflated.
        assert memory_peak(server) - before < len(bombs) * (2 << 20)


def memory_peak(server: Server) -> int:
    """The peak memory of the server in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="ascii")
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


def test_browser_uses_compression(server: Server) -> None:
    url = json.dumps(f"ws://{server.host}:{server.port}/connection/websocket")
    opened = f"new Promise((tell) => {{const s = new WebSocket({url}); s.onopen = () => tell(s.extensions);}})"
    with node_driver("browser_driver.js", program("chromium"), package="playwright-core") as browser:
        browser.wait_for("ready", within=30)
        browser.send(do="evaluate", expression=opened)
        assert browser.wait_for("value")["value"].startswith("permessage-deflate")


def test_centrifuge_js_in_node_works_with_compression(server: Server) -> None:
    url = f"ws://{server.host}:{server.port}/connection/websocket"
    with node_driver(
        "centrifuge_driver.js", json.dumps({"url": url, **connect_params("42")}), package="centrifuge"
    ) as c:
        c.send(do="connect")
        c.wait_for("connect")
        c.send(do="subscribe", channel="open:news")
        c.wait_for("subscribe")
        APIClient(server.host, server.port).publish("open:news", DATA)
        assert c.wait_for("message")["data"] == DATA


def test_bad_bytes_close_the_connection_with_a_protocol_error(server: Server) -> None:
    with WebSocketClient.connect(server.host, server.port, headers=DEFLATE) as client:
        client.send_frame(1, b"\xff\xff\xff", rsv=RSV1)
        assert client.wait_closed().code == 1002
    with connect(f"ws://{server.host}:{server.port}/connection/websocket", compression="deflate") as client2:
        client2.send("not json")
        with pytest.raises(ConnectionClosed, match="invalid message"):
            client2.recv(timeout=5)
