"""Behaviour of connections and subscriptions that a backend decides about, with a real backend over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.config.config import Config
from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.node.base_client import ConnectionStart
from gentrifugo.app.node.proxy import ConnectProxy
from gentrifugo.app.node.proxy_events import AllowedConnection, ConnectContext
from gentrifugo.app.protocol.v2 import renewing
from gentrifugo.app.protocol.v2.messages import Command, RPCRequest
from gentrifugo.app.protocol.v2.token_making import connection_token
from gentrifugo.app.service import Service
from tests.credentials import SECRET
from tests.docs.pages import page
from tests.greenlets import eventually, settle
from tests.hook_backend import Backend, hook_backend
from tests.local_client import LocalClient
from tests.local_client_v2 import KEY, LocalClientV2, LocalProtobufClient

Start = Callable[..., Service]

HERE = "tests/app/node/test_proxy_events.py"
INTERNAL = {"code": 100, "message": "internal server error", "temporary": True}
EVENTS = ("connect", "refresh", "subscribe", "sub_refresh", "publish")
HISTORY: dict[str, Any] = {"history_size": 5, "history_lifetime": 60}
ASKED = Namespace(name="asked", proxy_subscribe=True, proxy_publish=True, presence=True, publish=True)
SHORT = Namespace(name="short", proxy_subscribe=True, proxy_sub_refresh=True)
NAMESPACES = (
    ASKED,
    SHORT,
    Namespace(name="kept", proxy_subscribe=True, **HISTORY),
    Namespace(name="users", proxy_subscribe=True, allow_user_limited_channels=True),
    Namespace(name="joins", proxy_subscribe=True, presence=True, join_leave=True, force_push_join_leave=True),
    Namespace(name="hidden", proxy_subscribe=True),
    Namespace(name="open", allow_subscribe_for_client=True, allow_publish_for_client=True),
)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with hook_backend() as made:
        yield made


@pytest.fixture
def start(backend: Backend) -> Iterator[Start]:
    """Start a service that sends requests about `events` to the backend."""
    services: list[Service] = []

    def make(*events: str, url: str = "", **options: Any) -> Service:
        endpoints = {f"proxy_{event}_endpoint": url or backend.url for event in events or EVENTS}
        given = {"token_hmac_secret_key": KEY, "namespaces": NAMESPACES, "hook_timeout": 5, **endpoints, **options}
        service = Service(Config(**given))
        services.append(service)
        service.start()
        return service

    yield make
    for service in services:
        service.close_connections()
        service.stop()


def results(backend: Backend, *given: Any) -> None:
    """Let the backend answer with these results, one after the other, and then always with the last one."""
    left = list(given)
    backend.answer = lambda request: (200, left.pop(0) if len(left) > 1 else left[0])


def unknown(service: Service, path: str = "/connection/websocket") -> LocalClientV2:
    """A client without a token."""
    opening = Opening("GET", path, {"cookie": "a=b", "x-real-ip": "6.6.6.6"}, "192.0.2.7")
    return LocalClientV2(service.node, start=ConnectionStart(opening))


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


# -- connect


def test_backend_identifies_a_client_without_token(start: Start, backend: Backend) -> None:
    soon = int(time.time()) + 100
    subs = {
        "kept:a": {"info": {"vip": True}, "data": [1], "override": {"force_recovery": {"value": True}}},
        "open:a": None,
    }
    result = {"user": "42", "info": {"name": "Ann"}, "data": {"hi": 1}, "expire_at": soon, "channels": ["open:b"]}
    results(backend, {"result": {**result, "subs": subs}})
    client = unknown(start("connect"))
    reply = client.call("connect", data={"page": 3}, name="js", version="5.8", subs={"open:z": {}})
    assert backend.events == [
        {
            "client": client.connection.uid,
            "transport": "websocket",
            "protocol": "json",
            "encoding": "json",
            "name": "js",
            "version": "5.8",
            "channels": ["open:z"],
            "data": {"page": 3},
        }
    ]
    assert backend.headers[0]["cookie"] == "a=b"
    assert (client.connection.user, client.connection.default_info) == ("42", b'{"name": "Ann"}')
    assert (reply["data"], reply["expires"]) == ({"hi": 1}, True)
    assert 90 < reply["ttl"] <= 100
    assert sorted(reply["subs"]) == ["kept:a", "open:a", "open:b"]
    assert (reply["subs"]["kept:a"]["data"], reply["subs"]["kept:a"]["recoverable"]) == ([1], True)
    assert client.connection.subscriptions.info("kept:a").channel_info == b'{"vip": true}'


def test_requests_and_responses_are_as_the_page_shows_them(start: Start, backend: Backend) -> None:
    request, response = (json.loads(block.text) for block in page("proxy.md").blocks if block.runner == HERE)
    results(backend, response)
    spaces = (Namespace(name="chat"),)
    client = unknown(start("connect", namespaces=spaces))
    reply = client.call("connect", data=request["data"], name=request["name"], version=request["version"])
    assert list(backend.events[0]) == list(request)
    assert client.connection.user == response["result"]["user"]
    assert reply["data"] == response["result"]["data"]
    assert sorted(reply["subs"]) == ["chat:lobby", "news"]


def test_backend_receives_no_request_for_a_client_with_a_token(start: Start, backend: Backend) -> None:
    LocalClientV2.connected(start("connect").node)
    assert backend.events == []


@pytest.mark.parametrize("user", [{}, {"user": ""}, {"user": 42}])
def test_backend_may_return_an_anonymous_user_or_a_number(start: Start, backend: Backend, user: Any) -> None:
    results(backend, {"result": user})
    client = unknown(start("connect"))
    assert "error" not in client.call("connect")
    assert client.connection.user == str(user.get("user", ""))


def nulls(*names: str) -> dict[str, None]:
    """Fields that are not set, as many libraries encode them."""
    return dict.fromkeys(names)


def test_a_field_of_a_response_that_is_null_counts_as_missing(start: Start, backend: Backend) -> None:
    of_subscriptions = nulls("info", "b64info", "data", "b64data", "expire_at", "override")
    of_connections = nulls("user", "info", "b64info", "data", "b64data", "expire_at", "channels", "subs", "meta")
    results(backend, {"result": of_connections, **nulls("error", "disconnect")})
    service = start()
    client = unknown(service)
    assert "subs" not in client.call("connect")
    assert client.connection.user == ""
    results(backend, {"result": {"user": "alice", "subs": {"open:a": of_subscriptions}}})
    client = unknown(service)
    assert client.call("connect")["subs"] == {"open:a": {}}
    override = {"presence": {"value": None}, "force_recovery": None}
    results(backend, {"result": {**of_subscriptions, "override": override}})
    assert client.call("subscribe", channel="asked:a") == {}
    results(backend, {"result": nulls("data", "b64data", "skip_history") | {"data": 2}})
    assert client.call("publish", channel="asked:a", data=1) == {}
    results(backend, {"error": {"code": 404, "message": None, "temporary": None}})
    assert client.call("publish", channel="asked:a", data=1) == {"error": {"code": 404}}


def test_a_refused_client_that_the_backend_does_not_know_is_logged(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    results(backend, {})
    unknown(start("connect")).send({"id": 1, "connect": {}})
    assert "missing token, and the backend has set no user (option proxy_connect_endpoint)" in caplog.text


def test_a_client_that_the_backend_does_not_know_is_refused_unless_anonymous_ones_may_connect(
    start: Start, backend: Backend
) -> None:
    results(backend, {})
    refused = unknown(start("connect"))
    refused.send({"id": 1, "connect": {}})
    assert refused.close == (3501, "bad request")
    allowed = unknown(start("connect", allow_anonymous_connect_without_token=True))
    assert "error" not in allowed.call("connect")


def test_the_backend_refuses_a_connection_with_an_error_or_closes_it(start: Start, backend: Backend) -> None:
    service = start("connect")
    results(backend, {"error": {"code": 444, "message": "no seat"}})
    client = unknown(service)
    assert client.call("connect")["error"] == {"code": 444, "message": "no seat"}
    client.send({"id": 9, "subscribe": {"channel": "open:a"}})
    assert client.received()[1:] == [], "nothing more is read of a client whose connect has failed"
    results(backend, {"disconnect": {"code": 4501, "reason": "banned"}})
    banned = unknown(service)
    banned.send({"id": 1, "connect": {}})
    assert banned.close == (4501, "banned")


def test_an_expired_connection_is_not_accepted(start: Start, backend: Backend) -> None:
    results(backend, {"result": {"user": "42", "expire_at": 1}})
    assert unknown(start("connect")).call("connect")["error"] == {"code": 110, "message": "expired"}


@pytest.mark.parametrize(
    ("status", "answer", "text"),
    [
        (500, {}, "status 500"),
        (200, "<html>", "an HTML page"),
        (200, {"user": "42"}, "the response has none of result, error and disconnect; its fields are 'user'"),
        (200, {"result": {"user": 1.5}}, "invalid result"),
        (200, {"result": {"user": "42", "b64info": "AAE="}}, "the client uses JSON"),
        (200, {"result": {"user": "42", "channels": [""]}}, "empty channel name"),
    ],
)
def test_invalid_response_is_a_temporary_error_with_one_log_line(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture, status: int, answer: Any, text: str
) -> None:
    backend.answer = lambda request: (status, answer)
    service = start()
    assert [unknown(service).call("connect")["error"] for _ in range(3)] == [INTERNAL] * 3
    (line,) = errors_in(caplog)
    assert text in line
    assert backend.url.partition("?")[0] in line


def test_unavailable_backend_is_a_temporary_error_for_each_event(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    with hook_backend() as gone:
        url = gone.url
    service = start(url=url)
    client = LocalClientV2.connected(service.node)
    assert unknown(service).call("connect")["error"] == INTERNAL
    assert [client.call("subscribe", channel="asked:a")["error"] for _ in range(2)] == [INTERNAL] * 2
    assert client.call("publish", channel="asked:a", data=1)["error"] == INTERNAL
    assert len(errors_in(caplog)) == 3, "one line for each event"


def test_info_that_is_not_json_does_not_keep_hooks_from_being_called(start: Start, backend: Backend) -> None:
    client = LocalProtobufClient(start("rpc").node)
    client.connection.default_info = b"\0\1"
    results(backend, {"result": {"data": 1}})
    client.send(Command(5, rpc=RPCRequest(method="add")))
    assert [reply.rpc for reply in client.received() if reply.id == 5] != [None]


def test_a_client_of_protobuf_may_have_any_bytes_as_its_info(backend: Backend) -> None:
    results(backend, {"result": {"user": "42", "b64info": "AAE=", "b64data": "AAI="}})
    allowed = ConnectProxy(backend.url, Config())(ConnectContext("connect", protocol="protobuf"))
    assert allowed == AllowedConnection("42", b"\0\1", b"\0\2")
    assert (backend.events[0]["protocol"], backend.events[0]["encoding"]) == ("protobuf", "binary")


def test_backend_receives_requests_for_clients_of_v1(start: Start, backend: Backend) -> None:
    results(backend, {"result": {"user": "42", "info": {"name": "Ann"}}})
    service = start("connect", secret="secret")
    client = LocalClient(service.node)
    assert "error" not in client.call("connect")
    assert (client.connection.user, client.connection.default_info) == ("42", b'{"name": "Ann"}')
    results(backend, {})
    refused = LocalClient(service.node)
    refused.send({"uid": "1", "method": "connect", "params": {}})
    assert refused.close_reason == {"reason": "invalid token", "reconnect": False}
    backend.answer = lambda request: (500, {})
    failed = LocalClient(service.node)
    failed.send({"uid": "1", "method": "connect", "params": {}})
    assert failed.close_reason == {"reason": "internal server error", "reconnect": True}


def test_pages_of_other_sites_may_not_use_the_cookies_of_clients(start: Start) -> None:
    assert start("rpc").origins.are_all
    assert not start("connect").origins.are_all


# -- subscribe


def test_the_backend_decides_about_a_subscription(start: Start, backend: Backend) -> None:
    soon = int(time.time()) + 100
    override = {"force_recovery": {"value": True}}
    allowed = {"info": {"vip": True}, "data": {"state": 7}, "expire_at": soon, "override": override}
    results(backend, {"result": allowed})
    client = LocalClientV2.connected(start("subscribe").node)
    reply = client.subscribe("kept:a", data={"page": 3})
    asked = {"client": client.connection.uid, "user": "alice", "channel": "kept:a", "data": {"page": 3}}
    assert backend.events[0].items() >= asked.items()
    assert (reply["data"], reply["recoverable"], reply["expires"]) == ({"state": 7}, True, True)
    assert 90 < reply["ttl"] <= 100
    assert client.connection.subscriptions.info("kept:a").channel_info == b'{"vip": true}'


def test_the_backend_hides_a_client_or_shows_it(start: Start, backend: Backend) -> None:
    node = start("subscribe").node
    results(backend, {"result": {}})
    seen = LocalClientV2.connected(node)
    seen.subscribe("joins:a")
    hiding = {name: {"value": False} for name in ("presence", "join_leave")}
    results(backend, {"result": {"override": hiding}})
    hidden = LocalClientV2.connected(node, "bob")
    hidden.subscribe("joins:a")
    hidden.call("unsubscribe", channel="joins:a")
    assert seen.pushes() == []
    hidden.subscribe("joins:a")
    assert list(node.presence("joins:a")) == [seen.connection.uid]
    results(backend, {"result": {"override": {"presence": {"value": True}}}})
    hidden.subscribe("hidden:a")
    hidden.connection.subscriptions._renew_presence_now()  # it would be due in a minute
    # The engine is asked, because the node refuses to read presence where the option is off.
    assert list(node._engine.presence("hidden:a")) == [hidden.connection.uid]
    assert list(node.presence("joins:a")) == [seen.connection.uid]
    hidden.call("unsubscribe", channel="hidden:a")
    assert not node._engine.presence("hidden:a")


@pytest.mark.parametrize("answer", [{"result": {}}, {}, {"result": None}, {"error": None, "version": 1}])
def test_an_empty_answer_allows_a_subscription(start: Start, backend: Backend, answer: Any) -> None:
    results(backend, answer)
    client = LocalClientV2.connected(start("subscribe").node)
    assert client.subscribe("asked:a") == {}
    assert list(client.connection.channels) == ["asked:a"]


def test_an_answer_with_only_other_fields_does_not_allow_a_subscription(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    client = LocalClientV2.connected(start("subscribe").node)
    results(backend, {"allowed": False})
    assert client.call("subscribe", channel="asked:a")["error"] == INTERNAL
    assert not client.connection.channels
    (line,) = errors_in(caplog)
    assert "its fields are 'allowed'" in line


def test_the_backend_refuses_a_subscription(start: Start, backend: Backend) -> None:
    client = LocalClientV2.connected(start("subscribe").node)
    results(backend, {"error": {"code": 403, "message": "members only"}})
    assert client.call("subscribe", channel="asked:a")["error"] == {"code": 403, "message": "members only"}
    results(backend, {"result": {"expire_at": 1}})
    assert client.call("subscribe", channel="asked:a")["error"] == {"code": 110, "message": "expired"}
    results(backend, {"disconnect": {"code": 4500, "reason": "banned"}})
    client.send({"id": 9, "subscribe": {"channel": "asked:a"}})
    assert client.close == (4500, "banned")


def test_tokens_private_channels_and_users_in_names_need_no_backend(start: Start, backend: Backend) -> None:
    results(backend, {"error": {"code": 403, "message": "no"}})
    client = LocalClientV2.connected(start("subscribe").node)
    client.subscribe("asked:a", token=client.token("asked:a"))
    client.subscribe("users:a#alice")
    client.subscribe("open:a")
    denied = {"code": 103, "message": "permission denied"}
    assert client.call("subscribe", channel="$asked:b")["error"] == denied
    assert client.call("subscribe", channel="users:a#bob")["error"] == denied
    assert backend.events == []


def test_a_namespace_with_proxy_subscribe_is_closed_when_no_backend_was_configured(start: Start) -> None:
    service = start("rpc", secret="secret")
    refused = {"code": 108, "message": "not available"}
    assert LocalClientV2.connected(service.node).call("subscribe", channel="asked:a")["error"] == refused
    assert service.node.rules.asks_backend("asked:a")


def test_clients_of_v1_subscribe_and_publish_only_if_the_backend_allows_it(start: Start, backend: Backend) -> None:
    service = start("subscribe", "publish", secret=SECRET)
    client = LocalClient.connected(service.node)
    results(backend, {"error": {"code": 403, "message": "members only"}})
    assert client.call("subscribe", channel="asked:a")["error"] == "members only"
    results(backend, {"result": {}})
    client.subscribe("asked:a")
    results(backend, {"result": {"data": "other"}})
    assert client.call("publish", channel="asked:a", data="said")["body"]["status"] is True
    (message,) = [one for one in client.received() if one["method"] == "message"]
    assert message["body"]["data"] == "other"
    results(backend, {"error": {"code": 403, "message": "no shouting"}})
    assert client.call("publish", channel="asked:a", data="HEY")["error"] == "no shouting"


# -- expiry


def expiring(service: Service, backend: Backend, **result: Any) -> LocalClientV2:
    """A client whose connection has expired at once, and that the backend renews with this result."""
    client = LocalClientV2(service.node)
    token = connection_token(KEY, "42", expires=1)
    assert client.call("connect", token=token).get("expires") is None, "the client has nothing to refresh"
    results(backend, {"result": result})
    client.connection.expire_at(time.time())
    eventually(lambda: backend.events)
    settle()
    return client


def test_the_backend_renews_connections(start: Start, backend: Backend) -> None:
    client = expiring(start("refresh"), backend, expire_at=int(time.time()) + 100, info={"name": "Bob"})
    eventually(lambda: client.connection.default_info == b'{"name": "Bob"}')
    asked = {"client": client.connection.uid, "user": "42", "transport": "websocket"}
    assert backend.events[0].items() >= asked.items()
    assert client.close is None


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"result": {}},
        {"result": {"expired": True}},
        {"result": {"expire_at": 1}},
        {"result": nulls("expired", "expire_at", "info", "b64info")},
    ],
)
def test_connections_that_the_backend_does_not_renew_are_closed(start: Start, backend: Backend, answer: Any) -> None:
    client = expiring(start("refresh"), backend, **(answer.get("result") or {}))
    eventually(lambda: client.close)
    assert client.close == (3005, "connection expired")


@pytest.mark.parametrize(
    ("answer", "close"),
    [
        ({"error": {"code": 400, "message": "gone"}}, (3005, "connection expired")),
        ({"disconnect": {"code": 4500, "reason": "banned"}}, (4500, "banned")),
    ],
)
def test_backend_determines_how_expired_connections_end(
    start: Start, backend: Backend, answer: Any, close: Any
) -> None:
    client = LocalClientV2.connected(start("refresh").node)
    results(backend, answer)
    client.connection.expire_at(time.time())
    eventually(lambda: client.close)
    assert client.close == close


def test_connections_stay_while_the_backend_fails(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "RETRY_DELAY", 0.05)
    client = LocalClientV2.connected(start("refresh").node)
    backend.answer = lambda request: (500, {})
    client.connection.expire_at(time.time())
    eventually(lambda: errors_in(caplog) and len(backend.events) >= 2)
    assert client.close is None


def test_client_must_not_refresh_connections_that_the_backend_renews(start: Start, backend: Backend) -> None:
    results(backend, {"result": {}})
    client = LocalClientV2.connected(start("refresh", "subscribe", "sub_refresh").node)
    client.subscribe("short:a")
    client.send({"id": 9, "sub_refresh": {"channel": "short:a", "token": client.token("short:a")}})
    assert client.close == (3501, "bad request")
    other = LocalClientV2.connected(client.node)
    other.send({"id": 9, "refresh": {"token": connection_token(KEY, "alice")}})
    assert other.close == (3501, "bad request")


def subscription(service: Service, backend: Backend, answer: Any) -> LocalClientV2:
    """A client whose subscription to short:a expires at once, and that the backend renews with this answer."""
    results(backend, {"result": {"expire_at": int(time.time()) + 100}}, answer)
    client = LocalClientV2.connected(service.node)
    assert client.subscribe("short:a") == {}, "the client has nothing to refresh"
    client.connection.subscriptions.expire_at("short:a", time.time())
    eventually(lambda: len(backend.events) == 2)
    return client


def test_the_backend_renews_subscriptions(start: Start, backend: Backend) -> None:
    answer = {"result": {"expire_at": int(time.time()) + 100, "info": [1]}}
    client = subscription(start("subscribe", "sub_refresh"), backend, answer)
    eventually(lambda: client.connection.subscriptions.info("short:a").channel_info == b"[1]")
    assert backend.events[1].items() >= {"user": "alice", "channel": "short:a"}.items()
    assert client.pushes() == []


@pytest.mark.parametrize(
    "answer",
    [{}, {"expired": True}, {"result": {"expired": True}}, {"result": {"expire_at": 1}}, {"error": {"code": 400}}],
)
def test_subscriptions_that_the_backend_does_not_renew_end(start: Start, backend: Backend, answer: Any) -> None:
    client = subscription(start("subscribe", "sub_refresh"), backend, answer)
    (push,) = eventually(client.pushes)
    assert push == {"channel": "short:a", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}


def test_subscriptions_stay_while_the_backend_fails(
    start: Start, backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    client = subscription(start("subscribe", "sub_refresh"), backend, "<html>")
    eventually(lambda: errors_in(caplog))
    assert list(client.connection.channels) == ["short:a"]


def test_renewed_subscription_without_an_expiry_continues(start: Start, backend: Backend) -> None:
    client = subscription(start("subscribe", "sub_refresh"), backend, {"result": {}})
    eventually(lambda: client.connection.subscriptions.channels["short:a"].expires_at == 0)
    assert client.pushes() == []
