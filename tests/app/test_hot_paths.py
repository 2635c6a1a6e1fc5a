"""The length of the hot paths, in function calls: a change that makes one longer is noticed here, on any machine.

The limits are a tenth above the figures of Python 3.11, since libraries differ a little between versions. A change that
is worth more calls raises the limit, with its measurement in the commit; `python -m benchmarks` measures the time.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.socket import socketpair

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.endpoints import ENDPOINTS
from gentrifugo.app.extension.wsgi import port_app
from gentrifugo.app.http.head import parse_head
from gentrifugo.app.http.repeated_head import HeadParser
from gentrifugo.app.http.response import encode_response, json_response
from gentrifugo.app.net.bulk_send import SPEEDUPS_SWITCH
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.api import CommandAPI
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.server.http_server import HTTPServer
from gentrifugo.app.service import Service
from gentrifugo.engines.memory import MemoryEngine
from tests.app.conftest import config
from tests.credentials import connect_params, sign
from tests.greenlets import nothing_left_behind, settle
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient
from tests.parts import compiled_send_waiting

__all__ = ["nothing_left_behind"]

LIMITS: dict[str, float] = {
    "delivery, v1": 0.3,
    "delivery, v2": 0.38,
    "delivery, v2-protobuf": 0.43,
    "delivery without the C module, v1": 2.5,
    "delivery without the C module, v2": 2.6,
    "delivery without the C module, v2-protobuf": 2.6,
    "publish, v1": 16,
    "publish, v1, in a batch": 1.6,
    "publish with history, v1": 28,
    "publish with history, v1, in a batch": 8.8,
    "publish, method": 13,
    "publish, method, in a batch": 1.6,
    "publish with history, method": 27,
    "publish with history, method, in a batch": 12,
    "handshake, first of a kind": 160,
    "handshake, known": 58,
    "connect, v1": 88,
    "subscribe, v1": 86,
    "connect, v2": 138,
    "subscribe, v2": 115,
    "request, v1": 109,
    "request, method": 86,
    "head": 29,
    "head, repeated": 2.2,
    "head, another length": 14,
    "response": 5,
}
"""Calls of functions for one operation."""

SUBSCRIBERS = 100
CLIENTS = 3
"""Clients that do the same; the fewest calls count, since the first may fill caches."""
BATCH = 100
DATA = {"text": "x" * 80}
HEAD = b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nX-API-Key: key\r\nContent-Length: 120"


def calls_of(action: Callable[[], Any]) -> int:
    """The functions that `action` calls, those of Python and those in C, without finalizers of other objects."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    gc.disable()
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def fewest_calls(action: Callable[[], Any]) -> int:
    """The calls of `action` when it need not let other greenlets run, as it must on a busy machine."""
    return min(calls_of(action) for _ in range(3))


def check(operation: str, calls: float) -> None:
    assert calls <= LIMITS[operation], f"{operation}: {calls:g} calls of functions, {LIMITS[operation]:g} are allowed"


