"""Closed connections are freed at once, by their reference counts.

A cycle of references would keep each of them in memory until the garbage collector examines all objects of the process.
"""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from gevent.socket import create_connection, socket

from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.exchange.peer_watch import PeerWatch
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.net.direct_socket import DirectSocket
from gentrifugo.app.net.outbox import Queue
from gentrifugo.app.node.base_client import BaseClient
from gentrifugo.app.node.membership import Membership
from gentrifugo.app.protocol.connection import ClientConnection
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.service import Service
from gentrifugo.app.sockjs.session import Session
from gentrifugo.app.streams.stream import StreamTransport
from gentrifugo.app.websocket.connection import WebSocket
from tests.app.conftest import config
from tests.credentials import connect_params
from tests.greenlets import eventually, nothing_left_behind
from tests.local_client_v2 import KEY
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

PARTS = (
    BaseClient,
    ClientConnection,
    DirectSocket,
    PeerWatch,
    Membership,
    Queue,
    Session,
    StreamTransport,
    WebSocket,
)
"""The classes of which a connection has an object."""
OPTIONS: dict[str, Any] = {
    "token_hmac_secret_key": KEY,
    "allow_subscribe_for_client": True,
    "presence": True,
    "join_leave": True,
    "history_size": 5,
    "history_lifetime": 60,
    "recover": True,
    "sockjs_heartbeat_delay": 1,
    "http_stream": True,
    "uni_websocket": True,
    "uni_sse": True,
    "uni_http_stream": True,
}
TOKEN = connection_token(KEY, "alice", channels=["news"])
CONNECT_V1 = json.dumps({"uid": "1", "method": "connect", "params": connect_params("alice")})
SUBSCRIBE_V1 = '{"uid":"2","method":"subscribe","params":{"channel":"news"}}'
CONNECT_V2 = f'{{"id":1,"connect":{{"token":"{TOKEN}"}}}}'
SUBSCRIBE_V2 = '{"id":2,"subscribe":{"channel":"chat","recover":true}}'


class Peer:
    """A client that sends prepared requests and frames, and waits for parts of the answers."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.socket: socket = create_connection(address, timeout=seconds(5))

    def send(self, data: bytes, expected: bytes) -> None:
        """Send data, and wait until the answer contains the expected bytes."""
        self.socket.sendall(data)
        answer = b""
        while expected not in answer:
            received = self.socket.recv(65536)
            assert received, f"the connection ended after {answer!r}"
            answer += received

    def upgrade(self, path: str) -> None:
        """Open a WebSocket."""
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
        self.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n".encode(),
            b"\r\n\r\n",
        )

    def frame(self, text: str, expected: bytes) -> None:
        """Send a text frame, and wait for the expected bytes."""
        data = text.encode()
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self.send(b"\x81" + size + bytes(4) + data, expected)

    def post(self, path: str, body: str, expected: bytes) -> None:
        """Send a request with a body, and wait for the expected bytes."""
        self.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode(), expected)

    def beside(self) -> Peer:
        """Open another connection to the same server."""
        return Peer(self._address)


def websocket_v1(peer: Peer) -> None:
    peer.upgrade("/connection/websocket")
    peer.frame(CONNECT_V1, b'"version"')
    peer.frame(SUBSCRIBE_V1, b'"subscribe"')


def websocket_v2(peer: Peer) -> None:
    peer.upgrade("/connection/websocket")
    peer.frame(CONNECT_V2, b'"version"')
    peer.frame(SUBSCRIBE_V2, b'"subscribe"')


def websocket_without_a_command(peer: Peer) -> None:
    peer.upgrade("/connection/websocket")


def websocket_with_an_invalid_frame(peer: Peer) -> None:
    peer.upgrade("/connection/websocket")
    peer.frame("nonsense", b"\x88")


def one_way_websocket(peer: Peer) -> None:
    peer.upgrade("/connection/uni_websocket")
    peer.frame(f'{{"token":"{TOKEN}"}}', b'"version"')


def sockjs_websocket(peer: Peer) -> None:
    peer.upgrade("/connection/000/session/websocket")
    peer.frame(json.dumps([CONNECT_V1]), b"version")
    peer.frame(json.dumps([SUBSCRIBE_V1]), b"subscribe")


def sockjs_stream(peer: Peer) -> None:
    peer.post("/connection/000/session/xhr_streaming", "", b"o\n")
    sender = peer.beside()
    sender.post("/connection/000/session/xhr_send", json.dumps([CONNECT_V1, SUBSCRIBE_V1]), b" 204 ")
    sender.socket.close()


def http_stream(peer: Peer) -> None:
    peer.post("/connection/http_stream", CONNECT_V2, b'"version"')


def one_way_sse(peer: Peer) -> None:
    query = quote(f'{{"token":"{TOKEN}"}}')
    peer.send(f"GET /connection/uni_sse?cf_connect={query} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b'"version"')


KINDS = (
    websocket_v1,
    websocket_v2,
    websocket_without_a_command,
    websocket_with_an_invalid_frame,
    one_way_websocket,
    sockjs_websocket,
    sockjs_stream,
    http_stream,
    one_way_sse,
)


@pytest.fixture
def address(nothing_left_behind: None) -> Iterator[tuple[str, int]]:
    """The address of a server."""
    service = Service(config(**OPTIONS))
    service.start()
    listener = socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = HTTPServer(listener, port_app(service, ENDPOINTS), log=None)
    server.start()
    yield listener.getsockname()
    server.stop()
    service.close_connections()
    service.stop()


@pytest.fixture
def without_collector() -> Iterator[None]:
    """Switch the garbage collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def parts_in_memory() -> Counter[str]:
    """Count the objects in memory that are parts of connections, by class."""
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, PARTS))


@pytest.mark.parametrize("use", KINDS)
@pytest.mark.usefixtures("without_collector")
def test_closed_connection_is_freed_without_the_garbage_collector(
    address: tuple[str, int], use: Callable[[Peer], None]
) -> None:
    before = parts_in_memory()
    peer = Peer(address)
    use(peer)
    assert parts_in_memory() - before
    peer.socket.close()
    eventually(lambda: not parts_in_memory() - before, within=15, what="all parts of the connection are freed")
