"""Centrifugo connections over SockJS: the same as over WebSocket, under the command and under both gunicorn workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from tests.api_client import APIClient
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, gunicorn
from tests.protocol_client import ProtocolClient
from tests.servers import running
from tests.sockjs_client import Connection, Service
from tests.sockjs_protocol_client import SockJSProtocolClient
from tests.waiting import eventually, seconds

OPTIONS = {"namespaces": [{"name": "live", "presence": True, "join_leave": True, "publish": True}]}
INTERRUPTED = 'c[1002,"Connection interrupted"]'
STILL_OPEN = 'c[2010,"Another connection still open"]'

Start = Callable[..., Any]


@pytest.fixture(params=["command", "our worker", "stock worker"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Start a server: `start(option=value, ...)`."""
    with ExitStack() as servers:

        def start_one(**options: Any) -> Any:
            directory = Path(mkdtemp(dir=tmp_path))
            options = {**OPTIONS, **options}
            if request.param == "command":
                return servers.enter_context(running(options, directory))
            worker = GENTRIFUGO_WORKER if request.param == "our worker" else STOCK_WORKER
            return servers.enter_context(gunicorn(directory, worker, **options))

        yield start_one


@pytest.fixture
def start_command(start_server: Start) -> Start:
    """Start servers with the command alone, for tests that do not depend on the worker."""
    return lambda **options: start_server(**{**OPTIONS, **options})


def api_of(server: Any) -> APIClient:
    return APIClient(server.host, server.port)


def num_clients(api: APIClient) -> int:
    return int(api.call("node")["body"]["data"]["metrics"]["node_num_clients"])


def presence(api: APIClient) -> list[str]:
    return list(api.call("presence", channel="live:a")["body"]["data"])


def closed(reason: str, reconnect: bool) -> str:
    text = json.dumps({"reason": reason, "reconnect": reconnect})
    return f"c[3000,{json.dumps(text)}]"


def test_sockjs_carries_commands_replies_and_messages(start: Start) -> None:
    server = start()
    api = api_of(server)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("live:a")
        api.publish("live:a", {"number": 1e3})
        assert client.receive()["body"]["data"] == {"number": 1e3}
        reply = client.call("publish", channel="live:a", data="mine")
        both = [reply, client.receive()]
        assert sorted(message["method"] for message in both) == ["message", "publish"]
        assert api.call("node")["body"]["data"]["metrics"]["http_sockjs_num_requests"] > 0


def test_a_message_is_the_same_over_every_transport(start: Start) -> None:
    """100 messages in order, with unusual characters."""
    server = start()
    api = api_of(server)
    text = '50%41 </script> \u2028 \U0001f600 é \\ "'
    paths = {"xhr_streaming": "POST", "eventsource": "GET", "htmlfile?c=cb": "GET", "websocket": "WS"}
    with SockJSProtocolClient(server.host, server.port, "ann") as poller:
        poller.subscribe("news")
        for path, method in paths.items():
            service = Service(server.host, server.port, "/connection")
            try:
                check_transport(service, path, method, api, text)
            finally:
                service.close()
        for _ in paths:
            assert [poller.receive()["body"]["data"] for _ in range(100)] == [[n, text] for n in range(100)]


def check_transport(service: Service, path: str, method: str, api: APIClient, text: str) -> None:
    from tests.credentials import connect_params

    commands = [("connect", connect_params("bob")), ("subscribe", {"channel": "news"})]
    quoted = json.dumps([json.dumps({"method": name, "params": params}) for name, params in commands])
    received: list[Any] = []
    session = service.session()
    if method == "WS":
        websocket = service.websocket(f"{session.url}/{path}")
        frames = iter(websocket.recv_text, None)
        send: Callable[[], object] = partial(websocket.send_text, quoted)
    else:
        stream = service.start(method, f"{session.url}/{path}")
        stream.head()
        stream.chunk()
        frames = (unwrapped(path, chunk) for chunk in iter(stream.chunk, b""))
        send = partial(session.send_raw, quoted.encode())
    assert next(frames) == "o"
    send()
    while len(received) < 2:
        received += json.loads(next(frames)[1:])
    for number in range(100):
        api.publish("news", [number, text])
    while len(received) < 102:
        received += json.loads(next(frames)[1:])
    assert [json.loads(message)["body"].get("data") for message in received[2:]] == [[n, text] for n in range(100)]


def unwrapped(path: str, chunk: bytes) -> str:
    text = chunk.decode()
    if path == "eventsource":
        return text.removeprefix("data: ").removesuffix("\r\n\r\n").replace("%25", "%")
    if path.startswith("htmlfile"):
        return str(json.loads(text.removeprefix("<script>\np(").removesuffix(");\n</script>\r\n")))
    return text.removesuffix("\n")


