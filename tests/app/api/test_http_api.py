"""Behaviour of requests to the API: keys, statuses and error modes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping

import pytest

from gentrifugo.app.api.calls import MethodCalls
from gentrifugo.app.api.http_api import MethodAPI, given_key, has_key
from gentrifugo.app.api.methods import METHODS_PROTOCOL
from gentrifugo.app.http.head import HTTPError
from gentrifugo.app.http.response import HTTPResponse, error_response
from gentrifugo.app.node.breakdowns import ErrorKind
from gentrifugo.app.node.node import Node

KEY = {"x-api-key": "key"}
TRANSPORT = {"x-centrifugo-error-mode": "transport"}
PUBLISH = b'{"channel":"news","data":1}'


@pytest.fixture
def api(node: Node, calls: MethodCalls) -> MethodAPI:
    return MethodAPI(node, calls)


def ask(
    api: MethodAPI,
    method: str = "publish",
    body: bytes = PUBLISH,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> HTTPResponse:
    try:
        return api.authorize(method, headers or {}, query).answer(body)
    except HTTPError as error:
        return error_response(error)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (KEY, ""),
        ({"authorization": "apikey key"}, ""),
        ({"authorization": "ApiKey  key"}, ""),
        ({}, "api_key=key"),
        ({"authorization": "Bearer x"}, "a=b&api_key=key"),
    ],
)
def test_key_is_accepted_in_every_documented_place(api: MethodAPI, headers: dict[str, str], query: str) -> None:
    response = ask(api, query=query, headers=headers)
    assert (response.status, response.body) == (200, b'{"result":{}}')
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("key", ["", "bad", "key ", "KEY", "key, key", "k\xe9y"])
def test_wrong_or_missing_key_is_unauthorized(api: MethodAPI, key: str) -> None:
    response = ask(api, headers={"x-api-key": key})
    assert response.status == 401
    assert b"API key" in response.body


def test_wrong_or_missing_key_is_logged(api: MethodAPI, caplog: pytest.LogCaptureFixture) -> None:
    for key in ("wrong", "wrong", ""):
        ask(api, headers={"x-api-key": key})
    assert caplog.messages == [
        "refused a request to /api/publish from an unknown address: invalid API key",
        "refused a request to /api/publish from an unknown address: missing API key (header X-API-Key)",
    ]


@pytest.mark.parametrize("authorization", ["Bearer key", "bearer key", "key", "apikeykey"])
def test_key_with_another_scheme_is_refused_with_the_right_headers(api: MethodAPI, authorization: str) -> None:
    response = ask(api, headers={"authorization": authorization})
    assert response.status == 401
    assert response.body == b"no API key in Authorization: send it as X-API-Key: KEY, or as Authorization: apikey KEY\n"


@pytest.mark.parametrize("key", ["apikey key", "ApiKey wrong", "Bearer key"])
def test_key_with_a_scheme_in_x_api_key_is_refused_with_the_right_form(
    api: MethodAPI, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = ask(api, headers={"x-api-key": key})
    why = "invalid API key: X-API-Key takes the key alone, without apikey or Bearer before it"
    assert (response.status, response.body) == (401, f"{why}\n".encode())
    assert caplog.messages == [f"refused a request to /api/publish from an unknown address: {why}"]


def test_key_that_begins_like_a_scheme_is_accepted(start_node: Callable[..., Node]) -> None:
    node = start_node(api_key="apikey key")
    assert ask(MethodAPI(node, MethodCalls(node)), headers={"x-api-key": "apikey key"}).status == 200


def test_key_may_contain_non_ascii_characters(start_node: Callable[..., Node]) -> None:
    node = start_node(api_key="schlüssel")
    api = MethodAPI(node, MethodCalls(node))
    sent = "schlüssel".encode().decode("latin-1")
    assert ask(api, headers={"x-api-key": sent}).status == 200
    assert ask(api, query="api_key=schl%C3%BCssel").status == 200


def test_key_is_checked_again_after_a_reload(api: MethodAPI, node: Node) -> None:
    request = api.authorize("publish", KEY, "")
    assert request.answer(PUBLISH).status == 200
    node.configure(dataclasses.replace(node.config))
    assert request.answer(PUBLISH).status == 200
    node.configure(dataclasses.replace(node.config, api_key="another key"))
    for _ in range(2):
        response = request.answer(PUBLISH)
        assert (response.status, response.body) == (401, b"invalid API key\n")
    assert node.metrics.breakdowns.api_errors[ErrorKind(METHODS_PROTOCOL, "publish", "HTTP 401")] == 2


def test_without_a_configured_key_every_request_is_unauthorized_and_the_log_says_why(
    start_node: Callable[..., Node], caplog: pytest.LogCaptureFixture
) -> None:
    node = start_node()
    api = MethodAPI(node, MethodCalls(node))
    for key in ("", "key"):
        assert ask(api, headers={"x-api-key": key}).status == 401
    (record,) = caplog.records
    assert "option api_key" in record.getMessage()


def test_insecure_api_requires_no_key(start_node: Callable[..., Node]) -> None:
    node = start_node(insecure_api=True)
    assert ask(MethodAPI(node, MethodCalls(node))).status == 200


def test_errors_are_in_the_reply(api: MethodAPI) -> None:
    response = ask(api, body=b'{"channel":"nosuch:x","data":1}', headers=KEY)
    assert (response.status, response.body) == (200, b'{"error":{"code":102,"message":"unknown channel"}}')


@pytest.mark.parametrize(
    ("method", "params", "status"),
    [
        ("publish", {"channel": "nosuch:x", "data": 1}, 404),
        ("publish", {"channel": ""}, 400),
        ("history", {"channel": "news"}, 400),
        ("history", {"channel": "kept:x", "since": {"offset": 0, "epoch": "other"}}, 416),
    ],
)
def test_the_error_mode_transport_turns_errors_into_statuses(
    api: MethodAPI, method: str, params: dict[str, object], status: int
) -> None:
    response = ask(api, method, json.dumps(params).encode(), headers=KEY | TRANSPORT)
    assert response.status == status
    assert set(json.loads(response.body)) == {"code", "message"}


def test_failing_engine_is_status_500_in_error_mode_transport(api: MethodAPI, node: Node) -> None:
    node._engine.failing = {"publish"}  # type: ignore[attr-defined]
    assert ask(api, headers=KEY | TRANSPORT).status == 500


def test_an_unknown_method_is_not_found(api: MethodAPI) -> None:
    response = ask(api, "dance", headers=KEY)
    assert response.status == 404
    assert b"unknown method 'dance'; the methods are publish, " in response.body


@pytest.mark.parametrize("body", [b"", b"hello", b'{"channel":1}'])
def test_invalid_request_is_refused_with_the_reason(api: MethodAPI, body: bytes) -> None:
    response = ask(api, body=body, headers=KEY)
    assert response.status == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert body or response.body == b"empty request body\n"


def test_requests_with_a_valid_key_are_counted(api: MethodAPI, node: Node) -> None:
    ask(api)
    ask(api, headers=KEY)
    ask(api, headers=KEY, body=b"hello")
    assert node.metrics.counters.http_api_num_requests == 2


def test_a_list_of_commands_needs_the_key_too(api: MethodAPI) -> None:
    assert ask(api, "", b'{"method":"channels"}').status == 401
    assert ask(api, "", b'{"method":"channels"}', headers=KEY).body == b'{"result":{"channels":{}}}'


def test_key_is_found_in_headers() -> None:
    assert has_key(KEY)
    assert has_key({"authorization": "apikey x"})
    assert not has_key({"authorization": "Basic x"})
    assert given_key({}, "") == b""
