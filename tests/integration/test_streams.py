"""Clients without WebSocket, and one-way clients, with real servers; the example of curl in streams.md."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gentrifugo.app.protocol.v2.token_making import connection_token, sign_token
from tests.docs.pages import DOCS, read
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, Gunicorn
from tests.integration.test_proxies import nginx_conf, nginx_of
from tests.nginx_server import free_port, nginx, proxy
from tests.parts import ROOT, program
from tests.redis_server import redis_server
from tests.servers import Server, running
from tests.stream_client import StreamClient, request
from tests.waiting import eventually, seconds
from tests.websocket_client import Closed, WebSocketClient

KEY = "the key of tests for tokens of protocol v2"
API_KEY = "the key of the backend"
ORIGIN = "http://localhost:3000"
OPTIONS: dict[str, Any] = {
    "token_hmac_secret_key": KEY,
    "api_key": API_KEY,
    "allowed_origins": ORIGIN,
    "allow_subscribe_for_client": True,
    "http_stream_max_request_body_size": 4096,
    "sse_max_request_body_size": 4096,
    "emulation_max_request_body_size": 8192,
    "uni_sse": True,
    "uni_http_stream": True,
    "uni_websocket": True,
    "log_level": "debug",
    "node_ping_interval": 0.2,
}
StartServer = Callable[..., Server]


def connect(user: str = "ann", **claims: Any) -> dict[str, Any]:
    return {"id": 1, "connect": {"token": connection_token(KEY, user, **claims)}}


def listening(*channels: str, user: str = "ann") -> dict[str, Any]:
    """The request of a one-way client."""
    return {"token": connection_token(KEY, user, channels=list(channels))}


def api(port: int, method: str, **params: Any) -> None:
    status, _, body = request(port, "POST", f"/api/{method}", params, X_API_Key=API_KEY)
    assert (status, "error" in json.loads(body)) == (200, False), body


@contextmanager
def under(kind: str, directory: Path, **options: Any) -> Iterator[Any]:
    """A server of one kind: the command, or gunicorn with GentrifugoWorker or gevent-websocket's worker."""
    if kind == "command":
        with running({**OPTIONS, **options}, directory) as server:
            yield server
        return
    gunicorn = Gunicorn({**OPTIONS, **options}, directory, kind)
    try:
        gunicorn.wait_until_ready()
        yield gunicorn
    finally:
        gunicorn.stop()


@pytest.fixture(scope="module", params=["command", GENTRIFUGO_WORKER, STOCK_WORKER])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with under(request.param, tmp_path_factory.mktemp("streams")) as server:
        yield server


@pytest.fixture
def command(start_server: StartServer) -> Server:
    return start_server(**OPTIONS)


# -- both directions