# -- how sessions end


def watched(server: Any) -> ProtocolClient:
    """A client that receives joins and leaves."""
    watcher = ProtocolClient(server, "watcher")
    watcher.subscribe("live:a")
    assert watcher.push()["method"] == "join"
    return watcher


def test_an_aborted_poll_ends_the_connection_at_once_and_once(start: Start) -> None:
    server = start()
    api = api_of(server)
    with watched(server) as watcher, SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("live:a")
        assert watcher.push()["body"]["data"]["client"] == client.id
        poll = client.start_poll()
        assert client.session.poll() == STILL_OPEN
        assert client.id in presence(api), "the second reader ends nothing"
        began = time.monotonic()
        poll.close()
        left = watcher.push(timeout=2)
        assert (left["method"], left["body"]["data"]["client"]) == ("leave", client.id)
        assert time.monotonic() - began < seconds(1)
        assert client.session.poll() == INTERRUPTED
        assert client.session.send("{}").status == 204, "a late message is lost in silence"
        assert (client.id in presence(api), num_clients(api)) == (False, 1)
        watcher.socket.assert_quiet()


def test_an_aborted_stream_ends_the_connection_at_once(start_command: Start) -> None:
    server = start_command()
    api = api_of(server)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("live:a")
        stream = client.session.stream()
        time.sleep(0.1)
        stream.close()
        eventually(lambda: num_clients(api) == 0, within=2)
        assert presence(api) == []


def test_session_without_receiver_ends_after_the_disconnect_delay(start_command: Start) -> None:
    server = start_command()
    api = api_of(server)
    with watched(server) as watcher, SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("live:a")
        assert watcher.push()["method"] == "join"
        began = time.monotonic()
        left = watcher.push(timeout=8)
        assert (left["method"], left["body"]["data"]["client"]) == ("leave", client.id)
        assert time.monotonic() - began > 4
        assert client.session.send("{}").status == 404
        assert client.session.poll() == "o", "the next is a new session"
        assert num_clients(api) == 1


def test_polls_keep_a_session_alive_and_are_answered_with_heartbeats(start_command: Start) -> None:
    server = start_command(sockjs_heartbeat_delay=0.5)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("news")
        assert [client.session.poll() for _ in range(12)] == ["h"] * 12, "longer than the disconnect delay"
        api_of(server).publish("news", 1)
        assert client.receive()["body"]["data"] == 1


def test_streams_and_websockets_have_heartbeats(start_command: Start) -> None:
    server = start_command(sockjs_heartbeat_delay=0.5, stale_connection_close_delay=60)
    service = Service(server.host, server.port, "/connection")
    try:
        stream = service.session().stream()
        websocket = service.websocket(f"{service.session().url}/websocket")
        assert [stream.frame() for _ in range(3)] == ["o\n", "h\n", "h\n"]
        assert [websocket.recv_text() for _ in range(3)] == ["o", "h", "h"]
    finally:
        service.close()


def test_api_disconnects_a_sockjs_client(start_command: Start) -> None:
    server = start_command()
    api = api_of(server)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        poll = client.start_poll()
        api.call("disconnect", user="ann")
        reason = closed("disconnect", False)
        assert poll.answer().text == f"{reason}\n"
        assert [client.session.poll() for _ in range(2)] == [reason] * 2
        assert num_clients(api) == 0


def test_protocol_error_closes_the_session_with_a_reason(start_command: Start) -> None:
    server = start_command()
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.session.send("not a command")
        assert client.session.poll() == closed("invalid message", False)


def test_lone_surrogates_survive(start: Start) -> None:
    server = start()
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("live:a")
        client.session.send_raw(
            b'["{\\"method\\":\\"publish\\",\\"params\\":{\\"channel\\":\\"live:a\\",\\"data\\":\\"\\ud800\\"}}"]'
        )
        pushed = [message for message in (client.receive(), client.receive()) if message["method"] == "message"]
        assert pushed[0]["body"]["data"] == "\ud800"


def test_shutdown_closes_clients_with_the_reason(start: Start) -> None:
    server = start()
    reason = closed("shutting down", True)
    with (
        SockJSProtocolClient(server.host, server.port, "ann") as poller,
        SockJSProtocolClient(server.host, server.port, "bob") as streamer,
    ):
        poll = poller.start_poll()
        stream = streamer.session.stream()
        websocket = streamer.service.websocket(f"{streamer.service.session().url}/websocket")
        assert websocket.recv_text() == "o"
        server.process.terminate()
        assert poll.answer().text == f"{reason}\n"
        assert [stream.frame(), stream.frame()] == [f"{reason}\n", ""]
        assert websocket.recv_text() == reason
        websocket.close()
        assert server.process.wait(seconds(10)) == 0


