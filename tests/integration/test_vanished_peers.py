"""Peers that disappear without closing, such as a phone that loses its network, on every transport."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.protocol.v2.token_making import connection_token
from tests.api_client import APIClient
from tests.network_namespace import Network, run_in_separate_network
from tests.protocol_client import ProtocolClient
from tests.servers import Server
from tests.sockjs_client import Connection, Service
from tests.stream_client import StreamClient
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually
from tests.websocket_client import WebSocketClient

StartServer = Callable[..., Server]

LOST = "10.255.0.1"
"""The address that vanishes."""
KEY = "the key of tests for tokens of protocol v2"
OPTIONS: dict[str, Any] = {
    "address": "0.0.0.0",
    "ping_interval": 2,
    "sockjs_heartbeat_delay": 1,
    "http_header_timeout": 2,
    "http_keepalive_timeout": 2,
    "token_hmac_secret_key": KEY,
    "client_pong_timeout": 1,
    "uni_sse": True,
    "uni_websocket": True,
}


@dataclass
class Peer:
    """The address of a server that becomes unreachable."""

    host: str
    port: int
    secret: str = "secret"


def open_websocket(peer: Peer, closing: ExitStack) -> None:
    closing.enter_context(ProtocolClient(peer, "42")).subscribe("news")


def open_websocket_of_sockjs(peer: Peer, closing: ExitStack) -> None:
    service = Service(peer.host, peer.port, "/connection")
    closing.callback(service.close)
    service.websocket(f"/000/{uuid.uuid4()}/websocket")


def open_stream(method: str, path: str) -> Callable[[Peer, ExitStack], None]:
    def open_it(peer: Peer, closing: ExitStack) -> None:
        service = Service(peer.host, peer.port, "/connection")
        closing.callback(service.close)
        connection = service.start(method, f"/000/{uuid.uuid4()}/{path}")
        assert connection.head().status == 200

    return open_it


def open_poll(path: str, opened: str) -> Callable[[Peer, ExitStack], None]:
    def open_it(peer: Peer, closing: ExitStack) -> None:
        service = Service(peer.host, peer.port, "/connection")
        closing.callback(service.close)
        session = f"/000/{uuid.uuid4()}"
        method = "GET" if "jsonp" in path else "POST"
        assert opened in service.request(method, f"{session}/{path}").text
        service.start(method, f"{session}/{path}")

    return open_it


def open_endless_response(path: str) -> Callable[[Peer, ExitStack], None]:
    def open_it(peer: Peer, closing: ExitStack) -> None:
        token = connection_token(KEY, "42")
        first = {"token": token} if path.startswith("uni_") else {"id": 1, "connect": {"token": token}}
        client = StreamClient(peer.port, f"/connection/{path}", first, host=peer.host)
        closing.enter_context(client)
        assert client.next()["connect"]

    return open_it


def open_one_way_websocket(peer: Peer, closing: ExitStack) -> None:
    client = WebSocketClient.connect(peer.host, peer.port, path="/connection/uni_websocket")
    closing.callback(client.drop)
    client.send_json({"token": connection_token(KEY, "42")})
    client.recv_json()


def keep_api_connection(peer: Peer, closing: ExitStack) -> None:
    connection = closing.enter_context(Connection(peer.host, peer.port))
    connection.send("GET", "/")
    connection.answer()


def send_half_a_request(peer: Peer, closing: ExitStack) -> None:
    connection = closing.enter_context(Connection(peer.host, peer.port))
    connection.sock.sendall(b"POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n")


def send_half_a_handshake(peer: Peer, closing: ExitStack) -> None:
    client = WebSocketClient.connect(peer.host, peer.port)
    closing.callback(client.drop)
    client.send_bytes(b"\x81")


TRANSPORTS: dict[str, Callable[[Peer, ExitStack], None]] = {
    "websocket": open_websocket,
    "SockJS websocket": open_websocket_of_sockjs,
    "xhr_streaming": open_stream("POST", "xhr_streaming"),
    "eventsource": open_stream("GET", "eventsource"),
    "htmlfile": open_stream("GET", "htmlfile?c=callback"),
    "xhr": open_poll("xhr", "o\n"),
    "jsonp": open_poll("jsonp?c=callback", 'callback("o")'),
    "http_stream": open_endless_response("http_stream"),
    "sse": open_endless_response("sse"),
    "uni_sse": open_endless_response("uni_sse"),
    "uni_websocket": open_one_way_websocket,
    "API": keep_api_connection,
    "half a request": send_half_a_request,
    "half a frame": send_half_a_handshake,
}


def connections_of(server: Server, address: str) -> list[str]:
    """The ports at an address to which the server has open connections."""
    number = int.from_bytes(socket.inet_aton(address), sys.byteorder)
    remote = f"{number:08X}:"
    process = Path(f"/proc/{server.pid}")
    rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    descriptors = set()
    for descriptor in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed at this moment
            descriptors.add(os.readlink(descriptor))
    return [row[2] for row in rows if row[2].startswith(remote) and f"socket:[{row[9]}]" in descriptors]


@pytest.mark.timeout(120)
def test_vanished_peers_are_closed_on_every_transport(start_server: StartServer) -> None:
    def check(network: Network) -> None:
        network.add(LOST)
        server = start_server(**OPTIONS, stale_connection_close_delay=3)
        with ExitStack() as closing:
            for open_it in TRANSPORTS.values():
                open_it(Peer(LOST, server.port), closing)
            eventually(lambda: len(connections_of(server, LOST)) >= len(TRANSPORTS))
            network.lose(LOST)
            # Only now: a client answers pings while a test reads from it, and opening all of these can take long.
            here = closing.enter_context(ProtocolClient(Peer("127.0.0.1", server.port), "here"))
            here.subscribe("news")
            api = APIClient("127.0.0.1", server.port)

            def publish_and_look() -> bool:
                api.publish("news", 1)
                assert here.message() == 1
                return not connections_of(server, LOST)

            eventually(publish_and_look, within=40, what=lambda: f"all are gone: {connections_of(server, LOST)}")
            metrics = api.call("node")["body"]["data"]["metrics"]
            assert metrics["node_num_clients"] == 1
            assert metrics["client_num_closed_ping_error"] >= 1

    run_in_separate_network(check)


def test_client_behind_a_dead_network_is_closed(start_server: StartServer) -> None:
    """Sending does not fail in this network, so only missing answers show that the client has disappeared."""
    server = start_server(ping_interval=1)
    api = APIClient(server.host, server.port)
    with (
        TcpProxy(server.host, server.port) as network,
        ProtocolClient(Peer("127.0.0.1", network.port), "42") as client,
    ):
        client.subscribe("news")
        network.drop_data()
        eventually(lambda: api.call("node")["body"]["data"]["metrics"]["node_num_clients"] == 0, within=10)
        assert api.call("channels")["body"]["data"] == []