@pytest.mark.parametrize(
    ("path", "get"),
    [("/connection/http_stream", False), ("/connection/sse", True), ("/connection/sse", False)],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_client_connects_subscribes_and_receives_messages(server: Any, path: str, get: bool, version: str) -> None:
    with StreamClient(server.port, path, connect(), get=get, version=version) as client:
        assert client.status == 200
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["cache-control"].startswith("private, no-cache, no-store")
        assert client.headers["expires"] == "0"
        result = client.next()["connect"]
        assert len(result["session"]) >= 22
        assert result["node"]
        assert client.post({"id": 2, "subscribe": {"channel": "news"}}) == 204
        assert client.next() == {"id": 2, "subscribe": {}}
        api(server.port, "publish", channel="news", data={"text": "line\nbreak"})
        assert client.next() == {"push": {"channel": "news", "pub": {"data": {"text": "line\nbreak"}}}}
        api(server.port, "disconnect", user="ann", disconnect={"code": 4002, "reason": "maintenance"})
        assert client.next() == {"push": {"disconnect": {"code": 4002, "reason": "maintenance"}}}
        assert client.read() is None


def test_an_invalid_token_ends_the_stream_with_the_reason(server: Any) -> None:
    with StreamClient(server.port, "/connection/http_stream", {"id": 1, "connect": {"token": "no"}}) as client:
        assert client.status == 200
        assert client.next() == {"push": {"disconnect": {"code": 3500, "reason": "invalid token"}}}
        assert client.read() is None


def test_many_commands_are_carried_out_in_order(server: Any) -> None:
    with StreamClient(server.port, "/connection/http_stream", connect()) as client:
        client.next()
        for number in range(2, 30):
            assert client.post({"id": number, "unsubscribe": {"channel": "news"}}) == 204
        assert [client.next()["id"] for _ in range(2, 30)] == list(range(2, 30))


def test_protobuf_stream_carries_commands_and_messages(server: Any) -> None:
    token = connection_token(KEY, "ann").encode()
    connect_request = b"\x0a" + varint(len(token)) + token
    message = b"\x08\x01\x22" + varint(len(connect_request)) + connect_request
    headers = "Content-Type: application/octet-stream\r\n"
    first = varint(len(message)) + message
    with StreamClient(server.port, "/connection/http_stream", first, headers=headers) as client:
        assert client.headers["content-type"] == "application/octet-stream"
        reply = client.read_bytes()
        assert reply[1:4] == b"\x08\x01\x2a" or reply[2:5] == b"\x08\x01\x2a"  # id 1, connect


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


# -- refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/connection/sse", None, 400),
        ("GET", "/connection/http_stream", None, 405),
        ("PUT", "/connection/sse", "{}", 405),
        ("POST", "/connection/http_stream", "x" * 5000, 413),
        ("POST", "/connection/sse", "x" * 5000, 413),
        ("POST", "/connection/uni_sse", "hello", 400),
        ("POST", "/connection/uni_http_stream", "[]", 400),
        ("GET", "/connection/uni_websocket", None, 400),
        ("GET", "/emulation", None, 405),
        ("POST", "/emulation", "hello", 400),
        ("POST", "/emulation", {"session": "s", "node": "n", "data": 1}, 400),
        ("POST", "/emulation", {"session": "s", "node": "nobody", "data": "{}"}, 404),
        ("POST", "/emulation", {"session": "", "node": "", "data": ""}, 404),
        ("POST", "/emulation", "x" * 9000, 413),
    ],
)
def test_invalid_requests_are_refused(server: Any, method: str, path: str, body: Any, status: int) -> None:
    assert request(server.port, method, path, body)[0] == status


def test_a_refused_method_is_named_with_those_that_are_allowed(server: Any) -> None:
    status, headers, text = request(server.port, "PUT", "/connection/sse", "{}")
    assert (status, headers["allow"]) == (405, "GET, POST, OPTIONS")
    assert text == "PUT is not allowed: this endpoint requires GET or POST\n"


def test_commands_for_an_unknown_session_are_discarded(server: Any) -> None:
    with StreamClient(server.port, "/connection/http_stream", connect()) as client:
        client.next()
        body = {"session": "unknown", "node": client.node, "data": "{}"}
        assert request(server.port, "POST", "/emulation", body)[0] == 204


@pytest.mark.parametrize("path", ["/connection/http_stream", "/connection/sse", "/emulation"])
def test_pages_of_listed_origins_may_connect_and_no_others(server: Any, path: str) -> None:
    status, headers, _ = request(server.port, "OPTIONS", path, None, Origin=ORIGIN)
    assert status == 204
    assert headers["access-control-allow-origin"] == ORIGIN
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-max-age"] == "300"
    for method in ("OPTIONS", "POST", "PUT"):
        status, headers, _ = request(server.port, method, path, "{}", Origin="http://elsewhere.example")
        assert status == 403
        assert "access-control-allow-origin" not in headers
        assert headers["vary"] == "Origin"


def test_pages_of_listed_origins_can_read_why_a_request_is_refused(server: Any) -> None:
    status, headers, _ = request(server.port, "POST", "/emulation", "hello", Origin=ORIGIN)
    assert (status, headers["access-control-allow-origin"]) == (400, ORIGIN)


def test_a_link_with_cookies_does_not_connect(server: Any) -> None:
    status, _, _ = request(
        server.port, "GET", "/connection/sse?cf_connect={}", None, Cookie="session=1", Sec_Fetch_Site="cross-site"
    )
    assert status == 403


def test_disabled_stream_endpoints_return_404(start_server: StartServer) -> None:
    server = start_server(**{**OPTIONS, "http_stream": False, "sse": False, "uni_sse": False})
    for path in ("/connection/http_stream", "/connection/sse", "/connection/uni_sse", "/emulation"):
        assert request(server.port, "POST", path, "{}")[0] == 404


# -- one-way


