"""The HTTP API answers the requests of the libraries phpcent and gocent, with both engines.

The libraries are not here. These requests have their paths, headers and bodies, with the spelling of PHP or Go, and the
answers are read as strictly as the libraries do: redirects are not followed, and names may not be there twice.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.credentials import TOKEN_KEY
from tests.protocol_client import ProtocolClient
from tests.protocol_client_v2 import ProtocolClientV2
from tests.redis_server import redis_server
from tests.servers import Server, running
from tests.waiting import eventually

KEY = "a key for tests"
USER = "42"
OPTIONS = {
    "api_key": KEY,
    "token_hmac_secret_key": TOKEN_KEY,
    "namespaces": [
        {
            "name": "all",
            "presence": True,
            "history_size": 5,
            "history_lifetime": 60,
            "allow_subscribe_for_client": True,
        }
    ],
}
JSON = {"Content-Type": "application/json"}
PHP = {"User-Agent": "curl/7.39.0", "Accept": "*/*", **JSON}
GO = {"User-Agent": "gocent/v4", "Accept-Encoding": "gzip", **JSON}
UNKNOWN = {"error": {"code": 102, "message": "unknown channel"}}


class Answer(NamedTuple):
    """The status and the text of a response."""

    status: int
    text: str

    @property
    def document(self) -> Any:
        """The JSON of a reply, without names that are there twice."""
        assert self.status == 200, self
        return json.loads(self.text, object_pairs_hook=without_repetition)


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


class Backend:
    """A backend that keeps its connection to a server, as both libraries can."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(server.host, server.port, timeout=10)

    def post(self, path: str, body: str, headers: dict[str, str]) -> Answer:
        self._connection.request("POST", path, body.encode(), headers)
        response = self._connection.getresponse()
        return Answer(response.status, response.read().decode())

    def php6(self, method: str, **params: Any) -> Any:
        """Call a method as phpcent 6 does."""
        return self.post(f"/api/{method}", php(params), {**PHP, "X-API-Key": KEY}).document

    def php2(self, method: str, **params: Any) -> Any:
        """Call a method as phpcent 2 to 4 do; parameters that are empty are a list."""
        body = php({"method": method, "params": params or []})
        return self.post("/api", body, {**PHP, "Authorization": f"apikey {KEY}"}).document

    def go4(self, method: str, headers: dict[str, str] | None = None, /, **params: Any) -> Answer:
        """Call a method as gocent 4 does."""
        return self.post(f"/api/{method}", go(params), {**GO, "X-API-Key": KEY, **(headers or {})})

    def go3(self, *commands: tuple[str, dict[str, Any]]) -> list[Any]:
        """Send commands in one request as gocent 2 and 3 do; there is a line break after the last one, too."""
        body = "".join(go({"method": method, "params": params}) + "\n" for method, params in commands)
        answer = self.post("/api", body, {**GO, "Authorization": f"apikey {KEY}"})
        assert answer.status == 200, answer
        return [json.loads(line, object_pairs_hook=without_repetition) for line in answer.text.splitlines()]

    def close(self) -> None:
        self._connection.close()


def php(value: Any) -> str:
    """JSON as PHP writes it: in ASCII, and with escaped slashes."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


def go(value: Any) -> str:
    """JSON as Go writes it: `<`, `>` and `&` are escaped, for pages."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@pytest.fixture(scope="module", params=["memory", "redis"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    if request.param == "memory":
        with running(OPTIONS, directory) as server:
            yield server
    else:
        with (
            redis_server(tmp_path_factory.mktemp("redis")) as redis,
            running(OPTIONS | redis.options, directory) as server,
        ):
            yield server


@pytest.fixture
def backend(server: Server) -> Iterator[Backend]:
    backend = Backend(server)
    yield backend
    backend.close()


@pytest.fixture
def channel(unique: str) -> str:
    return f"all:{unique}/ü"


@pytest.fixture
def user(server: Server, backend: Backend, channel: str) -> Iterator[ProtocolClientV2]:
    """A client of protocol v2, subscribed to the channel of the test, when those of other tests are gone."""
    eventually(lambda: num_clients(backend) == 0, what="clients of other tests are gone")
    with ProtocolClientV2(server, USER) as client:
        client.subscribe(channel)
        yield client


def num_clients(backend: Backend) -> int:
    (node,) = backend.php6("info")["result"]["nodes"]
    return int(node["num_clients"])


def published(user: ProtocolClientV2) -> Any:
    return user.push()["pub"]["data"]


# -- phpcent 6


