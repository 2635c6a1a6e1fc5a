"""Behaviour of the proxies for calls, publications and events, with valid and invalid responses of a real backend."""

from __future__ import annotations

import dataclasses
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.node.hooks import Context, Undelivered
from gentrifugo.app.node.proxy import PublishProxy, RPCProxy
from gentrifugo.app.protocol.v2.errors import STALE
from gentrifugo.app.service import Service
from tests.docs.pages import page
from tests.greenlets import eventually
from tests.hook_backend import Backend, hook_backend
from tests.local_client_v2 import KEY, LocalClientV2
from tests.waiting import seconds

Start = Callable[..., LocalClientV2]

INTERNAL = {"code": 100, "message": "internal server error", "temporary": True}


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.fixture
def start() -> Iterator[Start]:
    """A client of a service whose RPC goes to a URL."""
    services: list[Service] = []

    def connect(url: str, timeout: float = 5, event: str = "rpc", own_timeout: float = 0) -> LocalClientV2:
        config = Config(
            token_hmac_secret_key=KEY,
            hook_timeout=seconds(timeout),
            hook_tries=2,
            allow_subscribe_for_client=True,
            allow_publish_for_subscriber=True,
        )
        proxied = {
            f"proxy_{event}_endpoint": url,
            "proxy_publish": event == "publish",
        }
        if own_timeout:
            proxied[f"proxy_{event}_timeout"] = seconds(own_timeout)
        config = dataclasses.replace(config, **proxied)  # type: ignore[arg-type]
        service = Service(config)
        services.append(service)
        service.start()
        return LocalClientV2.connected(service.node)

    yield connect
    for service in services:
        service.close_connections()
        service.stop()


def test_the_backend_gets_the_call_and_its_result_is_the_reply(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"result": {"data": {"sum": 3}}})
    client = start(backend.url)
    assert client.call("rpc", method="add", data=[1, 2]) == {"data": {"sum": 3}}
    assert backend.events == [
        {
            "client": client.connection.uid,
            "transport": "websocket",
            "protocol": "json",
            "encoding": "json",
            "user": "alice",
            "method": "add",
            "data": [1, 2],
        }
    ]
    assert backend.headers[0]["content-type"] == "application/json"


def test_the_page_shows_the_fields_of_a_call(start: Start, backend: Backend) -> None:
    (block,) = [block for block in page("rpc.md").blocks if block.language == "json"]
    start(backend.url).call("rpc", method="order", data={"item": "tea"})
    assert list(json.loads(block.text)) == list(backend.events[0])


@pytest.mark.parametrize("answer", [{}, {"result": {}}, {"result": None}, {"result": {"data": None}}])
def test_a_result_may_have_no_data(start: Start, backend: Backend, answer: Any) -> None:
    backend.answer = lambda call: (200, answer)
    expected = {"data": None} if answer == {"result": {"data": None}} else {}
    assert start(backend.url).call("rpc", method="add") == expected
    assert backend.events[0].get("data") is None


def test_bytes_are_a_result_if_they_are_json(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"result": {"b64data": "WzFd"}})
    assert start(backend.url).call("rpc", method="add") == {"data": [1]}


def test_the_backend_answers_with_an_error(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"error": {"code": 150, "message": "busy", "temporary": True}})
    expected = {"code": 150, "message": "busy", "temporary": True}
    assert start(backend.url).call("rpc", method="add")["error"] == expected


def test_the_backend_disconnects_the_client(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"disconnect": {"code": 4321, "reason": "go away"}})
    client = start(backend.url)
    client.send({"id": 2, "rpc": {"method": "kick"}})
    assert client.close == (4321, "go away")


@pytest.mark.parametrize(
    ("status", "answer", "text"),
    [
        (200, "<!doctype html><title>Log in</title>", "answered with status 200 and an HTML page"),
        (404, "<html>", "answered with status 404 and an HTML page"),
        (500, {}, "answered with status 500"),
        (200, "nonsense", "invalid response"),
        (200, [], "invalid response"),
        (200, {"error": {"code": 5, "message": "x"}}, "the code of an RPCError is 5"),
        (200, {"disconnect": {"code": 200, "reason": "x"}}, "a disconnect has the code 200"),
        (200, {"data": 1}, "the response has none of result, error and disconnect; its fields are 'data'"),
        (200, dict.fromkeys("abcdefg"), "its fields are 'a', 'b', 'c', 'd', 'e' and 2 more"),
        (200, {"result": []}, "invalid result"),
        (200, {"result": {"b64data": "?"}}, "invalid result"),
        (200, {"result": {"b64data": "AAE="}}, "the client uses JSON"),
        (200, " " * (1 << 20) + "{}", "the response body is larger than"),
    ],
)
def test_invalid_response_is_a_temporary_error_and_one_log_line(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture, status: int, answer: Any, text: str
) -> None:
    backend.answer = lambda call: (status, answer)
    client = start(backend.url)
    assert [client.call("rpc", method="add")["error"] for _ in range(2)] == [INTERNAL] * 2
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert text in record.getMessage()
    assert len(backend.events) == 2
    """A call is not repeated by itself."""