# -- limits


def test_client_that_does_not_poll_is_closed_over_its_queue_limit(start_command: Start) -> None:
    server = start_command(client_queue_max_size=100_000)
    api = api_of(server)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("news")
        for _ in range(12):
            api.publish("news", "x" * 10_000)
        eventually(lambda: num_clients(api) == 0, within=3)
        assert client.session.poll() == closed("slow", False)


def test_unread_stream_is_closed_over_its_queue_limit(start_command: Start) -> None:
    server = start_command(client_queue_max_size=100_000)
    api = api_of(server)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        client.subscribe("news")
        stream = client.service.start("POST", f"{client.session.url}/xhr_streaming")
        stream.head()
        for _ in range(10_000):
            api.publish("news", "x" * 60_000)
            # The stream ends at the response limit; whoever does not read that does not poll again.
            if num_clients(api) == 0:
                break
        assert num_clients(api) == 0
        stream.close()


def test_a_body_that_is_too_large_closes_the_session(start: Start) -> None:
    server = start(client_request_max_size=1000)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        poll = client.start_poll()
        answer = client.session.send("x" * 5000)
        assert answer.status == 413
        assert answer.headers["access-control-allow-origin"] == "*"
        assert poll.answer().text == closed("limit exceeded", False) + "\n"


def test_too_large_message_over_websocket_closes_the_session(start_command: Start) -> None:
    server = start_command(client_request_max_size=1000)
    service = Service(server.host, server.port, "/connection")
    try:
        websocket = service.websocket(f"{service.session().url}/websocket")
        assert websocket.recv_text() == "o"
        websocket.send_text(json.dumps(["x" * 5000]))
        advice = {"reason": "limit exceeded", "reconnect": False}
        (code, reason) = json.loads(websocket.recv_text().removeprefix("c"))
        assert (code, json.loads(reason)) == (3000, advice)
        told = websocket.wait_closed()
        assert (told.code, told.advice) == (3000, advice)
    finally:
        service.close()


def test_a_message_that_is_too_large_closes_the_session(start_command: Start) -> None:
    server = start_command(client_request_max_size=1000)
    with SockJSProtocolClient(server.host, server.port, "ann") as client:
        assert client.session.send("x" * 1001).status == 204
        assert client.session.poll() == closed("limit exceeded", False)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_huge_body_is_not_read(start: Start, chunked: bool) -> None:
    server = start()
    with Connection(server.host, server.port) as connection:
        manner = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(1 << 40)}
        fields = {"Host": "localhost", **manner}
        head = "\r\n".join(
            ["POST /connection/a/b/xhr_send HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        )
        connection.sock.sendall(head.encode())
        if chunked:
            connection.sock.sendall(b"30000\r\n" + b"x" * 0x30000 + b"\r\n")
        assert connection.answer().status == 413


def test_incomplete_body_does_not_occupy_a_greenlet(start: Start) -> None:
    server = start(http_header_timeout=0.5)
    with Connection(server.host, server.port) as connection:
        connection.sock.sendall(
            b'POST /connection/a/b/xhr_send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n["half'
        )
        connection.sock.settimeout(seconds(15))
        assert connection.answer().status == 408


def test_prefix_applies_to_the_sockjs_endpoint(start: Start) -> None:
    server = start(http_prefix="/rt")
    service = Service(server.host, server.port, "/rt/connection")
    assert service.session().opened().send("{}").status == 204
    assert Service(server.host, server.port, "/connection").get("").status == 404


def test_endpoint_has_the_path_of_sockjs_client(start: Start) -> None:
    server = start(sockjs_url="/static/sockjs.js?a=<b>")
    service = Service(server.host, server.port, "/connection")
    assert service.get("").text == service.get("/").text == "Welcome to SockJS!\n"
    assert service.get("/info").status == 200
    assert '<script src="/static/sockjs.js?a=&lt;b&gt;"></script>' in service.get("/iframe.html").text
    for path in ("//", "/a", "/a/a/", "/a./a/xhr", "//a/b/xhr", "/a//b/xhr"):
        assert service.get(path).status == 404, path
    answer = service.options("/a/b/xhr", {"Origin": "http://page", "Access-Control-Request-Headers": "x-y"})
    assert (answer.status, answer.headers["access-control-allow-headers"]) == (204, "x-y")
    for answer in (service.post("/websocket"), service.post("/a/b/websocket", headers={"Upgrade": "websocket"})):
        assert (answer.status, answer.headers["allow"], answer.body) == (405, "GET", b"")