@pytest.mark.parametrize("data", [{"text": "Grüße 😀 </b>"}, [], {}, None, "a/b", 1.5, True])
def test_phpcent_6_publishes_any_data(backend: Backend, user: ProtocolClientV2, channel: str, data: object) -> None:
    result = backend.php6("publish", channel=channel, data=data, skip_history=False)["result"]
    assert result["offset"] == 1
    assert result["epoch"]
    assert published(user) == data
    assert backend.php6("publish", channel="news", data=data, skip_history=True) == {"result": {}}


def test_phpcent_6_gets_errors_as_replies(backend: Backend) -> None:
    assert backend.php6("publish", channel="nosuch:1", data=[1], skip_history=False) == UNKNOWN
    assert backend.php6("publish", channel="", data=[1], skip_history=False)["error"]["code"] == 107
    for headers in (PHP, {**PHP, "X-API-Key": ""}, {**PHP, "X-API-Key": "wrong"}):
        assert backend.post("/api/info", "{}", headers).status == 401


def test_phpcent_6_broadcasts_and_reads_histories(backend: Backend, channel: str) -> None:
    for number in range(3):
        outcomes = backend.php6("broadcast", channels=[channel, "nosuch:1"], data={"n": number}, skip_history=False)
        known, unknown = outcomes["result"]["responses"]
        assert known["result"]["offset"] == number + 1
        assert unknown == UNKNOWN
    top = backend.php6("history", channel=channel, limit=0, reverse=False)["result"]
    assert (top["offset"], top["publications"]) == (3, [])
    newest = backend.php6("history", channel=channel, limit=2, reverse=True)["result"]["publications"]
    assert newest == [{"data": {"n": 2}, "offset": 3}, {"data": {"n": 1}, "offset": 2}]
    since = {"offset": 2, "epoch": top["epoch"]}
    later = backend.php6("history", channel=channel, limit=9, reverse=False, since=since)["result"]["publications"]
    assert [one["offset"] for one in later] == [3]
    assert backend.php6("history_remove", channel=channel) == {"result": {}}
    assert backend.php6("history", channel=channel, limit=9, reverse=False)["result"]["publications"] == []


def test_phpcent_6_controls_a_user_with_empty_optional_parameters(
    backend: Backend, user: ProtocolClientV2, channel: str
) -> None:
    (info,) = backend.php6("presence", channel=channel)["result"]["presence"].values()
    assert info == {"user": USER, "client": user.id}
    assert backend.php6("presence_stats", channel=channel)["result"] == {"num_clients": 1, "num_users": 1}
    assert backend.php6("channels", pattern="")["result"] == {"channels": {channel: {"num_clients": 1}}}
    assert backend.php6("unsubscribe", channel=channel, user=USER, client="") == {"result": {}}
    assert user.push()["unsubscribe"]["code"] == 2000
    assert backend.php6("subscribe", channel=channel, user=USER, client="") == {"result": {}}
    assert "subscribe" in user.push()
    assert backend.php6("disconnect", user=USER, client="") == {"result": {}}
    assert user.wait_closed().code == 3503


def test_phpcent_6_sends_batches(backend: Backend, channel: str) -> None:
    commands = [
        {"publish": {"channel": channel, "data": [1]}},
        {"publish": {"channel": "nosuch:1", "data": [1]}},
        {"history": {"channel": channel, "limit": 5}},
        {"info": {}},
    ]
    first, second, third, fourth = backend.php6("batch", commands=commands)["replies"]
    assert first["publish"]["offset"] == 1
    assert second == UNKNOWN
    assert third["history"]["publications"] == [{"data": [1], "offset": 1}]
    assert len(fourth["info"]["nodes"]) == 1
    assert backend.php6("batch") == {"replies": []}


# -- phpcent 2 to 4