@pytest.mark.parametrize(("path", "get"), [("uni_sse", True), ("uni_sse", False), ("uni_http_stream", False)])
def test_one_way_client_receives_channels_of_its_token(server: Any, path: str, get: bool) -> None:
    with StreamClient(server.port, f"/connection/{path}", listening("news"), get=get) as client:
        result = client.next()["connect"]
        assert result["subs"] == {"news": {}}
        assert result["session"]
        assert not {"node", "pong"} & result.keys()
        api(server.port, "publish", channel="news", data=1)
        assert client.next() == {"channel": "news", "pub": {"data": 1}}
        api(server.port, "disconnect", user="ann")
        assert client.next() == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
        assert client.read() is None


def test_one_way_client_connects_over_websocket(server: Any) -> None:
    socket = WebSocketClient.connect("127.0.0.1", server.port, path="/connection/uni_websocket")
    socket.send_text(json.dumps(listening("news")))
    assert json.loads(socket.recv_text())["connect"]["subs"] == {"news": {}}
    socket.send_text("what comes later is ignored")
    api(server.port, "publish", channel="news", data=1)
    assert json.loads(socket.recv_text()) == {"channel": "news", "pub": {"data": 1}}
    api(server.port, "disconnect", user="ann")
    assert json.loads(socket.recv_text()) == {"disconnect": {"code": 3503, "reason": "force disconnect"}}
    with pytest.raises(Closed) as closed:
        socket.recv_text()
    assert closed.value.code == 3503


def test_a_one_way_client_with_an_expired_token_is_closed(server: Any) -> None:
    first = {"token": sign_token(KEY, {"sub": "ann", "exp": 1})}
    with StreamClient(server.port, "/connection/uni_http_stream", first) as client:
        assert client.next() == {"disconnect": {"code": 3005, "reason": "connection expired"}}
        assert client.read() is None


