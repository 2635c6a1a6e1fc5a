"""Behaviour of the methods of the API: results, errors, and what happens to clients."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.api.methods import COMMANDS
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v2.errors import CodedError
from tests.app.api.parts import KEPT, call
from tests.fakes import Bus, FailingEngine
from tests.greenlets import settle
from tests.local_client import LocalClient, closed
from tests.local_client_v2 import KEY, LocalClientV2

INTERNAL = (100, "internal server error")
UNKNOWN_CHANNEL = (102, "unknown channel")
BAD_REQUEST = (107, "bad request")
NOT_AVAILABLE = (108, "not available")
BAD_REQUEST_CODE = CodedError(*BAD_REQUEST)
BY_CHANNEL = ["presence", "presence_stats", "history", "history_remove"]


def data_of(client: LocalClient) -> list[object]:
    return [push["body"]["data"] for push in client.received()]


# -- publish


def test_publish_reaches_subscribers_byte_for_byte(calls: MethodCalls, client: LocalClient) -> None:
    reply = calls.by_name["publish"](b'{"channel":"news","data":{"b": 1.50, "a":1e3}}')
    assert reply == b'{"result":{}}'
    (push,) = client.received_bytes()
    assert b'"data":{"b": 1.50, "a":1e3}' in push


def test_publish_returns_the_position_in_a_history(calls: MethodCalls) -> None:
    first = call(calls, "publish", channel="kept:news", data=1)
    second = call(calls, "publish", channel="kept:news", data=2)
    assert (first["offset"], second["offset"]) == (1, 2)
    assert first["epoch"] == second["epoch"] != ""


def test_skip_history_publishes_without_a_position(calls: MethodCalls, client: LocalClient) -> None:
    assert call(calls, "publish", channel="kept:news", data=1, skip_history=True) == {}
    assert data_of(client) == [1]
    assert call(calls, "history", channel="kept:news", limit=-1)["publications"] == []


def test_an_idempotency_key_publishes_once_in_a_channel(calls: MethodCalls, client: LocalClient) -> None:
    results = [call(calls, "publish", channel="kept:news", data=n, idempotency_key="k") for n in (1, 2)]
    assert results[0] == results[1]
    assert data_of(client) == [1]


def test_a_version_that_is_not_newer_is_not_published(calls: MethodCalls, client: LocalClient) -> None:
    for version in (2, 1, 2, 3):
        call(calls, "publish", channel="kept:news", data=version, version=version)
    call(calls, "publish", channel="kept:news", data="restarted", version=1, version_epoch="second")
    assert data_of(client) == [2, 3, "restarted"]


def test_base64_that_contains_json_is_published_as_json(calls: MethodCalls, client: LocalClient) -> None:
    call(calls, "publish", channel="news", b64data=base64.b64encode(b'{"x": 1}').decode())
    assert data_of(client) == [{"x": 1}]


def test_payload_that_is_not_json_reaches_clients_of_v1_and_histories_as_base64(
    calls: MethodCalls, client: LocalClient
) -> None:
    text = base64.b64encode(b"\x00\x01\xff").decode()
    call(calls, "publish", channel="kept:news", b64data=text)
    assert data_of(client) == [text]
    assert call(calls, "history", channel="kept:news", limit=1)["publications"] == [{"data": text, "offset": 1}]


@pytest.mark.parametrize(
    "params",
    [{"channel": ""}, {"channel": None}, {}, {"channel": "news", "data": ...}, {"channel": "news", "b64data": "?"}],
)
def test_publish_without_a_channel_or_a_payload_is_a_bad_request(calls: MethodCalls, params: dict[str, object]) -> None:
    given = {"data": 1, **params}
    if given["data"] is ...:
        del given["data"]
    assert call(calls, "publish", **given) == BAD_REQUEST


def logged(calls: MethodCalls, caplog: pytest.LogCaptureFixture, method: str, **params: object) -> list[str]:
    """Call a method that fails, and return the lines of the log."""
    with caplog.at_level("INFO", "gentrifugo.app.node.refusals"):
        assert call(calls, method, **params) == BAD_REQUEST
    return caplog.messages


@pytest.mark.parametrize(
    ("method", "params", "detail"),
    [
        ("publish", {"data": 1}, "channel is missing or empty"),
        ("publish", {"channel": "", "data": 1}, "channel is missing or empty"),
        ("publish", {"channel": "news"}, "data is missing"),
        ("publish", {"channel": "news", "b64data": "*"}, "a payload is not Base64"),
        ("broadcast", {"data": 1}, "channels is missing or empty"),
        ("presence", {}, "channel is missing or empty"),
        ("history", {}, "channel is missing or empty"),
        ("subscribe", {"user": "42"}, "channel is missing or empty"),
    ],
)
def test_missing_parameter_is_logged(
    calls: MethodCalls, caplog: pytest.LogCaptureFixture, method: str, params: dict[str, object], detail: str
) -> None:
    assert logged(calls, caplog, method, **params) == [f'refused a command "{method}" of a backend: {detail}']


def test_missing_parameter_in_a_batch_is_logged(calls: MethodCalls, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "gentrifugo.app.node.refusals"):
        call(calls, "batch", commands=[{"publish": {"channel": "news"}}])
    assert caplog.messages == ['refused a command "publish" of a backend: data is missing']


def test_missing_parameters_are_logged_once_for_several_commands(
    calls: MethodCalls, caplog: pytest.LogCaptureFixture
) -> None:
    logged(calls, caplog, "publish", channel="news")
    assert len(logged(calls, caplog, "publish", channel="other")) == 1


def test_a_payload_may_have_500_levels(calls: MethodCalls) -> None:
    deepest, deeper = (b'{"channel":"news","data":%b%b}' % (b"[" * levels, b"]" * levels) for levels in (500, 501))
    assert calls.by_name["publish"](deepest) == b'{"result":{}}'
    assert calls.by_name["publish"](deeper) == BAD_REQUEST_CODE


def test_null_is_a_payload(calls: MethodCalls, client: LocalClient) -> None:
    assert call(calls, "publish", channel="news", data=None) == {}
    assert data_of(client) == [None]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"channel":1}', b'{"channel":"a\xff","data":1}', b'{"version":-1}', b"[" * 200_000]
)
def test_body_with_invalid_structure_is_a_bad_request(calls: MethodCalls, body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        calls.by_name["publish"](body)


def test_a_failing_engine_is_an_internal_error(calls: MethodCalls, engine: FailingEngine) -> None:
    engine.failing = {"publish", "presence"}
    assert call(calls, "publish", channel="news", data=1) == INTERNAL
    assert call(calls, "presence", channel="kept:news") == INTERNAL


# -- broadcast


def test_broadcast_has_an_outcome_for_each_channel(calls: MethodCalls, client: LocalClient) -> None:
    result = call(calls, "broadcast", channels=["news", "nosuch:news", "", "kept:news"], data=1)
    empty, unknown, bad, kept = result["responses"]
    assert empty == {"result": {}}
    assert unknown == {"error": {"code": 102, "message": "unknown channel"}}
    assert bad == {"error": {"code": 107, "message": "bad request"}}
    assert kept["result"]["offset"] == 1
    assert data_of(client) == [1, 1]


@pytest.mark.parametrize("params", [{}, {"channels": []}, {"channels": None}])
def test_broadcast_without_channels_is_refused(calls: MethodCalls, params: dict[str, object]) -> None:
    assert call(calls, "broadcast", data=1, **params) == BAD_REQUEST


def test_broadcast_needs_a_payload(calls: MethodCalls) -> None:
    assert call(calls, "broadcast", channels=["news"]) == BAD_REQUEST


# -- connections


def test_unsubscribe_ends_subscriptions_of_a_user(calls: MethodCalls, client: LocalClient) -> None:
    assert call(calls, "unsubscribe", user="alice", channel="news") == {}
    assert [push["method"] for push in client.received()] == ["unsubscribe"]
    assert set(client.connection.channels) == {"kept:news"}


def test_unsubscribe_of_an_unknown_channel_is_an_error(calls: MethodCalls) -> None:
    assert call(calls, "unsubscribe", user="alice", channel="nosuch:news") == UNKNOWN_CHANNEL


def test_disconnect_closes_clients_of_v1_like_the_api_of_v1(calls: MethodCalls, client: LocalClient) -> None:
    assert call(calls, "disconnect", user="alice") == {}
    assert client.close_reason == closed("disconnect")


@pytest.mark.parametrize(("code", "reconnect"), [(4002, True), (3000, True), (3500, False), (4501, False)])
def test_disconnect_code_determines_whether_clients_reconnect_by_api(
    calls: MethodCalls, client: LocalClient, code: int, reconnect: bool
) -> None:
    call(calls, "disconnect", user="alice", disconnect={"code": code, "reason": "maintenance"})
    assert client.close_reason == closed("maintenance", reconnect)


def test_disconnect_leaves_other_clients_and_the_whitelist_alone(
    calls: MethodCalls, node: Node, client: LocalClient
) -> None:
    others = [LocalClient.connected(node) for _ in range(2)]
    call(calls, "disconnect", user="alice", whitelist=[client.uid, others[0].uid])
    call(calls, "disconnect", user="alice", client=others[0].uid)
    call(calls, "disconnect", user="alice", session="unknown")
    assert [one.close_reason is None for one in (client, *others)] == [True, False, False]


@pytest.mark.parametrize("method", ["subscribe", "refresh"])
def test_clients_of_v1_are_not_controlled_by_the_server(calls: MethodCalls, client: LocalClient, method: str) -> None:
    params = {"channel": "kept:other"} if method == "subscribe" else {"expired": True}
    assert call(calls, method, user="alice", **params) == {}
    assert client.received() == []
    assert client.close_reason is None


def test_subscribe_checks_its_channel_and_its_base64(calls: MethodCalls) -> None:
    assert call(calls, "subscribe", user="alice") == BAD_REQUEST
    assert call(calls, "subscribe", user="alice", channel="nosuch:news") == UNKNOWN_CHANNEL
    assert call(calls, "subscribe", user="alice", channel="news", b64info="?") == BAD_REQUEST


@pytest.mark.parametrize("value", [{}, {"value": None}, {"value": False}])
def test_a_value_in_an_override_that_is_null_counts_as_missing(
    start_node: Callable[..., Node], value: dict[str, object]
) -> None:
    node = start_node(namespaces=(KEPT,), token_hmac_secret_key=KEY)
    client, calls = LocalClientV2.connected(node), MethodCalls(node)
    assert call(calls, "subscribe", user="alice", channel="kept:news", override={"presence": value}) == {}
    assert set(client.connection.channels) == {"kept:news"}
    assert call(calls, "presence", channel="kept:news") == {"presence": {}}


# -- presence and history


def test_presence_lists_clients_and_presence_stats_counts_them(
    calls: MethodCalls, node: Node, client: LocalClient
) -> None:
    other = LocalClient.connected(node, info='{"name":"Ann"}')
    other.subscribe("kept:news")
    assert call(calls, "presence", channel="kept:news")["presence"] == {
        client.uid: {"user": "alice", "client": client.uid},
        other.uid: {"user": "alice", "client": other.uid, "conn_info": {"name": "Ann"}},
    }
    assert call(calls, "presence_stats", channel="kept:news") == {"num_clients": 2, "num_users": 1}


def test_an_empty_presence_and_an_empty_history_have_all_their_fields(calls: MethodCalls) -> None:
    assert call(calls, "presence", channel="kept:none") == {"presence": {}}
    history = call(calls, "history", channel="kept:none")
    assert (history["publications"], history["offset"]) == ([], 0)
    assert history["epoch"]


def test_history_by_limit_position_and_order(calls: MethodCalls) -> None:
    for number in (1, 2, 3, 4):
        epoch = call(calls, "publish", channel="kept:news", data=number, tags={"n": str(number)})["epoch"]

    def offsets(**params: object) -> list[int]:
        result = call(calls, "history", channel="kept:news", **params)
        assert (result["offset"], result["epoch"]) == (4, epoch)
        return [publication["offset"] for publication in result["publications"]]

    assert offsets() == []
    assert offsets(limit=2) == [1, 2]
    assert offsets(limit=-1, reverse=True) == [4, 3, 2, 1]
    assert offsets(limit=-1, since={"offset": 2, "epoch": epoch}) == [3, 4]
    assert offsets(limit=-1, since={"offset": 3}, reverse=True) == [2, 1]
    (first,) = call(calls, "history", channel="kept:news", limit=1)["publications"]
    assert first == {"data": 1, "offset": 1, "tags": {"n": "1"}}


def test_a_position_of_another_epoch_is_unrecoverable(calls: MethodCalls) -> None:
    call(calls, "publish", channel="kept:news", data=1)
    error = call(calls, "history", channel="kept:news", limit=-1, since={"offset": 0, "epoch": "other"})
    assert error == (112, "unrecoverable position")


def test_the_stream_continues_after_its_history_was_removed(calls: MethodCalls) -> None:
    before = call(calls, "publish", channel="kept:news", data=1)
    assert call(calls, "history_remove", channel="kept:news") == {}
    after = call(calls, "history", channel="kept:news", limit=-1)
    assert after == {"publications": [], "offset": 1, "epoch": before["epoch"]}
    assert call(calls, "publish", channel="kept:news", data=2) == {**before, "offset": 2}


def test_publications_of_clients_contain_the_publisher(start_node: Callable[..., Node]) -> None:
    node = start_node(publish=True, history_size=1, history_lifetime=60)
    client = LocalClient.connected(node, info="[1]")
    client.subscribe("news")
    client.call("publish", channel="news", data=1)
    (publication,) = call(MethodCalls(node), "history", channel="news", limit=1)["publications"]
    assert publication["info"] == {"user": "alice", "client": client.uid, "conn_info": [1]}


@pytest.mark.parametrize("method", BY_CHANNEL)
def test_methods_refuse_missing_unknown_and_unsuitable_channels(calls: MethodCalls, method: str) -> None:
    assert call(calls, method, channel="") == BAD_REQUEST
    assert call(calls, method, channel="nosuch:news") == UNKNOWN_CHANNEL
    assert call(calls, method, channel="news") == NOT_AVAILABLE


# -- the server


def test_channels_counts_subscribers_on_all_nodes_by_pattern(start_node: Callable[..., Node]) -> None:
    bus = Bus()
    nodes = [start_node(bus.engine(), name=name) for name in ("first", "second")]
    settle()
    for node, channels in zip(nodes, (["news", "sport"], ["news"]), strict=True):
        for channel in channels:
            LocalClient.connected(node).subscribe(channel)
    calls = MethodCalls(nodes[0])
    assert call(calls, "channels")["channels"] == {"news": {"num_clients": 2}, "sport": {"num_clients": 1}}
    assert call(calls, "channels", pattern="s*")["channels"] == {"sport": {"num_clients": 1}}
    assert call(calls, "channels", pattern="{") == BAD_REQUEST


def test_info_describes_every_node(start_node: Callable[..., Node]) -> None:
    bus = Bus()
    first, second = [start_node(bus.engine(), name=name, namespaces=(KEPT,)) for name in ("first", "second")]
    settle()
    client = LocalClient.connected(first)
    for channel in ("news", "kept:news"):
        client.subscribe(channel)
    nodes = {node["name"]: node for node in call(MethodCalls(first), "info")["nodes"]}
    assert set(nodes) == {"first", "second"}
    assert nodes["second"]["uid"] == second.cluster.uid
    counts = {name: nodes["first"][name] for name in ("num_clients", "num_users", "num_subs", "num_channels")}
    assert counts == {"num_clients": 1, "num_users": 1, "num_subs": 2, "num_channels": 2}
    assert nodes["first"]["version"] == first.version
    assert nodes["first"]["metrics"]["items"]["node_num_clients"] == 1


def test_every_declared_method_is_served(calls: MethodCalls) -> None:
    assert set(calls.by_name) == {"batch", *(method.name for method in COMMANDS)}
