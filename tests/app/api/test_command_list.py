"""Behaviour of requests with one command for each line, as libraries for Centrifugo 2 to 4 send them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.model.json_codec import InvalidJSON
from gentrifugo.app.node.node import Node
from tests.local_client import LocalClient, closed


def replies(calls: MethodCalls, *commands: Mapping[str, object]) -> list[object]:
    body = "\n".join(map(json.dumps, commands)).encode()
    return [json.loads(line) for line in calls.process_lines(body).split(b"\n")]


def test_every_line_has_a_reply(calls: MethodCalls, client: LocalClient) -> None:
    publish = {"method": "publish", "params": {"channel": "news", "data": 1}}
    unknown = {"id": 3, "method": "presence", "params": {"channel": "nosuch:news"}}
    assert replies(calls, publish, {**publish, "id": 2}, unknown) == [
        {"result": {}},
        {"id": 2, "result": {}},
        {"id": 3, "error": {"code": 102, "message": "unknown channel"}},
    ]
    assert len(client.received()) == 2


def test_command_without_a_method_is_logged_once_with_the_path_of_publish(
    calls: MethodCalls, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    not_found = {"error": {"code": 104, "message": "not found"}}
    commands: list[dict[str, object]] = [{"channel": "news", "data": 1}, {"channel": "news", "data": "secret"}]
    assert replies(calls, *commands, {"method": "dance"}) == [not_found, not_found, not_found]
    assert caplog.messages == [
        "refused a command of a backend: a command without a method at /api; the path of publish is /api/publish"
    ]


def test_path_of_publish_in_the_log_has_the_prefix_of_the_server(
    start_node: Callable[..., Node], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    replies(MethodCalls(start_node(http_prefix="/realtime")), {"channel": "news", "data": 1})
    assert caplog.messages[-1].endswith("at /realtime/api; the path of publish is /realtime/api/publish")


@pytest.mark.parametrize("params", [{}, {"params": None}, {"params": {}}, {"params": []}])
def test_parameters_may_be_missing(calls: MethodCalls, params: dict[str, object]) -> None:
    """In PHP an empty object and an empty list are the same, and encoded as a list."""
    assert replies(calls, {"method": "CHANNELS", **params}) == [{"result": {"channels": {}}}]


def test_parameters_in_a_list_are_an_error(calls: MethodCalls) -> None:
    refused = {"error": {"code": 107, "message": "bad request"}}
    commands: list[dict[str, object]] = [{"method": "channels", "params": [1]}, {"method": "publish", "params": []}]
    assert replies(calls, *commands) == [refused, refused]


def test_a_command_without_a_known_method_or_with_wrong_parameters_is_an_error(calls: MethodCalls) -> None:
    commands: list[dict[str, object]] = [{"method": "dance"}, {}, {"method": "publish", "params": {"channel": 1}}]
    assert replies(calls, *commands) == [
        {"error": {"code": 104, "message": "not found"}},
        {"error": {"code": 104, "message": "not found"}},
        {"error": {"code": 107, "message": "bad request"}},
    ]


@pytest.mark.parametrize("name", ["disconnect", "Disconnect"])
def test_the_reason_of_disconnect_may_have_the_name_that_go_gives_it(
    calls: MethodCalls, client: LocalClient, name: str
) -> None:
    """Centrifugo ignores the case of names, so a library in Go, gocent 3, can send the name of its field."""
    why = {"code": 4002, "reason": "maintenance", "reconnect": False}
    params = {"user": "alice", name: why, "ClientWhitelist": None}
    assert replies(calls, {"method": "disconnect", "params": params}) == [{"result": {}}]
    assert client.close_reason == closed("maintenance", reconnect=True)


def test_one_command_may_have_several_lines(calls: MethodCalls) -> None:
    assert calls.process_lines(b'{\n  "method": "channels"\n}\n') == b'{"result":{"channels":{}}}'


def test_commands_after_the_reply_limit_are_not_carried_out(start_node: Callable[..., Node]) -> None:
    calls = MethodCalls(start_node(api_reply_max_size=30))
    *_, last = replies(calls, *[{"method": "channels"}] * 3)
    assert last == {"error": {"code": 106, "message": "limit exceeded"}}


@pytest.mark.parametrize("body", [b"", b"\n", b"[]", b'{"method":"channels"}\n{', b"\xff"])
def test_invalid_body_is_refused_as_a_whole(calls: MethodCalls, body: bytes) -> None:
    with pytest.raises(InvalidJSON):
        calls.process_lines(body)