def test_curl_receives_messages(command: Server) -> None:
    (shown,) = [line for line in read(DOCS / "streams.md").commands if line.startswith("curl ")]
    token = connection_token(KEY, "ann", channels=["news"])
    arguments = shlex.split(shown.replace("…", token).replace(":8000", f":{command.port}"))
    with subprocess.Popen([program("curl"), "-s", *arguments[1:]], stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert "connect" in json.loads(curl.stdout.readline())
        api(command.port, "publish", channel="news", data=1)
        assert json.loads(curl.stdout.readline()) == {"channel": "news", "pub": {"data": 1}}
        api(command.port, "disconnect", user="ann")
        assert b"disconnect" in curl.stdout.readline()
        assert curl.wait(seconds(5)) == 0


# -- pings, and what ends a stream


def test_pings_are_answered_with_a_post(start_server: StartServer) -> None:
    server = start_server(**OPTIONS, ping_interval=0.5, client_pong_timeout=0.4)
    with StreamClient(server.port, "/connection/http_stream", connect()) as client:
        client.read()
        for _ in range(3):
            assert client.read() == {}
            assert client.post({}) == 204
        while (message := client.read()) == {}:
            pass
        assert message == {"push": {"disconnect": {"code": 3012, "reason": "no pong"}}}


def test_one_way_clients_need_not_answer_pings(start_server: StartServer) -> None:
    server = start_server(**OPTIONS, ping_interval=0.2, client_pong_timeout=0.1)
    with StreamClient(server.port, "/connection/uni_sse", listening("news"), get=True) as client:
        assert "connect" in client.read()
        assert [client.read() for _ in range(5)] == [{}] * 5


def test_shutdown_is_sent_to_streams(start_server: StartServer) -> None:
    server = start_server(**OPTIONS)
    with StreamClient(server.port, "/connection/sse", connect(), get=True) as client:
        client.next()
        server.stop()
        assert client.next() == {"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}}
        assert client.read() is None


def test_disconnected_client_is_noticed(server: Any) -> None:
    def channels() -> dict[str, Any]:
        body = request(server.port, "POST", "/api/channels", {"pattern": "left"}, X_API_Key=API_KEY)[2]
        return dict(json.loads(body)["result"].get("channels", {}))

    with StreamClient(server.port, "/connection/uni_http_stream", listening("left")) as client:
        client.next()
        assert channels() == {"left": {"num_clients": 1}}
    eventually(lambda: channels() == {})


def test_secrets_are_not_logged(command: Server) -> None:
    first = connect()
    with StreamClient(command.port, "/connection/sse", first, get=True) as client:
        client.next()
        client.post({"id": 2, "unsubscribe": {"channel": "news"}})
        client.next()
        eventually(lambda: "/emulation" in command.log)
        assert "cf_connect=…" in command.log
        assert client.session not in command.log
        assert first["connect"]["token"] not in command.log


# -- several nodes


def test_commands_reach_the_node_of_the_stream(start_server: StartServer, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        options = {**OPTIONS, "engine": "redis", "redis_port": str(redis.port)}
        first, second = start_server(**options), start_server(**options)
        with StreamClient(first.port, "/connection/http_stream", connect()) as client:
            client.next()
            for number in range(2, 40):
                port = (first.port, second.port)[number % 2]
                assert client.post({"id": number, "unsubscribe": {"channel": "news"}}, port=port) == 204
            assert [client.next()["id"] for _ in range(2, 40)] == list(range(2, 40))
            body = {"session": client.session, "node": "nobody", "data": "{}"}
            eventually(lambda: request(second.port, "POST", "/emulation", body)[0] == 404)
            client.socket.close()
        for server in (second, first):
            server.stop()


# -- behind proxies


def test_nginx_passes_streams_on_at_once(command: Server, tmp_path: Path) -> None:
    port = free_port()
    blocks = f"""
        server {{
            listen 127.0.0.1:{port};
            location / {{ proxy_pass http://127.0.0.1:{command.port}; }}
        }}"""
    with nginx(tmp_path, blocks, port):  # with its defaults: buffering on, HTTP/1.0
        check_streams(port, command.port)


def haproxy_of(port: int, server: Any, directory: Path) -> list[str]:
    """Run HAProxy with the file of the repository, on this port and with this server."""
    text = (ROOT / "conf" / "haproxy.cfg").read_text()
    text = text.replace("bind :80\n", f"bind 127.0.0.1:{port}\n").replace("maxconn 50000", "maxconn 100")
    text = text.replace("127.0.0.1:8000 check", f"127.0.0.1:{server.port}")
    text = text.replace("    server second 127.0.0.1:8001 check\n", "")
    file = directory / "haproxy.cfg"
    file.write_text(text)
    return [program("haproxy"), "-f", str(file)]


def test_haproxy_passes_streams_on_at_once(command: Server, tmp_path: Path) -> None:
    port = free_port()
    with proxy(haproxy_of(port, command, tmp_path), port, tmp_path):
        check_streams(port, command.port)


@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_proxy_passes_messages_on_at_once_over_http_2(command: Server, tmp_path: Path, kind: str) -> None:
    port = free_port()
    if kind == "nginx":
        listen = f"listen 127.0.0.1:{port} http2;"
        arguments = nginx_of(nginx_conf(port, command).replace(f"listen 127.0.0.1:{port};", listen), tmp_path)
    else:
        arguments = haproxy_of(port, command, tmp_path)
        file = tmp_path / "haproxy.cfg"
        file.write_text(file.read_text().replace(f"bind 127.0.0.1:{port}\n", f"bind 127.0.0.1:{port} proto h2\n"))
    url = f"http://127.0.0.1:{port}/connection/uni_http_stream"
    listen_to = [program("curl"), "-sN", "--http2-prior-knowledge", "-d", json.dumps(listening("news")), url]
    with proxy(arguments, port, tmp_path), subprocess.Popen(listen_to, stdout=subprocess.PIPE) as curl:
        assert curl.stdout is not None
        assert "connect" in json.loads(curl.stdout.readline())
        for number in range(3):
            api(command.port, "publish", channel="news", data=number)
            assert json.loads(curl.stdout.readline())["pub"]["data"] == number
        api(command.port, "disconnect", user="ann")
        assert b"disconnect" in curl.stdout.readline()
        assert curl.wait(seconds(5)) == 0


def check_streams(port: int, server_port: int) -> None:
    """Check that a message arrives through the proxy before the response ends, on each kind of stream."""
    for path in ("/connection/http_stream", "/connection/sse"):
        with StreamClient(port, path, connect(), get=path.endswith("sse")) as client:
            client.next()
            assert client.post({"id": 2, "subscribe": {"channel": "news"}}) == 204
            assert client.next() == {"id": 2, "subscribe": {}}
            api(server_port, "publish", channel="news", data=1)
            assert client.next() == {"push": {"channel": "news", "pub": {"data": 1}}}