def test_earlier_phpcent_publishes_and_reads(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    assert backend.php2("publish", channel=channel, data={"text": "ü"})["result"]["offset"] == 1
    assert backend.php2("publish", channel=channel, data={"text": "/"}, skip_history=False)["result"]["offset"] == 2
    responses = backend.php2("broadcast", channels=[channel, "nosuch:1"], data=[])["result"]["responses"]
    assert responses[1] == UNKNOWN
    assert [published(user) for _ in range(3)] == [{"text": "ü"}, {"text": "/"}, []]
    history = backend.php2("history", channel=channel, limit=1, reverse=False)["result"]
    assert [one["data"] for one in history["publications"]] == [{"text": "ü"}]
    assert backend.php2("history", channel=channel)["result"] == {**history, "publications": []}
    assert backend.php2("history_remove", channel=channel) == {"result": {}}
    assert backend.php2("publish", channel="nosuch:1", data=1) == UNKNOWN


def test_earlier_phpcent_asks_without_parameters(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    assert backend.php2("channels")["result"]["channels"] == {channel: {"num_clients": 1}}
    assert backend.php2("channels", pattern="x*")["result"]["channels"] == {}
    assert backend.php2("info")["result"]["nodes"][0]["num_clients"] == 1
    assert list(backend.php2("presence", channel=channel)["result"]["presence"]) == [user.id]
    assert backend.php2("presence_stats", channel=channel)["result"] == {"num_clients": 1, "num_users": 1}


def test_earlier_phpcent_controls_a_user(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    assert backend.php2("unsubscribe", channel=channel, user=USER) == {"result": {}}
    assert backend.php2("subscribe", channel=channel, user=USER, client="") == {"result": {}}
    assert backend.php2("disconnect", user=USER) == {"result": {}}
    assert [next(name for name in user.push() if name != "channel") for _ in range(2)] == ["unsubscribe", "subscribe"]
    assert user.wait_closed().code == 3503


# -- gocent 4


def test_gocent_4_publishes_with_all_options(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    options = {"tags": {"n": "<1>"}, "idempotency_key": "key", "delta": True, "version": 7, "version_epoch": "a"}
    encoded = base64.b64encode(b'{"a":"&"}').decode()
    first = backend.go4("publish", channel=channel, b64data=encoded, **options).document["result"]
    again = backend.go4("publish", channel=channel, b64data=encoded, idempotency_key="key").document["result"]
    assert first == again
    assert backend.go4("publish", channel=channel, data=2, skip_history=True).document == {"result": {}}
    push = user.push()["pub"]
    assert (push["data"], push["tags"], push["offset"]) == ({"a": "&"}, {"n": "<1>"}, 1)
    assert published(user) == 2
    (kept,) = backend.go4("history", channel=channel, limit=-1).document["result"]["publications"]
    assert kept == {"data": {"a": "&"}, "offset": 1, "tags": {"n": "<1>"}}


def test_gocent_4_gets_errors_in_both_modes(backend: Backend, channel: str) -> None:
    transport = {"X-Centrifugo-Error-Mode": "transport"}
    assert backend.go4("publish", channel="nosuch:1", data=1).document == UNKNOWN
    answer = backend.go4("publish", transport, channel="nosuch:1", data=1)
    assert (answer.status, json.loads(answer.text)) == (404, UNKNOWN["error"])
    answer = backend.go4("history", transport, channel=channel, limit=1, since={"offset": 1, "epoch": "x"})
    assert (answer.status, json.loads(answer.text)["code"]) == (416, 112)
    bearer = {name: value for name, value in GO.items() if name != "X-API-Key"} | {"Authorization": "Bearer token"}
    assert backend.post("/api/info", "{}", bearer).status == 401


def test_gocent_4_leaves_out_what_is_zero_in_a_position(backend: Backend, channel: str) -> None:
    for number in range(3):
        epoch = backend.go4("publish", channel=channel, data=number).document["result"]["epoch"]
    start = backend.go4("history", channel=channel, limit=2, since={"epoch": epoch}).document["result"]
    assert [one["data"] for one in start["publications"]] == [0, 1]
    before = backend.go4("history", channel=channel, limit=9, since={"offset": 3}, reverse=True).document["result"]
    assert [one["data"] for one in before["publications"]] == [1, 0]


def test_gocent_4_controls_a_user_with_parameters_of_other_editions(
    backend: Backend, user: ProtocolClientV2, channel: str
) -> None:
    """A wrapped false is an empty object. Label filters, and `all_users` for a named user, have no effect."""
    ignored = {"all_users": True, "label_filter": {"op": "and", "nodes": [{"key": "a", "cmp": "eq", "val": "b"}]}}
    override = {
        "presence": {},
        "join_leave": {"value": True},
        "force_recovery": {},
        "force_positioning": {"value": True},
    }
    subscribed = f"{channel}2"
    subscribe = {"channel": subscribed, "user": USER, "info": {"a": 1}, "data": {"b": 2}, "override": override}
    assert backend.go4("subscribe", **subscribe, **ignored).document == {"result": {}}
    assert user.push()["subscribe"]["data"] == {"b": 2}
    assert backend.go4("presence", channel=subscribed).document["result"] == {"presence": {}}
    assert backend.go4("refresh", user=USER, client="another", expired=True, **ignored).document == {"result": {}}
    assert backend.go4("unsubscribe", channel=subscribed, user=USER, client=user.id, **ignored).document == {
        "result": {}
    }
    assert user.push()["channel"] == subscribed
    assert backend.go4("disconnect", user=USER, whitelist=[user.id], **ignored).document == {"result": {}}
    assert backend.go4("disconnect", user=USER, disconnect={"code": 4000}, **ignored).document == {"result": {}}
    assert user.wait_closed().code == 4000


def test_gocent_4_decodes_numbers_of_nodes_as_integers(backend: Backend) -> None:
    (node,) = backend.go4("info").document["result"]["nodes"]
    counts = {name: node[name] for name in ("num_clients", "num_users", "num_subs", "num_channels", "uptime")}
    assert all(type(count) is int for count in counts.values()), counts
    assert node["uid"]
    assert node["name"]
    assert node["version"]
    assert set(map(type, node["metrics"]["items"].values())) == {float}


@pytest.mark.parametrize("options", [{}, {"parallel": True}, {"parallel": True, "group_publications": True}])
def test_gocent_4_gets_a_reply_to_every_command_of_a_batch(
    backend: Backend, channel: str, options: dict[str, bool]
) -> None:
    by_channel = ("presence", "presence_stats", "history", "history_remove", "subscribe", "unsubscribe")
    named: dict[str, dict[str, Any]] = {method: {"channel": channel, "user": "nobody"} for method in by_channel}
    named |= {"publish": {"channel": channel, "data": 1}, "broadcast": {"channels": [channel], "data": 1}}
    named |= {"disconnect": {"user": "nobody"}, "refresh": {"user": "nobody"}, "channels": {}, "info": {}}
    commands = [{method: params} for method, params in named.items()]
    others = [{"connections": {"user": "1"}}, {"map_publish": {"channel": channel, "key": "k"}}]
    replies = backend.go4("batch", commands=commands + others, **options).document["replies"]
    assert [list(reply) for reply in replies[:-2]] == [[method] for method in named]
    assert replies[-2:] == [{"error": {"code": 104, "message": "not found"}}] * 2


@pytest.mark.parametrize("method", ["connections", "get_user_status", "block_user", "device_list", "map_publish"])
def test_gocent_4_gets_a_status_for_methods_that_do_not_exist(backend: Backend, method: str) -> None:
    answer = backend.go4(method, user="1")
    assert (answer.status, answer.text[:14]) == (404, "unknown method")


# -- gocent 2 and 3


def test_gocent_3_publishes_and_reads_in_one_request(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    encoded = base64.b64encode(b"[2]").decode()
    replies = backend.go3(
        ("publish", {"channel": channel, "data": {"input": "<1>"}}),
        ("publish", {"channel": channel, "data": None, "b64data": encoded, "skip_history": True, "tags": {"a": "b"}}),
        ("broadcast", {"channels": [channel, "nosuch:1"], "data": 3}),
        ("publish", {"channel": "nosuch:1", "data": 4}),
        ("history", {"channel": channel, "limit": -1}),
        ("presence", {"channel": channel}),
        ("presence_stats", {"channel": channel}),
        ("channels", {"pattern": "all:*"}),
        ("info", {}),
        ("history_remove", {"channel": channel}),
    )
    assert len(replies) == 10
    assert replies[0]["result"]["offset"] == 1
    assert replies[1] == {"result": {}}
    assert replies[2]["result"]["responses"][1] == UNKNOWN
    assert replies[3] == UNKNOWN
    assert [one["data"] for one in replies[4]["result"]["publications"]] == [{"input": "<1>"}, 3]
    assert list(replies[5]["result"]["presence"]) == [user.id]
    assert replies[6]["result"] == {"num_clients": 1, "num_users": 1}
    assert replies[7]["result"]["channels"] == {channel: {"num_clients": 1}}
    assert replies[8]["result"]["nodes"][0]["num_clients"] == 1
    assert replies[9] == {"result": {}}
    assert [published(user) for _ in range(3)] == [{"input": "<1>"}, [2], 3]


def test_gocent_3_controls_a_user(backend: Backend, user: ProtocolClientV2, channel: str) -> None:
    subscribed = f"{channel}3"
    since = {"offset": 1, "epoch": "x"}
    subscribe = {"channel": subscribed, "user": USER, "presence": True, "join_leave": True, "position": True}
    assert backend.go3(("subscribe", {**subscribe, "recover": True, "data": 1, "recover_since": since})) == [
        {"result": {}}
    ]
    assert user.push()["subscribe"]["data"] == 1
    assert backend.go3(("unsubscribe", {"channel": subscribed, "user": USER, "client": user.id})) == [{"result": {}}]
    assert user.push()["channel"] == subscribed
    why = {"code": 4001, "reason": "maintenance", "reconnect": True}
    assert backend.go3(("disconnect", {"user": USER, "Disconnect": why, "ClientWhitelist": None})) == [{"result": {}}]
    closed = user.wait_closed()
    assert (closed.code, closed.reason) == (4001, "maintenance")


def test_gocent_2_disconnects_clients_of_v1(server: Server, backend: Backend, unique: str) -> None:
    with ProtocolClient(server, user=unique) as client:
        assert backend.go3(("disconnect", {"user": unique})) == [{"result": {}}]
        assert client.wait_closed().advice == {"reason": "disconnect", "reconnect": False}
