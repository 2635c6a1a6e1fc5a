"""Behaviour of batches: order, replies, and which publications are passed to the engine together."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from gentrifugo.app.api import publishing
from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.node.node import Node
from tests.app.api.parts import KEPT, call
from tests.fakes import FailingEngine
from tests.local_client import LocalClient


def publish(channel: str, data: object = 1) -> dict[str, object]:
    return {"publish": {"channel": channel, "data": data}}


@pytest.mark.parametrize("parallel", [False, True])
def test_replies_are_in_the_order_of_the_commands(calls: MethodCalls, client: LocalClient, parallel: bool) -> None:
    commands = [
        publish("news"),
        {"presence_stats": {"channel": "kept:news"}},
        publish("kept:news"),
        {"history": {"channel": "nosuch:news"}},
        {},
        publish("nosuch:news"),
        {"publish": {"data": 1}},
        {"unknown": {}},
    ]
    replies = call(calls, "batch", commands=commands, parallel=parallel)["replies"]
    assert replies[0] == {"publish": {}}
    assert replies[1] == {"presence_stats": {"num_clients": 1, "num_users": 1}}
    assert replies[2]["publish"]["offset"] == 1
    assert [reply["error"]["code"] for reply in replies[3:]] == [102, 104, 102, 107, 104]
    assert [push["body"]["channel"] for push in client.received()] == ["news", "kept:news"]


def test_commands_of_a_batch_are_carried_out_in_order(calls: MethodCalls) -> None:
    history = {"history": {"channel": "kept:news", "limit": -1}}
    commands = [history, publish("kept:news", 1), publish("kept:news", 2), history]
    first, _, _, last = call(calls, "batch", commands=commands)["replies"]
    assert first["history"]["publications"] == []
    assert [publication["data"] for publication in last["history"]["publications"]] == [1, 2]


def test_a_parallel_batch_does_not_wait_for_one_command(calls: MethodCalls, engine: FailingEngine) -> None:
    gate = engine.close_gate("presence")
    commands = [{"presence": {"channel": "kept:news"}}, publish("kept:news")]
    running = gevent.spawn(call, calls, "batch", commands=commands, parallel=True)
    gevent.sleep(0)
    assert call(calls, "history", channel="kept:news")["offset"] == 1
    gate.set()
    assert running.get(timeout=5)["replies"][0] == {"presence": {"presence": {}}}


def test_publications_in_one_channel_stay_in_order(
    calls: MethodCalls, client: LocalClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PUBLISH_BATCH_SIZE", 7)
    for parallel in (False, True):
        call(calls, "batch", commands=[publish("news", number) for number in range(50)], parallel=parallel)
        assert [push["body"]["data"] for push in client.received()] == list(range(50))


def test_a_failing_engine_is_an_error_of_each_publication(calls: MethodCalls, engine: FailingEngine) -> None:
    engine.failing = {"publish"}
    replies = call(calls, "batch", commands=[publish("news"), publish("news")])["replies"]
    assert replies == [{"error": {"code": 100, "message": "internal server error"}}] * 2


@pytest.mark.parametrize("parallel", [False, True])
def test_commands_after_the_reply_limit_are_not_carried_out(start_node: Callable[..., Node], parallel: bool) -> None:
    calls = MethodCalls(start_node(namespaces=(KEPT,), api_reply_max_size=100))
    commands = [{"history": {"channel": "kept:news"}}] * 4
    replies = call(calls, "batch", commands=commands, parallel=parallel)["replies"]
    refused = [reply for reply in replies if reply == {"error": {"code": 106, "message": "limit exceeded"}}]
    assert 1 <= len(refused) <= 2
    publishes = [*commands, publish("kept:news")]
    assert call(calls, "batch", commands=publishes)["replies"][-1]["error"]["code"] == 106


@pytest.mark.parametrize("commands", [None, []])
def test_an_empty_batch_has_no_replies(calls: MethodCalls, commands: object) -> None:
    assert call(calls, "batch", commands=commands) == {"replies": []}


def test_batch_with_one_invalid_command_is_refused_as_a_whole(calls: MethodCalls, client: LocalClient) -> None:
    body = b'{"commands":[{"publish":{"channel":"news","data":1}},{"publish":{"channel":2}}]}'
    with pytest.raises(InvalidJSON, match="commands"):
        calls.by_name["batch"](body)
    assert client.received() == []
