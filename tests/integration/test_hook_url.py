"""Hooks of a backend in another process, which real servers call over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.credentials import sign
from tests.docs.pages import page
from tests.gunicorn_server import GENTRIFUGO_WORKER, STOCK_WORKER, gunicorn
from tests.hook_backend import Backend, hook_backend, slow_backend
from tests.protocol_client import ProtocolClient
from tests.redis_server import redis_server
from tests.servers import Server, running
from tests.sockjs_client import Service
from tests.waiting import eventually, seconds
from tests.websocket_client import WebSocketClient

EVENTS = "connect,subscribe,publish,refresh,disconnect,channel_occupied,channel_vacated,private_subscribe"
CLIENT = "1c30a4e0-5a4b-4f0e-9d6f-0c1de0000001"
OPTIONS: dict[str, Any] = {"publish": True, "hook_events": EVENTS, "hook_timeout": 2}

StartServer = Callable[..., Server]


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.fixture
def server(start_server: StartServer, backend: Backend) -> Server:
    return start_server(**OPTIONS, hook_url=backend.url)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Backend]]:
    """A server and its backend for tests in which no client gets connected, so that no event comes later."""
    directory = tmp_path_factory.mktemp("server")
    with hook_backend() as backend, running({**OPTIONS, "hook_url": backend.url}, directory) as server:
        yield server, backend


@contextmanager
def websocket(server: Any, headers: dict[str, str] | None = None) -> Iterator[WebSocketClient]:
    client = WebSocketClient.connect(server.host, server.port, headers=headers)
    try:
        yield client
    finally:
        client.drop()


def call(client: WebSocketClient, method: str, /, **params: Any) -> Any:
    client.send_json({"uid": "1", "method": method, "params": params})
    while (message := client.recv_json()).get("uid") != "1" or message["method"] != method:
        pass
    return message


def of_ann(event: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"user": 42, "info": {"name": "Ann"}} if event["event"] == "connect" else {}


def test_backend_identifies_the_user_by_browser_cookies(server: Server, backend: Backend) -> None:
    backend.answer = of_ann
    # X_Real_IP would pass for X-Real-IP, which only a proxy may say, in a backend that speaks WSGI or CGI.
    named = {"Cookie": "session=abc", "X-Secret": "not passed on", "X_Real_IP": "203.0.113.9"}
    with websocket(server, named) as client:
        assert "error" not in call(client, "connect")
        call(client, "subscribe", channel="news")
    eventually(lambda: backend.named("channel_vacated") and backend.named("disconnect"))
    connect, subscribe, *_ = backend.events
    assert connect == {
        "event": "connect",
        "time": connect["time"],
        "client": connect["client"],
        "address": "127.0.0.1",
    }
    assert abs(connect["time"] - time.time()) < 60
    assert subscribe.items() >= {"user": "42", "channel": "news", "info": {"name": "Ann"}}.items()
    assert backend.named("disconnect")[0].items() >= {"user": "42", "client": connect["client"]}.items()
    assert [event["channel"] for event in backend.named("channel_occupied")] == ["news"]
    headers = backend.headers[0]
    assert not [name for name in headers if "real" in name]
    assert (headers["cookie"], headers["content-type"], "x-secret" in headers) == (
        "session=abc",
        "application/json",
        False,
    )
    assert backend.unsigned == 0


@pytest.mark.parametrize(
    ("trusted", "told"),
    [("127.0.0.1", "198.51.100.3"), ("10.0.0.0/8", "127.0.0.1")],
    ids=["by a trusted proxy", "by the client itself"],
)
def test_forwarded_client_address_is_verified(
    start_server: StartServer, backend: Backend, trusted: str, told: str
) -> None:
    backend.answer = of_ann
    server = start_server(**OPTIONS, hook_url=backend.url, trusted_proxies=trusted)
    with websocket(server, {"X-Forwarded-For": "10.0.0.1, 198.51.100.3"}) as client:
        call(client, "connect")
    with websocket(server, {"X-Real-IP": "198.51.100.3"}) as client:
        call(client, "connect")
    eventually(lambda: len(backend.named("disconnect")) == 2)
    sent = [
        [headers.get("x-forwarded-for"), headers.get("x-real-ip")]
        for event, headers in zip(backend.events, backend.headers, strict=True)
        if event["event"] == "connect"
    ]
    assert sent == [[told, None], [None, told]]


def test_an_event_looks_as_the_docs_show_it(server: Server, backend: Backend) -> None:
    (example,) = (block.text for block in page("hooks.md").blocks if block.language == "json")
    shown = json.loads(example)
    backend.answer = lambda event: (200, {"user": shown["user"], "info": shown["info"]})
    with websocket(server, {"X-Forwarded-For": shown["address"]}) as client:
        call(client, "connect")
        call(client, "subscribe", channel=shown["channel"])
        call(client, "publish", channel=shown["channel"], data=shown["data"])
    (event,) = backend.named("publish")
    assert abs(event["time"] - time.time()) < 60
    assert event == {**shown, "time": event["time"], "client": event["client"]}
    assert list(event) == list(shown)


def test_hook_requests_are_signed_with_their_own_secret(start_server: StartServer, backend: Backend) -> None:
    backend.secret = "another"
    backend.answer = of_ann
    server = start_server(**OPTIONS, hook_url=backend.url, hook_secret="another")
    with websocket(server) as client:
        call(client, "connect")
    assert backend.events
    assert backend.unsigned == 0


@pytest.mark.parametrize(
    ("answer", "reason", "reconnect"),
    [
        ((403, ""), "permission denied", False),
        ((200, {"refuse": True}), "permission denied", False),
        ((200, {"refuse": "not today"}), "not today", False),
        ((200, {}), "invalid token", False),
        ((204, ""), "invalid token", False),
        ((404, {}), "internal server error", True),
        ((500, {}), "internal server error", True),
        ((302, {}), "internal server error", True),
        ((200, "<html>"), "internal server error", True),
        ((200, []), "internal server error", True),
        ((200, {"user": ["42"]}), "internal server error", True),
        ((200, "{" + " " * (1 << 20) + "}"), "internal server error", True),
    ],
    ids=lambda value: str(value)[:40],
)
def test_responses_of_the_backend_are_applied(
    refusing: tuple[Server, Backend], answer: tuple[int, Any], reason: str, reconnect: bool
) -> None:
    server, backend = refusing
    backend.answer = lambda event: answer
    with websocket(server) as client:
        client.send_json({"method": "connect", "params": {}})
        assert client.wait_closed().advice == {"reason": reason, "reconnect": reconnect}


def test_backend_decides_about_subscriptions_and_messages(server: Server, backend: Backend) -> None:
    def answer(event: dict[str, Any]) -> tuple[int, Any]:
        if event.get("channel") == "board":
            return 200, {"refuse": "members only"}
        if event["event"] == "publish":
            return (403, "") if event["data"] == "spam" else (200, {"data": {"text": event["data"].upper()}})
        return 200, {}

    backend.answer = answer
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        assert client.call("subscribe", {"channel": "board"})["error"] == "members only"
        assert client.call("publish", {"channel": "news", "data": "spam"})["error"] == "permission denied"
        client.call("publish", {"channel": "news", "data": "hello"})
        assert client.push()["body"]["data"] == {"text": "HELLO"}


def test_pages_get_signs_and_credentials(server: Server, backend: Backend) -> None:
    def answer(event: dict[str, Any]) -> tuple[int, Any]:
        if event["event"] == "private_subscribe":
            return (200, {"info": {"role": "admin"}}) if event["channel"] == "$mine" else (403, "")
        return 200, {"user": "42"}

    backend.answer = answer
    service = Service(server.host, server.port, "")
    headers = {"Content-Type": "application/json", "Cookie": "session=abc"}
    asked = service.post(
        "/centrifuge/auth/", json.dumps({"client": CLIENT, "channels": ["$mine", "$other"]}).encode(), headers
    )
    info = '{"role":"admin"}'
    assert json.loads(asked.text) == {
        "$mine": {"sign": sign(CLIENT, "$mine", info), "info": info},
        "$other": {"status": 403},
    }
    refreshed = json.loads(service.post("/centrifuge/refresh/", b"{}", headers).text)
    assert (refreshed["user"], refreshed["token"]) == ("42", sign("42", refreshed["timestamp"]))
    assert {headers["cookie"] for headers in backend.headers} == {"session=abc"}


def test_a_request_that_fails_is_made_again(server: Server, backend: Backend) -> None:
    backend.answer = lambda event: (503, "") if len(backend.events) < 3 else of_ann(event)
    with websocket(server) as client:
        assert "error" not in call(client, "connect")
    assert len(backend.named("connect")) == 3


def test_hanging_backend_delays_only_the_client_that_waits_for_it(start_server: StartServer, backend: Backend) -> None:
    options = {"hook_timeout": 0.2, "hook_tries": 2, "hook_events": "subscribe", "hook_url": backend.url}
    server = start_server(**options)

    def answer(event: dict[str, Any]) -> tuple[int, Any]:
        if event["user"] == "slow":
            time.sleep(1)
        return 200, {}

    backend.answer = answer
    with ProtocolClient(server, "slow") as slow, ProtocolClient(server, "quick") as quick:
        slow.socket.send_json({"uid": "s", "method": "subscribe", "params": {"channel": "news"}})
        quick.subscribe("news")
        refused = slow.socket.recv_json()
        assert (refused["error"], refused["advice"]) == ("internal server error", "retry")


def test_a_response_without_an_end_is_one_attempt_and_ends_with_the_timeout(start_server: StartServer) -> None:
    with slow_backend() as backend:
        options = {"hook_timeout": 0.3, "hook_tries": 3, "hook_events": "channel_occupied"}
        server = start_server(**options, hook_url=backend.url)
        started = time.monotonic()
        with ProtocolClient(server, "ann") as client:
            client.subscribe("news")
            eventually(
                lambda: "timeout: no response within 0.3 s (option hook_timeout)" in server.log, what=lambda: server.log
            )
            assert len(backend.asked) == 3
            assert time.monotonic() - started < seconds(3)


def test_notification_refused_by_the_backend_is_not_retried(start_server: StartServer, backend: Backend) -> None:
    backend.answer = lambda event: (403, "")
    server = start_server(hook_url=backend.url, hook_events="channel_occupied")
    with ProtocolClient(server, "ann") as client:
        client.subscribe("news")
        eventually(lambda: "the hook refused, but this event cannot be refused" in server.log)
    assert "Traceback" not in server.log
    assert len(backend.events) == 1


def test_unavailable_backend_does_not_flood_the_log(start_server: StartServer) -> None:
    options = {"hook_timeout": 1, "hook_tries": 1, "hook_events": "subscribe"}
    server = start_server(**options, hook_url="http://127.0.0.1:1/hooks")
    with ProtocolClient(server, "ann") as client:
        for _ in range(20):
            assert client.call("subscribe", {"channel": "news"})["error"] == "internal server error"
        assert client.call("ping", {})["method"] == "ping"
    assert server.log.count("hook http://127.0.0.1:1/hooks (subscribe) failed: request failed") == 1


@pytest.mark.parametrize("worker", [GENTRIFUGO_WORKER, STOCK_WORKER], ids=["ours", "stock"])
def test_hook_url_works_under_gunicorn_over_every_transport(tmp_path: Path, backend: Backend, worker: str) -> None:
    backend.answer = of_ann
    with gunicorn(tmp_path, worker, **OPTIONS, hook_url=backend.url) as server:
        with websocket(server, {"Cookie": "session=raw"}) as client:
            assert "error" not in call(client, "connect")
        service = Service(server.host, server.port, "/connection")
        polling = service.session()
        cookie = {"Cookie": "session=xhr"}
        service.post(f"{polling.url}/xhr", headers=cookie)
        polling.send_raw(json.dumps(['{"method":"connect","params":{}}']).encode(), cookie)
        assert b"connect" in (answer := service.post(f"{polling.url}/xhr", headers=cookie).body)
        assert b"error" not in answer
        over = service.websocket("/000/abc/websocket", {"Cookie": "session=sockjs"})
        over.recv_text()
        over.send_text('["{\\"method\\":\\"connect\\",\\"params\\":{}}"]')
        assert "error" not in over.recv_text()
        service.close()
    cookies = [
        headers["cookie"]
        for event, headers in zip(backend.events, backend.headers, strict=True)
        if event["event"] == "connect"
    ]
    assert cookies == ["session=raw", "session=xhr", "session=sockjs"]


def test_channels_of_a_killed_node_are_reported_as_vacated_by_another_node(
    tmp_path: Path, start_server: StartServer, backend: Backend
) -> None:
    with redis_server(tmp_path) as redis:
        options = {**OPTIONS, "hook_url": backend.url, **redis.options}
        first, second = start_server(**options), start_server(**options)
        with ProtocolClient(second, "bob") as bob, ProtocolClient(first, "ann") as ann:
            for channel in ("shared", "alone"):
                ann.subscribe(channel)
            bob.subscribe("shared")
            eventually(lambda: notified_channels(backend, "channel_occupied") == ["alone", "shared"])
            first.kill()
            eventually(lambda: notified_channels(backend, "channel_vacated") == ["alone"], within=30)
            bob.call("unsubscribe", {"channel": "shared"})
            eventually(lambda: notified_channels(backend, "channel_vacated") == ["alone", "shared"])


def notified_channels(backend: Backend, event: str) -> list[str]:
    """The channels of one event without duplicates: after the end of a node, another node may repeat a notification."""
    return sorted({told["channel"] for told in backend.named(event)})


def test_failed_notification_is_delivered_when_the_backend_is_available(
    tmp_path: Path, start_server: StartServer, backend: Backend
) -> None:
    with redis_server(tmp_path) as redis:
        options = {"hook_url": backend.url, "hook_events": "channel_occupied", "hook_timeout": 0.3, "hook_tries": 1}
        server = start_server(**options, **redis.options)
        backend.answer = lambda event: (500, "") if len(backend.events) < 2 else (200, {})
        with ProtocolClient(server, "ann") as client:
            client.subscribe("news")
            eventually(lambda: len(backend.events) == 2, within=20)