@pytest.fixture(params=["delivery", "delivery without the C module"])
def delivery(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use the C module for sending, or not, and return the name of the operation."""
    operation: str = request.param
    if operation == "delivery":
        compiled_send_waiting()
        monkeypatch.delenv(SPEEDUPS_SWITCH, raising=False)
    else:
        monkeypatch.setenv(SPEEDUPS_SWITCH, "0")
    return operation


@pytest.fixture
def node(start_node: Callable[..., Node]) -> Node:
    kept = Namespace(name="kept", history_size=10, history_lifetime=60)
    return start_node(MemoryEngine(), namespaces=(kept,), token_hmac_secret_key=KEY, allow_subscribe_for_client=True)


@pytest.mark.parametrize(
    ("name", "connected"),
    [("v1", LocalClient.connected), ("v2", LocalClientV2.connected), ("v2-protobuf", LocalProtobufClient)],
)
def test_delivery_to_a_subscriber_takes_few_calls(
    delivery: str, node: Node, name: str, connected: Callable[[Node], Any]
) -> None:
    clients = [connected(node) for _ in range(SUBSCRIBERS)]
    for client in clients:
        client.subscribe("news")
    settle()
    writes = [len(client.transport.socket.sent) for client in clients]
    data = json.dumps(DATA).encode()
    check(f"{delivery}, {name}", calls_of(partial(node.publish, "news", data)) / SUBSCRIBERS)
    settle()
    assert [len(client.transport.socket.sent) for client in clients] == [count + 1 for count in writes]


@pytest.mark.parametrize("channel", ["news", "kept:news"], ids=["plain", "with history"])
def test_publish_of_version_1_takes_few_calls(node: Node, channel: str) -> None:
    command = {"method": "publish", "params": {"channel": channel, "data": DATA}}
    kind = "publish" if channel == "news" else "publish with history"
    api = CommandAPI(node)
    single, batch = json.dumps(command).encode(), json.dumps([command] * BATCH).encode()
    api.process(single)
    check(f"{kind}, v1", calls_of(partial(api.process, single)))
    check(f"{kind}, v1, in a batch", fewest_calls(partial(api.process, batch)) / BATCH)


@pytest.mark.parametrize("channel", ["news", "kept:news"], ids=["plain", "with history"])
def test_publish_of_the_methods_takes_few_calls(node: Node, channel: str) -> None:
    params = {"channel": channel, "data": DATA}
    kind = "publish" if channel == "news" else "publish with history"
    methods = MethodCalls(node).by_name
    single, batch = json.dumps(params).encode(), json.dumps({"commands": [{"publish": params}] * BATCH}).encode()
    methods["publish"](single)
    check(f"{kind}, method", calls_of(partial(methods["publish"], single)))
    check(f"{kind}, method, in a batch", fewest_calls(partial(methods["batch"], batch)) / BATCH)


def test_connect_and_subscribe_of_version_1_takes_few_calls(node: Node) -> None:
    connect = {"uid": "1", "method": "connect", "params": connect_params("alice")}
    subscribe = {"uid": "2", "method": "subscribe", "params": {"channel": "news"}}
    clients = [LocalClient(node) for _ in range(CLIENTS)]
    check("connect, v1", min(calls_of(partial(client.send, connect)) for client in clients))
    check("subscribe, v1", min(calls_of(partial(client.send, subscribe)) for client in clients))
    settle()


def test_connect_and_subscribe_of_version_2_takes_few_calls(node: Node) -> None:
    connect = {"id": 1, "connect": {"token": connection_token(KEY, "alice")}}
    subscribe = {"id": 2, "subscribe": {"channel": "news"}}
    clients = [LocalClientV2(node) for _ in range(CLIENTS)]
    check("connect, v2", min(calls_of(partial(client.send, connect)) for client in clients))
    check("subscribe, v2", min(calls_of(partial(client.send, subscribe)) for client in clients))
    settle()


HANDSHAKE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_handshake_takes_few_calls(nothing_left_behind: None) -> None:
    application = port_app(Service(config()), ENDPOINTS)
    server = HTTPServer(("127.0.0.1", 0), application, log=None)
    whole = partial(HTTPConnection, server=server)
    first = "handshake, first of a kind"
    check(first, min(calls_of_handshake(lambda *peer: whole(*peer).serve_requests()) for _ in range(CLIENTS)))
    check("handshake, known", min(calls_of_handshake(server._serve_requests) for _ in range(CLIENTS)))


def calls_of_handshake(serve: Callable[[Any, str], object]) -> int:
    """Return the number of calls when `serve` serves the socket and the address of a client that sends a handshake."""
    served, peer = socketpair()
    peer.sendall(HANDSHAKE)
    calls = calls_of(partial(serve, served, ""))
    assert peer.recv(1000).startswith(b"HTTP/1.1 101 ")
    served.close()
    peer.close()
    return calls


PARAMS = {"channel": "news", "data": DATA}
REQUESTS = {
    "request, v1": ("/api/", {"method": "publish", "params": PARAMS}),
    "request, method": ("/api/publish", PARAMS),
}


@pytest.mark.parametrize("operation", REQUESTS)
def test_request_to_publish(operation: str, nothing_left_behind: None) -> None:
    service = Service(config(api_key="key"))
    server = SimpleNamespace(application=port_app(service, ENDPOINTS))
    path, command = REQUESTS[operation]
    body = json.dumps(command).encode()
    request = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: key\r\n"
        f"X-API-Sign: {sign(body.decode())}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    served, peer = socketpair()

    def ask() -> None:
        for _ in range(BATCH):
            peer.sendall(request)
            assert peer.recv(1000).startswith(b"HTTP/1.1 200 ")
        peer.close()

    asking = gevent.spawn(ask)
    connection = HTTPConnection(served, "", server)
    check(operation, calls_of(connection.serve_requests) / BATCH)
    asking.get()


def test_parsing_and_encoding_heads_takes_few_calls() -> None:
    parser = HeadParser()
    parser.parse(HEAD)
    check("head", calls_of(partial(parse_head, HEAD)))
    check("head, repeated", calls_of(partial(parser.parse, HEAD)))
    parser.parse(HEAD.replace(b"120", b"7"))
    check("head, another length", calls_of(partial(parser.parse, HEAD.replace(b"120", b"121"))))
    encode = partial(encode_response, json_response(b"{}"), keep_alive=True)
    check("response", min(calls_of(encode) for _ in range(CLIENTS)))  # the first one of a second formats the date