def test_a_backend_that_is_late_is_a_temporary_error(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    late = threading.Event()

    def answer(call: Any) -> tuple[int, Any]:
        late.wait(seconds(10))
        return 200, {}

    backend.answer = answer
    client = start(backend.url, 0.1)
    assert client.call("rpc", method="add")["error"] == INTERNAL
    late.set()
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "timeout" in record.getMessage()


def test_an_event_has_a_timeout_of_its_own(start: Start, backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    late = threading.Event()

    def answer(call: Any) -> tuple[int, Any]:
        late.wait(seconds(10))
        return 200, {}

    backend.answer = answer
    client = start(backend.url, timeout=60, own_timeout=0.2)
    assert client.call("rpc", method="add")["error"] == INTERNAL
    late.set()
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert f"no response within {seconds(0.2):g} s (option proxy_…_timeout)" in record.getMessage()


def test_unavailable_backend_is_a_temporary_error(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    with hook_backend() as gone:
        url = gone.url
    assert start(url).call("rpc", method="add")["error"] == INTERNAL
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    address = urlsplit(url).netloc
    assert f"request failed: cannot connect to {address}: Connection refused" in record.getMessage()


def test_a_client_of_protobuf_sends_and_receives_any_bytes(backend: Backend) -> None:
    backend.answer = lambda call: (200, {"result": {"b64data": "AAE="}})
    proxy = RPCProxy(backend.url, Config())
    assert bytes(proxy(Context("rpc", "alice", "c", data=b"\xff", protocol="protobuf")) or b"") == b"\0\1"
    (call,) = backend.events
    assert (call["protocol"], call["encoding"], call["b64data"]) == ("protobuf", "binary", "/w==")


def test_headers_and_transport_of_the_client_are_passed_on(backend: Backend) -> None:
    opening = Opening("GET", "/connection/1/2/xhr?a=1", {"cookie": "a=b", "x-real-ip": "6.6.6.6"}, "192.0.2.7")
    RPCProxy(backend.url, Config())(Context("rpc", "alice", "c", data=b"1", transport="sockjs", opening=opening))
    assert (backend.headers[0]["cookie"], backend.headers[0]["x-real-ip"]) == ("a=b", "192.0.2.7")
    assert backend.events[0]["transport"] == "sockjs"


def test_a_proxy_names_its_backend_in_the_log(backend: Backend) -> None:
    backend.answer = lambda call: (204, "")
    proxy = RPCProxy(backend.url, Config())
    assert f"{proxy}?app=1" == backend.url
    with pytest.raises(Undelivered, match="answered with status 204"):
        proxy(Context("rpc", data=b""))


def test_user_and_password_of_an_address_are_sent_as_a_header_and_not_shown(backend: Backend) -> None:
    url = backend.url.replace("http://", "http://ann:p%40ss%E2%82%AC@")
    proxy = RPCProxy(url, Config(hook_headers="Authorization"))
    proxy(Context("rpc", data=b"", opening=Opening("GET", "/", {"authorization": "Bearer of the client"}, "192.0.2.7")))
    assert backend.headers[0]["authorization"] == f"Basic {b64encode('ann:p@ss€'.encode()).decode()}"
    assert "p%40ss" not in str(proxy)
    assert "app=1" not in str(proxy)


# -- publications of clients


def publish(client: LocalClientV2, data: Any) -> Any:
    client.subscribe("news")
    return client.call("publish", channel="news", data=data)


@pytest.mark.parametrize(
    ("result", "expected"), [({}, {"a": 1}), ({"data": {"b": 2}}, {"b": 2}), ({"b64data": "WzNd"}, [3])]
)
def test_backend_can_replace_published_data(start: Start, backend: Backend, result: Any, expected: Any) -> None:
    backend.answer = lambda call: (200, {"result": result})
    client = start(backend.url, event="publish")
    assert publish(client, {"a": 1}) == {}
    (push,) = client.pushes()
    assert push["pub"]["data"] == expected
    (asked,) = backend.events
    assert (asked["user"], asked["channel"], asked["data"]) == ("alice", "news", {"a": 1})


def test_the_backend_refuses_a_publication_with_an_error(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"error": {"code": 403, "message": "no shouting"}})
    client = start(backend.url, event="publish")
    assert publish(client, "HEY")["error"] == {"code": 403, "message": "no shouting"}
    assert [push for push in client.pushes() if "pub" in push] == []


def test_a_response_with_only_other_fields_publishes_nothing(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    client = start(backend.url, event="publish")
    client.subscribe("a")
    backend.answer = lambda call: (200, {"ok": False})
    assert client.call("publish", channel="a", data=1)["error"] == INTERNAL
    assert client.pushes() == []
    assert "its fields are 'ok'" in caplog.text
    backend.answer = lambda call: (200, {})
    assert client.call("publish", channel="a", data=1) == {}


def test_backend_receives_no_request_for_a_channel_without_proxy_publish(backend: Backend) -> None:
    namespace = Namespace(name="open", allow_subscribe_for_client=True, allow_publish_for_client=True)
    config = Config(token_hmac_secret_key=KEY, namespaces=(namespace,), proxy_publish_endpoint=backend.url)
    service = Service(config)
    assert LocalClientV2.connected(service.node).call("publish", channel="open:a", data=1) == {}
    assert backend.events == []


def test_the_backend_decides_alone_about_publications(start: Start, backend: Backend) -> None:
    backend.answer = lambda call: (200, {"result": {}})
    client = start(backend.url, event="publish")
    assert client.call("publish", channel="news", data=1) == {}, "the client is not subscribed, and has no right"


def test_a_client_of_protobuf_publishes_any_bytes_and_the_backend_gets_them(backend: Backend) -> None:
    backend.answer = lambda call: (200, {"result": {"b64data": "AAE="}})
    proxy = PublishProxy(backend.url, Config())
    assert proxy(Context("publish", "alice", "c", "news", data=b"\xff", protocol="protobuf")) == b"\0\1"
    assert backend.events[0]["b64data"] == "/w=="


def test_a_namespace_with_proxy_publish_is_closed_when_no_backend_was_configured(start: Start) -> None:
    client = start("", event="publish")
    client.subscribe("news")
    assert client.call("publish", channel="news", data=1)["error"] == {"code": 108, "message": "not available"}


@pytest.mark.parametrize("result", [[], {"b64data": "?"}, {"b64data": "AAE="}, {"skip_history": True}])
def test_a_result_of_a_publication_that_cannot_be_used_is_a_temporary_error(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture, result: Any
) -> None:
    backend.answer = lambda call: (200, {"result": result})
    assert publish(start(backend.url, event="publish"), 1)["error"] == INTERNAL
    assert "result" in caplog.text


# -- what has happened


def test_backend_is_notified_of_a_disconnected_client(start: Start, backend: Backend) -> None:
    client = start(backend.url, event="disconnect")
    client.connection.disconnect(STALE)
    eventually(lambda: backend.events)
    (told,) = backend.events
    assert (told["user"], told["client"], told["reason"]) == ("alice", client.connection.uid, "stale")


def test_backend_is_notified_of_occupied_and_vacated_channels(start: Start, backend: Backend) -> None:
    client = start(backend.url, event="channel_state")
    client.subscribe("news")
    eventually(lambda: len(backend.events) == 1)
    client.call("unsubscribe", channel="news")
    eventually(lambda: len(backend.events) == 2)
    events = [event for told in backend.events for event in told["events"]]
    assert [(event["type"], event["channel"]) for event in events] == [("occupied", "news"), ("vacated", "news")]
    assert all(event["time_ms"] > 1_600_000_000_000 for event in events)


def test_event_is_retried_until_the_backend_accepts(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    backend.answer = lambda call: (503 if len(backend.events) == 1 else 200, {"error": {"code": 400, "message": "x"}})
    start(backend.url, event="disconnect").connection.disconnect(STALE)
    eventually(lambda: caplog.records)
    assert len(backend.events) == 2
    assert "refused an event that cannot be refused" in caplog.text
