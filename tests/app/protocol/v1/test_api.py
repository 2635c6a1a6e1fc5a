"""Behaviour of the commands of backends: every method, every error, and effects of a request that is refused later."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from gentrifugo.app.config.channel_options import Namespace
from gentrifugo.app.model.errors import CLOSE_DISCONNECT
from gentrifugo.app.model.events import RawClientInfo
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1 import api as api_module
from gentrifugo.app.protocol.v1.api import BadRequest, CommandAPI
from gentrifugo.app.protocol.v1.wire import encode_api_reply
from tests.fakes import Bus, FailingEngine, FakeConnection
from tests.greenlets import BackgroundGreenlet, settle
from tests.local_client import LocalClient, closed

StartNode = Callable[..., Node]

RICH = Namespace(name="rich", presence=True, history_size=10, history_lifetime=60)

METHODS = ["publish", "broadcast", "unsubscribe", "disconnect", "presence", "history", "channels", "stats", "node"]


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
def node(start_node: StartNode, engine: FailingEngine) -> Node:
    return start_node(engine, namespaces=(RICH,))


@pytest.fixture
def api(node: Node) -> CommandAPI:
    return CommandAPI(node)


@pytest.fixture
def client(node: Node) -> LocalClient:
    """A client of the user "alice" who is subscribed to "news" and "rich:news"."""
    client = LocalClient.connected(node)
    for channel in ("news", "rich:news"):
        client.subscribe(channel)
    client.received()
    return client


DEEP = b"[" * 5_000 + b"]" * 5_000
"""An array in an array in an array, and so on."""


def run(api: CommandAPI, *commands: dict[str, Any] | str) -> list[Any]:
    """Send the commands as an array, and read the replies."""
    texts = [command if isinstance(command, str) else json.dumps(command) for command in commands]
    return list(json.loads(api.process(f"[{','.join(texts)}]".encode())))


def call(api: CommandAPI, method: str, **params: Any) -> dict[str, Any]:
    """Run one command and return its reply without the method."""
    (reply,) = json.loads(api.process(json.dumps({"method": method, "params": params}).encode()))
    assert reply.pop("method") == method
    return dict(reply)


def refused(api: CommandAPI, request: bytes) -> str:
    """The reason for which the whole request is refused."""
    with pytest.raises(BadRequest) as error:
        api.process(request)
    return str(error.value)


def done(body: Any = None) -> dict[str, Any]:
    return {"error": None, "body": body}


def publish(channel: str, data: Any = 1) -> dict[str, Any]:
    return {"method": "publish", "params": {"channel": channel, "data": data}}


# -- the envelope


def test_a_single_command_gets_an_array_of_one_reply(api: CommandAPI) -> None:
    assert api.process(b'{"method":"channels","params":{}}') == (
        b'[{"method":"channels","error":null,"body":{"data":[]}}]'
    )


def test_commands_are_carried_out_and_answered_in_order(api: CommandAPI, client: LocalClient) -> None:
    replies = run(api, publish("news", "a"), {"method": "channels", "params": {}}, publish("news", "b"))
    assert [reply["method"] for reply in replies] == ["publish", "channels", "publish"]
    assert [push["body"]["data"] for push in client.received()] == ["a", "b"]


def test_an_empty_array_is_answered_with_an_empty_array(api: CommandAPI) -> None:
    assert api.process(b"[]") == b"[]"


@pytest.mark.parametrize("method", METHODS)
def test_reply_contains_the_uid_of_the_command(api: CommandAPI, method: str) -> None:
    params = {"channel": "rich:news", "channels": ["news"], "user": "alice", "data": 1}
    with_uid, without = run(api, {"uid": "x", "method": method, "params": params}, {"method": method, "params": params})
    assert with_uid.pop("uid") == "x"
    assert with_uid == without | {"body": with_uid["body"]}


@pytest.mark.parametrize("method", METHODS)
def test_error_reply_contains_the_uid_of_the_command(api: CommandAPI, method: str) -> None:
    params = {"channel": "unknown:news", "channels": ["unknown:news"], "user": "", "data": 1}
    (reply,) = run(api, {"uid": "x", "method": method, "params": params})
    assert reply["uid"] == "x"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"", "expected a command, which is a JSON object, or an array of commands"),
        (b"null", "expected a command, which is a JSON object, or an array of commands"),
        (b'"publish"', "expected a command, which is a JSON object, or an array of commands"),
        (b"[1]", "Expected `object"),
        (b'{"method":', "Input data was truncated"),
        (b'{"method":"channels","params":{}} x', "trailing characters"),
        (b'{"method":42}', "Expected `string | null`, got `number` - at `$.method`"),
        (b'[{"method":"channels","params":{}},{"uid":1}]', "- at `$[1].uid`"),
        (b'{"method":"publish","params":{"channel":"news","data":"\xff"}}', "not UTF-8 (byte 55)"),
        (b'{"method":"publish","params":{"channel":"news","data":' + DEEP + b"}}", "nested too deeply"),
        (b"{}", "unknown method ''; the methods are publish, broadcast"),
        (b"[null]", "unknown method ''"),
        (b'{"method":"Publish"}', "unknown method 'Publish'"),
        (b'{"method":"ping","params":{}}', "unknown method 'ping'; the methods are publish, broadcast, unsubscribe"),
    ],
    ids=lambda value: value[:60],
)
def test_invalid_command_is_refused_with_a_reason(api: CommandAPI, request_: bytes, reason: str) -> None:
    assert reason in refused(api, request_)


@pytest.mark.parametrize("method", ["publish", "broadcast", "unsubscribe", "disconnect", "presence", "history"])
def test_missing_params_are_refused(api: CommandAPI, method: str) -> None:
    assert refused(api, json.dumps({"method": method}).encode()) == f"{method}: params are missing"


@pytest.mark.parametrize("method", ["channels", "stats", "node"])
@pytest.mark.parametrize("params", ["", ',"params":null', ',"params":[]'])
def test_commands_without_parameters_ignore_params(api: CommandAPI, method: str, params: str) -> None:
    (reply,) = json.loads(api.process(f'{{"method":"{method}"{params}}}'.encode()))
    assert reply["error"] is None


@pytest.mark.parametrize(
    ("method", "params", "place"),
    [
        ("publish", {"channel": 42, "data": 1}, "$.channel"),
        ("publish", {"channel": "news", "data": 1, "client": {}}, "$.client"),
        ("publish", {"channel": "news", "data": 1, "uid": 7}, "$.uid"),
        ("broadcast", {"channels": "news", "data": 1}, "$.channels"),
        ("broadcast", {"channels": ["news", 1], "data": 1}, "$.channels[1]"),
        ("unsubscribe", {"user": 42, "channel": "news"}, "$.user"),
        ("disconnect", {"user": []}, "$.user"),
        ("presence", {"channel": True}, "$.channel"),
        ("history", {"channel": {}}, "$.channel"),
    ],
)
def test_wrong_type_is_refused_with_its_position(
    api: CommandAPI, method: str, params: dict[str, Any], place: str
) -> None:
    assert place in refused(api, json.dumps({"method": method, "params": params}).encode())


@pytest.mark.parametrize(
    "bad", ['{"method":"unknown"}', '{"method":"publish","params":{"channel":"news"}}', '{"method":"history"}']
)
def test_commands_before_an_invalid_command_are_carried_out(api: CommandAPI, client: LocalClient, bad: str) -> None:
    with pytest.raises(BadRequest):
        run(api, publish("news", "before"), bad, publish("news", "after"))
    assert [push["body"]["data"] for push in client.received()] == ["before"]


def test_request_that_is_not_json_carries_out_no_command(api: CommandAPI, client: LocalClient) -> None:
    with pytest.raises(BadRequest):
        run(api, publish("news"), "{")
    assert client.received() == []


def test_request_continues_after_an_error(api: CommandAPI, client: LocalClient) -> None:
    replies = run(api, publish("unknown:news"), publish("news", "after"))
    assert [reply["error"] for reply in replies] == ["namespace not found", None]
    assert [push["body"]["data"] for push in client.received()] == ["after"]


NODE: dict[str, Any] = {"method": "node", "params": {}}


@pytest.mark.parametrize("command", [publish("news"), NODE], ids=["publish", "node"])
def test_other_greenlets_run_between_commands(
    api: CommandAPI, background_greenlet: BackgroundGreenlet, monkeypatch: pytest.MonkeyPatch, command: dict[str, Any]
) -> None:
    monkeypatch.setattr(api_module, "PUBLISH_BATCH_SIZE", 1)
    run(api, *[command] * 5)
    assert background_greenlet.turns >= 4


def test_other_greenlets_run_between_commands_of_a_queue(
    api: CommandAPI, background_greenlet: BackgroundGreenlet
) -> None:
    api.process_queued([json.dumps(NODE).encode()] * 5)
    assert background_greenlet.turns >= 4
    before = background_greenlet.turns
    api.process_queued([json.dumps([NODE] * 5).encode()])
    assert background_greenlet.turns >= before + 4


def test_other_greenlets_run_between_channels_of_a_broadcast(
    api: CommandAPI, background_greenlet: BackgroundGreenlet, monkeypatch: pytest.MonkeyPatch, engine: FailingEngine
) -> None:
    monkeypatch.setattr(api_module, "PUBLISH_BATCH_SIZE", 2)
    channels = [f"rich:{number}" for number in range(10)]
    assert call(api, "broadcast", channels=channels, data=1) == done()
    assert background_greenlet.turns >= 4
    assert [len(engine.history(channel)) for channel in channels] == [1] * 10


def test_a_broadcast_in_several_parts_ends_at_the_first_channel_that_is_refused(
    api: CommandAPI, monkeypatch: pytest.MonkeyPatch, engine: FailingEngine
) -> None:
    monkeypatch.setattr(api_module, "PUBLISH_BATCH_SIZE", 2)
    reply = call(api, "broadcast", channels=["rich:1", "rich:2", "rich:3", "unknown:4", "rich:5"], data=1)
    assert reply["error"] == "namespace not found"
    assert [len(engine.history(f"rich:{number}")) for number in (1, 2, 3, 5)] == [1, 1, 1, 0]


@pytest.mark.parametrize("method", ["presence", "history"])
def test_other_greenlets_run_while_a_large_reply_is_encoded(
    start_node: StartNode, engine: FailingEngine, background_greenlet: BackgroundGreenlet, method: str
) -> None:
    large = Namespace(name="large", presence=True, history_size=1000, history_lifetime=60)
    api = CommandAPI(start_node(engine, namespaces=(large,)))
    for number in range(300):
        engine.add_presence("large:news", f"c{number}", RawClientInfo("alice", f"c{number}"), 60)
    run(api, *[publish("large:news", number) for number in range(300)])
    before = background_greenlet.turns
    assert len(call(api, method, channel="large:news")["body"]["data"]) == 300
    assert background_greenlet.turns >= before + 3


def test_commands_after_too_many_replies_are_refused(start_node: StartNode, engine: FailingEngine) -> None:
    node = start_node(engine, namespaces=(RICH,), api_reply_max_size=3000)
    replies = run(
        CommandAPI(node), *[NODE] * 100, publish("rich:late"), {"uid": "u", "method": "channels", "params": {}}
    )
    carried_out = [reply for reply in replies if reply["error"] is None]
    assert len(replies) == 102
    assert replies[: len(carried_out)] == carried_out
    assert 1 <= len(carried_out) < 10
    assert replies[-2:] == [
        {"method": "publish", "error": "limit exceeded", "body": None},
        {"uid": "u", "method": "channels", "error": "limit exceeded", "body": None},
    ]
    assert engine.history("rich:late") == []


def test_publications_after_too_many_replies_are_refused(start_node: StartNode, engine: FailingEngine) -> None:
    """The last reply before that may exceed the limit, and no other."""
    size = len(encode_api_reply(None, "publish"))
    api = CommandAPI(start_node(engine, namespaces=(RICH,), api_reply_max_size=2 * size + 1))
    replies = run(api, *[publish("rich:news", number) for number in range(10)])
    assert [reply["error"] for reply in replies] == [None] * 3 + ["limit exceeded"] * 7
    assert len(engine.history("rich:news")) == 3


def test_uids_count_for_the_size_of_replies(start_node: StartNode, engine: FailingEngine) -> None:
    api = CommandAPI(start_node(engine, namespaces=(RICH,), api_reply_max_size=2000))
    replies = run(api, *[{"uid": "\x01" * 200, **publish("rich:news", number)} for number in range(4)])
    assert [reply["error"] for reply in replies] == [None, None, "limit exceeded", "limit exceeded"]


def test_a_queue_has_no_limit_of_replies(start_node: StartNode, engine: FailingEngine) -> None:
    api = CommandAPI(start_node(engine, namespaces=(RICH,), api_reply_max_size=1))
    api.process_queued([json.dumps([publish("rich:news", number) for number in range(5)]).encode()])
    assert len(engine.history("rich:news")) == 5


# -- publish


def test_publish_reaches_subscribers(api: CommandAPI, client: LocalClient) -> None:
    data = '{"b" : 1.50,"a":[1e400, -0.0, 12345678901234567890], "é": "\\ud800"}'
    request = f'{{"method":"publish","params":{{"channel":"news","data":{data}}}}}'
    assert json.loads(api.process(request.encode())) == [{"method": "publish", **done()}]
    (push,) = client.received_bytes()
    assert push.endswith(f'"channel":"news","data":{data}}}}}'.encode())


def test_publish_may_contain_client_and_uid(api: CommandAPI, client: LocalClient) -> None:
    call(api, "publish", channel="news", data=None, client="c9", uid="u9")
    assert client.received()[0]["body"] == {"uid": "u9", "client": "c9", "channel": "news", "data": None}


def test_publish_creates_a_missing_uid(api: CommandAPI, client: LocalClient) -> None:
    for uid in (None, ""):
        call(api, "publish", channel="news", data=1, uid=uid)
    assert len({push["body"]["uid"] for push in client.received()}) == 2


def test_publish_needs_no_option_of_the_channel(api: CommandAPI, engine: FailingEngine) -> None:
    assert call(api, "publish", channel="$rich:news#42&c1", data=1) == done()
    assert len(engine.history("$rich:news#42&c1")) == 1


@pytest.mark.parametrize(
    "params", [{}, {"channel": "news"}, {"data": 1}, {"channel": "", "data": 1}, {"channel": None}]
)
def test_publish_requires_channel_and_data(api: CommandAPI, params: dict[str, Any]) -> None:
    request = json.dumps({"method": "publish", "params": params}).encode()
    assert refused(api, request) == "publish: channel and data are required"


def test_publish_into_an_unknown_namespace_is_an_error(api: CommandAPI) -> None:
    assert call(api, "publish", channel="unknown:news", data=1) == {
        "error": "namespace not found",
        "advice": "fix",
        "body": None,
    }


def test_publish_failures_are_reported(api: CommandAPI, engine: FailingEngine) -> None:
    engine.failing.add("publish")
    assert call(api, "publish", channel="news", data=1) == {"error": "internal server error", "body": None}


# -- broadcast


def test_broadcast_reaches_all_channels(api: CommandAPI, client: LocalClient) -> None:
    assert call(api, "broadcast", channels=["news", "rich:news", "elsewhere"], data=[1], client="c9") == done()
    pushes = [push["body"] for push in client.received()]
    assert [push["channel"] for push in pushes] == ["news", "rich:news"]
    assert [(push["data"], push["client"]) for push in pushes] == [([1], "c9")] * 2
    assert pushes[0]["uid"] != pushes[1]["uid"]


@pytest.mark.parametrize(
    ("channels", "error"),
    [
        (["news", "unknown:x", "rich:news"], {"error": "namespace not found", "advice": "fix"}),
        (["news", "", "rich:news"], {"error": "invalid message", "advice": "fix"}),
        (["news", None, "rich:news"], {"error": "invalid message", "advice": "fix"}),
    ],
)
def test_broadcast_stops_at_the_first_error(
    api: CommandAPI, client: LocalClient, channels: list[Any], error: dict[str, str]
) -> None:
    assert call(api, "broadcast", channels=channels, data=1) == error | {"body": None}
    assert [push["body"]["channel"] for push in client.received()] == ["news"]


@pytest.mark.parametrize(
    "params", [{}, {"channels": ["news"]}, {"data": 1}, {"channels": [], "data": 1}, {"channels": None, "data": 1}]
)
def test_broadcast_needs_channels_and_data(api: CommandAPI, params: dict[str, Any]) -> None:
    assert call(api, "broadcast", **params) == {"error": "invalid message", "advice": "fix", "body": None}


def test_broadcast_failures_are_reported(api: CommandAPI, engine: FailingEngine) -> None:
    engine.failing.add("publish")
    assert call(api, "broadcast", channels=["news", "chat"], data=1) == {
        "error": "internal server error",
        "body": None,
    }
    assert engine.calls["publish"] == 2


# -- unsubscribe and disconnect


def test_unsubscribe_ends_one_subscription(api: CommandAPI, client: LocalClient) -> None:
    assert call(api, "unsubscribe", user="alice", channel="news") == done()
    assert client.received() == [{"method": "unsubscribe", "body": {"channel": "news", "status": True}}]
    assert list(client.connection.channels) == ["rich:news"]


@pytest.mark.parametrize("params", [{}, {"channel": ""}, {"channel": None}])
def test_unsubscribe_without_channel_ends_all_subscriptions(
    api: CommandAPI, client: LocalClient, params: dict[str, Any]
) -> None:
    assert call(api, "unsubscribe", user="alice", **params) == done()
    assert [push["body"]["channel"] for push in client.received()] == ["news", "rich:news"]


def test_disconnect_closes_connections_of_the_user(api: CommandAPI, client: LocalClient) -> None:
    assert call(api, "disconnect", user="alice") == done()
    assert client.close_reason == closed("disconnect")


def test_disconnect_of_a_user_without_connections_is_not_an_error(api: CommandAPI) -> None:
    assert call(api, "unsubscribe", user="nobody", channel="news") == done()
    assert call(api, "disconnect", user="nobody") == done()


@pytest.mark.parametrize("method", ["unsubscribe", "disconnect"])
@pytest.mark.parametrize("params", [{}, {"user": ""}, {"user": None}])
def test_commands_for_users_require_a_user(api: CommandAPI, method: str, params: dict[str, Any]) -> None:
    assert call(api, method, **params) == {"error": "invalid message", "body": None}


def test_unsubscribe_from_an_unknown_namespace_is_an_error(api: CommandAPI, client: LocalClient) -> None:
    assert call(api, "unsubscribe", user="alice", channel="unknown:x") == {"error": "namespace not found", "body": None}
    assert client.received() == []


@pytest.mark.parametrize("method", ["unsubscribe", "disconnect"])
def test_failed_control_message_is_an_error(api: CommandAPI, engine: FailingEngine, method: str) -> None:
    engine.failing.add("publish_control")
    assert call(api, method, user="alice") == {"error": "internal server error", "body": None}


# -- presence and history


def test_presence_lists_clients(api: CommandAPI, client: LocalClient) -> None:
    info = {"user": "alice", "client": client.uid}
    assert call(api, "presence", channel="rich:news") == done({"channel": "rich:news", "data": {client.uid: info}})
    assert call(api, "presence", channel="rich:empty") == done({"channel": "rich:empty", "data": {}})


def test_history_lists_messages(api: CommandAPI) -> None:
    for uid in ("u1", "u2"):
        call(api, "publish", channel="rich:news", data=uid, uid=uid)
    messages = [{"uid": uid, "channel": "rich:news", "data": uid} for uid in ("u2", "u1")]
    assert call(api, "history", channel="rich:news") == done({"channel": "rich:news", "data": messages})
    assert call(api, "history", channel="rich:empty") == done({"channel": "rich:empty", "data": []})


@pytest.mark.parametrize("method", ["presence", "history"])
@pytest.mark.parametrize(
    ("channel", "error"),
    [("news", "not available"), ("unknown:news", "namespace not found"), ("", "invalid message")],
)
def test_refused_queries_have_no_advice(api: CommandAPI, method: str, channel: str, error: str) -> None:
    assert call(api, method, channel=channel) == {"error": error, "body": {"channel": channel, "data": None}}


@pytest.mark.parametrize("method", ["presence", "history"])
def test_failures_of_queries_are_reported(api: CommandAPI, engine: FailingEngine, method: str) -> None:
    engine.failing.add(method)
    assert call(api, method, channel="rich:news") == {
        "error": "internal server error",
        "body": {"channel": "rich:news", "data": None},
    }


# -- channels, stats and node


def test_channels_are_listed(api: CommandAPI, client: LocalClient) -> None:
    reply = call(api, "channels")
    assert sorted(reply["body"]["data"]) == ["news", "rich:news"]


def test_failure_to_list_channels_is_reported(api: CommandAPI, engine: FailingEngine) -> None:
    engine.failing.add("channels")
    assert call(api, "channels") == {"error": "internal server error", "body": {"data": None}}


def test_stats_contain_all_nodes(start_node: StartNode) -> None:
    bus = Bus()
    first = start_node(bus.engine(), name="first", node_metrics_interval=30)
    second = start_node(bus.engine(), name="second")
    data = call(CommandAPI(first), "stats")["body"]["data"]
    assert data["metrics_interval"] == 30
    names = {first.cluster.uid: "first", second.cluster.uid: "second"}
    assert {info["uid"]: info["name"] for info in data["nodes"]} == names
    assert set(data["nodes"][0]) == {"uid", "name", "started_at", "metrics"}


def test_node_shows_this_node_now(api: CommandAPI, node: Node, client: LocalClient) -> None:
    data = call(api, "node")["body"]["data"]
    assert (data["uid"], data["name"]) == (node.cluster.uid, "test")
    assert (data["metrics"]["node_num_clients"], data["metrics"]["node_num_channels"]) == (1, 2)
    assert all(isinstance(value, int) for value in data["metrics"].values())


def test_disconnect_reaches_other_nodes(start_node: StartNode) -> None:
    bus = Bus()
    here, there = start_node(bus.engine()), start_node(bus.engine())
    connection = FakeConnection(there.flusher, "c1")
    there.add_connection(connection)
    call(CommandAPI(here), "disconnect", user="alice")
    settle()
    assert connection.closed_with == [CLOSE_DISCONNECT]


# -- the queue


def test_internal_error_does_not_stop_queued_commands(
    api: CommandAPI, client: LocalClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def fail(*arguments: object) -> NoReturn:
        calls.append(arguments)
        raise RuntimeError("a bug")

    monkeypatch.setattr(Node, "presence", fail)
    news = b'{"method": "publish", "params": {"channel": "news", "data": %d}}'
    api.process_queued([news % 1, b'{"method": "presence", "params": {"channel": "rich:news"}}', news % 2])
    assert [push["body"]["data"] for push in client.received()] == [1, 2]
    assert len(calls) == 1
    assert "internal error in a command from the API queue" in caplog.text


def test_internal_error_of_one_queued_publication_does_not_stop_the_others(
    api: CommandAPI, client: LocalClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_three(publish: Callable[..., Any], data_of: Callable[..., list[bytes]]) -> Callable[..., Any]:
        def fail_for_three(self: Node, *arguments: Any, **options: Any) -> Any:
            if b"3" in data_of(*arguments):
                raise RuntimeError("a bug")
            return publish(self, *arguments, **options)

        return fail_for_three

    all_data = without_three(Node.publish_all, lambda requests: [bytes(request.data) for request in requests])
    monkeypatch.setattr(Node, "publish_all", all_data)
    monkeypatch.setattr(Node, "publish", without_three(Node.publish, lambda channel, data, *more: [bytes(data)]))
    api.process_queued([json.dumps([publish("news", number) for number in range(6)]).encode()])
    assert [push["body"]["data"] for push in client.received()] == [0, 1, 2, 4, 5]
    assert len(caplog.records) == 1


def test_invalid_entries_do_not_stop_queued_commands(
    api: CommandAPI, client: LocalClient, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [
        b'{"method": "publish", "params": {"channel": "news", "data": 1}}',
        b"garbage",
        b'{"data": [{"method": "publish", "params": {"channel": "news", "data": 2}}, {"method": "sing"}]}',
        b'{"data": {"method": "publish", "params": {"channel": "nowhere:news", "data": 3}}}',
        b'[{"method": "publish", "params": {}}, {"method": "publish", "params": {"channel": "news", "data": 4}}]',
    ]
    api.process_queued(entries)
    assert [push["body"]["data"] for push in client.received()] == [1, 2, 4]
    for words in ("it begins with b'garbage'", "unknown method 'sing'", "namespace not found", "data are required"):
        assert words in caplog.text
