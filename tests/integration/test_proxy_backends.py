"""Backends written for the HTTP proxy of Centrifugo, in Flask, Django and Express, behind a real server.

Clients are centrifuge-js 5 over WebSocket, and connections without WebSocket from plain sockets.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driver import Driver
from tests.clients.v2 import Library
from tests.hook_backend import Backend, hook_backend
from tests.parts import node_package, program
from tests.servers import Server, running
from tests.sockjs_client import Service
from tests.stream_client import StreamClient
from tests.waiting import eventually, seconds
from tests.websocket_client import WebSocketClient

HERE = Path(__file__).parent / "proxy_backends"
EVENTS = ("connect", "subscribe", "publish", "rpc")
NAMESPACES = [
    {"name": "chat", "proxy_subscribe": True, "proxy_publish": True, "presence": True},
    {"name": "open", "allow_subscribe_for_client": True, "allow_publish_for_client": True},
]
JS = Library("centrifuge-js", "json")

StartServer = Callable[..., Server]
Connect = Callable[..., Driver]


def command(framework: str) -> list[str]:
    if framework == "express":
        node_package("express")
        return [program("node"), str(HERE / "express_backend.js")]
    return [sys.executable, str(HERE / f"{framework}_backend.py")]


@contextmanager
def process(framework: str) -> Iterator[str]:
    """Run a backend in a separate process, and return its URL."""
    with subprocess.Popen(command(framework), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as backend:
        assert backend.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(backend.stdout.readline())}"
        finally:
            backend.terminate()


def options(url: str) -> dict[str, Any]:
    """The options of a server that sends requests to the backend at this URL."""
    return {"namespaces": NAMESPACES, **{f"proxy_{event}_endpoint": f"{url}/{event}" for event in EVENTS}}


@pytest.fixture(scope="module", params=["flask", "django", "express"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a backend in one of the frameworks."""
    with process(request.param) as url, running(options(url), tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Start a client, which connects as `user`."""
    clients: list[Driver] = []

    def start(port: int, user: str, library: Library = JS) -> Driver:
        client = library.start(port, options={"data": {"user": user}})
        clients.append(client)
        client.send(do="connect")
        return client

    yield start
    for client in clients:
        client.stop()


@pytest.mark.parametrize("library", [JS, Library("centrifuge-js", "protobuf")], ids=str)
def test_backend_identifies_the_client_and_sends_data(server: Server, connect: Connect, library: Library) -> None:
    client = connect(server.port, "ann", library)
    assert client.wait_for("connected")["data"] == {"hello": "ann"}
    client.wait_for("server_subscribed", channel="news")
    assert (
        connect(server.port, "mallory").wait_for("disconnected").items() >= {"code": 4501, "reason": "banned"}.items()
    )


def test_a_backend_decides_about_subscriptions(server: Server, connect: Connect) -> None:
    client = connect(server.port, "ann")
    client.send(do="subscribe", channel="chat:lobby")
    assert client.wait_for("subscribed", channel="chat:lobby")["data"] == {"topic": "chat:lobby"}
    client.send(do="subscribe", channel="chat:closed")
    client.wait_for("unsubscribed", channel="chat:closed", code=403, reason="members only")


def test_a_backend_decides_about_publications(server: Server, connect: Connect) -> None:
    client = connect(server.port, "ann")
    client.send(do="subscribe", channel="chat:talk")
    client.wait_for("subscribed")
    client.send(do="publish", channel="chat:talk", data={"text": "hello"})
    received = client.wait_for("publication")
    assert received["data"] == {"text": "HELLO", "by": "ann"}
    assert (received["info"]["conn_info"], received["info"]["chan_info"]) == ({"name": "Ann"}, {"seat": 1})
    client.send(do="publish", channel="chat:talk", data={"text": "bad"})
    client.wait_for("failed", method="publish", code=422, message="no such words")


def test_a_backend_answers_calls(server: Server, connect: Connect) -> None:
    client = connect(server.port, "ann")
    client.wait_for("connected")
    client.send(do="rpc", method="sum", data=[1, 2, 3])
    assert client.wait_for("done", method="rpc")["result"] == {"sum": 6}
    client.send(do="rpc", method="nothing", data=None)
    client.wait_for("failed", method="rpc", code=404, message="no such method")


def test_the_page_of_a_csrf_protection_is_a_temporary_error_and_one_line_in_the_log(
    start_server: StartServer, connect: Connect
) -> None:
    with process("django") as url:
        server = start_server(**{**options(url), "proxy_rpc_endpoint": f"{url}/protected"})
        client = connect(server.port, "ann")
        client.wait_for("connected")
        for _ in range(3):
            client.send(do="rpc", method="sum", data=[1])
            client.wait_for("failed", method="rpc", code=100)
    assert server.log.count("HTML page") == 1


def test_other_clients_are_served_while_a_backend_hangs(start_server: StartServer, connect: Connect) -> None:
    answers = threading.Event()

    def answer(asked: dict[str, Any]) -> tuple[int, Any]:
        if "channel" in asked:
            answers.wait(seconds(30))
        return 200, {"result": {"user": "ann"}}

    with hook_backend() as backend:
        backend.answer = answer
        server = start_server(**options(backend.url.partition("/hooks")[0]), hook_timeout=seconds(1))
        waiting, other = connect(server.port, "ann"), connect(server.port, "bob")
        waiting.send(do="subscribe", channel="chat:slow")
        eventually(lambda: any("channel" in asked for asked in backend.events))
        other.send(do="subscribe", channel="open:a")
        other.wait_for("subscribed", channel="open:a")
        other.send(do="publish", channel="open:a", data=1)
        other.wait_for("publication")
        waiting.wait_for("subscription_error", channel="chat:slow", code=100)
        answers.set()
    assert server.log.count("timeout: no response") == 1


def test_clients_connect_as_soon_as_a_backend_is_available(start_server: StartServer, connect: Connect) -> None:
    with hook_backend() as backend:
        url = backend.url.partition("/hooks")[0]
        backend.answer = lambda asked: (503 if len(backend.events) < 3 else 200, {"result": {"user": "ann"}})
        server = start_server(**options(url))
        client = connect(server.port, "ann")
        client.wait_for("error", code=100)
        client.wait_for("connected")
    assert server.log.count("status 503") == 1


def test_backend_decides_how_long_connections_continue(start_server: StartServer, connect: Connect) -> None:
    def answer(asked: dict[str, Any]) -> tuple[int, Any]:
        soon = int(time.time()) + 1
        if "user" not in asked:
            return 200, {"result": {"user": "ann", "expire_at": soon}}
        return 200, {"result": {"expire_at": soon} if len(backend.events) == 2 else {"expired": True}}

    with hook_backend() as backend:
        backend.answer = answer
        url = backend.url.partition("/hooks")[0]
        server = start_server(**options(url), proxy_refresh_endpoint=f"{url}/refresh")
        client = connect(server.port, "ann")
        client.wait_for("connected")
        client.wait_for("connecting", code=3005, reason="connection expired")
        assert [asked.get("user") for asked in backend.events[:3]] == [None, "ann", "ann"]
        client.wait_for("connected")


@pytest.mark.parametrize("name", ["uni_sse", "uni_http_stream"])
def test_backend_receives_requests_for_one_way_connections(start_server: StartServer, name: str) -> None:
    with hook_backend() as backend:
        backend.answer = lambda asked: (200, {"result": {"user": "ann", "channels": ["open:a"], "data": 7}})
        server = start_server(**options(backend.url.partition("/hooks")[0]), **{name: True})
        with StreamClient(server.port, f"/connection/{name}", {"data": {"page": 1}}) as client:
            first = client.next()
            assert (first["connect"]["data"], list(first["connect"]["subs"])) == (7, ["open:a"])
        asked(backend, transport=name, data={"page": 1})


@pytest.mark.parametrize("name", ["http_stream", "sse"])
def test_backend_receives_requests_for_streams(start_server: StartServer, name: str) -> None:
    with hook_backend() as backend:
        backend.answer = lambda asked: (200, {"result": {"user": "ann"}})
        server = start_server(**options(backend.url.partition("/hooks")[0]))
        with StreamClient(server.port, f"/connection/{name}", {"id": 1, "connect": {}}) as client:
            assert "error" not in client.next()
        asked(backend, transport=name)


@pytest.mark.parametrize(("name", "frame"), [("websocket", {"id": 1, "connect": {}}), ("uni_websocket", {})])
def test_backend_receives_the_name_of_a_websocket(start_server: StartServer, name: str, frame: dict[str, Any]) -> None:
    with hook_backend() as backend:
        backend.answer = lambda asked: (200, {"result": {"user": "ann"}})
        server = start_server(**options(backend.url.partition("/hooks")[0]), uni_websocket=True)
        client = WebSocketClient.connect("127.0.0.1", server.port, path=f"/connection/{name}")
        client.send_json(frame)
        assert "connect" in client.recv_json()
        client.drop()
        asked(backend, transport=name)


def test_backend_receives_the_name_of_a_sockjs_session(start_server: StartServer) -> None:
    with hook_backend() as backend:
        backend.answer = lambda asked: (200, {"result": {"user": "ann"}})
        server = start_server(**options(backend.url.partition("/hooks")[0]))
        session = Service("127.0.0.1", server.port, "/connection").session().opened()
        session.send('{"uid":"1","method":"connect","params":{}}')
        (reply,) = session.messages()
        assert "error" not in reply
        asked(backend, transport="sockjs")


def asked(backend: Backend, **fields: Any) -> None:
    """Check that the backend received one connect request with these fields."""
    (request,) = backend.events
    assert request.items() >= fields.items()
