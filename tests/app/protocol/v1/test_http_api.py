"""Behaviour of the HTTP API: requests with their signatures, and how errors become responses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gentrifugo.app.http.response import json_response, text_response
from gentrifugo.app.node.node import Node
from gentrifugo.app.protocol.v1.api import CommandAPI
from gentrifugo.app.protocol.v1.http_api import HTTPCommandAPI
from tests.credentials import sign

CHANNELS = b'{"method":"channels","params":{}}'

MISMATCH = "invalid signature: it does not match the request body and the secret"


@pytest.fixture
def start_api(start_node: Callable[..., Node]) -> Callable[..., HTTPCommandAPI]:
    """The API of a node that is started: `start_api(option=value, ...)`."""

    def start(**options: object) -> HTTPCommandAPI:
        node = start_node(**options)
        return HTTPCommandAPI(node, CommandAPI(node))

    return start


@pytest.fixture
def api(start_api: Callable[..., HTTPCommandAPI]) -> HTTPCommandAPI:
    return start_api()


def test_a_signed_request_is_carried_out(api: HTTPCommandAPI) -> None:
    response = api.answer(sign(CHANNELS.decode()), CHANNELS)
    assert response == json_response(b'[{"method":"channels","error":null,"body":{"data":[]}}]')


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        ("", 400, 'missing signature (X-API-Sign header or form field "sign") or API key (X-API-Key header)'),
        ("0" * 64, 401, MISMATCH),
        (
            sign(CHANNELS.decode(), secret="other"),
            401,
            "invalid signature: it does not match the request body and the secret",
        ),
        (sign(CHANNELS.decode() + " "), 401, MISMATCH),
        ("é\udcff", 401, MISMATCH),
    ],
)
def test_a_request_without_its_signature_is_refused(api: HTTPCommandAPI, given: str, status: int, reason: str) -> None:
    assert api.answer(given, CHANNELS) == text_response(status, reason)


def test_wrong_or_missing_signature_is_logged(api: HTTPCommandAPI, caplog: pytest.LogCaptureFixture) -> None:
    for given in ("wrong", "0" * 64, "", ""):
        api.answer(given, CHANNELS)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f"refused a request to /api/ from an unknown address: {MISMATCH}"),
        (
            "WARNING",
            "refused a request to /api/ from an unknown address: missing signature (X-API-Sign header or form "
            'field "sign") or API key (X-API-Key header)',
        ),
    ]


def test_request_that_cannot_be_checked_without_a_secret_is_logged(
    start_api: Callable[..., HTTPCommandAPI], caplog: pytest.LogCaptureFixture
) -> None:
    api = start_api(secret="", insecure=True)
    caplog.clear()
    api.answer("given", CHANNELS)
    assert caplog.messages == [
        "refused a request to /api/ from an unknown address: cannot check signatures: option secret is not set"
    ]


def test_signed_request_is_refused_without_a_secret(start_api: Callable[..., HTTPCommandAPI]) -> None:
    response = start_api(secret="", insecure=True).answer(sign(CHANNELS.decode(), secret=""), CHANNELS)
    assert (response.status, response.body) == (400, b"cannot check signatures: option secret is not set\n")


@pytest.mark.parametrize("insecure_api", [True, False])
def test_an_empty_request_is_refused(start_api: Callable[..., HTTPCommandAPI], insecure_api: bool) -> None:
    response = start_api(insecure_api=insecure_api).answer(sign(""), b"")
    assert (response.status, response.body) == (400, b"empty request body\n")


@pytest.mark.parametrize("given", ["", "wrong"])
def test_insecure_api_requires_no_signature(start_api: Callable[..., HTTPCommandAPI], given: str) -> None:
    assert start_api(insecure_api=True).answer(given, CHANNELS).status == 200


@pytest.mark.parametrize("request_", [b"x", b'{"method":"unknown"}', b"\xff"])
def test_request_that_is_not_a_command_is_refused_with_the_reason(
    start_api: Callable[..., HTTPCommandAPI], request_: bytes
) -> None:
    response = start_api(insecure_api=True).answer("", request_)
    assert (response.status, response.headers) == (400, {"Content-Type": "text/plain; charset=utf-8"})
    assert response.body.endswith(b"\n")
    assert len(response.body) > 10


def test_every_request_is_counted(start_node: Callable[..., Node]) -> None:
    node = start_node()
    api = HTTPCommandAPI(node, CommandAPI(node))
    for given in (sign(CHANNELS.decode()), "", "wrong"):
        api.answer(given, CHANNELS)
    assert node.metrics.counters.http_api_num_requests == 3
    assert node.metrics.http_api.values()["http_api_1_count"] == 3
