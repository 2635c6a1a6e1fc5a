"""Behaviour of the requests of the proxy: payloads in results, and responses that are invalid."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec import Raw

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.node.backend_http import BackendHTTP
from gentrifugo.app.node.hooks import Undelivered
from gentrifugo.app.node.proxy_requests import ask, payload_field, payload_of


def test_payloads_of_clients_are_json_or_base64() -> None:
    assert payload_field(b"") == {}
    assert payload_field(b'{"a":1}') == {"data": Raw(b'{"a":1}')}
    assert payload_field(b"\xff") == {"b64data": "/w=="}


def test_payloads_of_results_are_json_or_base64() -> None:
    assert payload_of("info", Raw(b'{"a":1e3}'), "", "json") == b'{"a":1e3}'
    assert payload_of("info", Raw(b"null"), "", "json") == b""
    assert payload_of("data", Raw(b"null"), "", "json", keeps_null=True) == b"null"
    assert payload_of("info", Raw(b"1"), "WzFd", "json") == b"[1]"
    assert payload_of("info", Raw(), "AAE=", "protobuf") == b"\0\1"


@pytest.mark.parametrize(
    ("json", "encoded", "text"),
    [
        (b"", "?", "field b64info"),
        (b"", "é", "field b64info"),
        (b"", "AAE=", "field b64info is not JSON"),
        (b"[" * 600 + b"]" * 600, "", "field info is not JSON"),
    ],
)
def test_payloads_that_the_client_cannot_receive_are_refused(json: bytes, encoded: str, text: str) -> None:
    with pytest.raises(Undelivered, match=text):
        payload_of("info", Raw(json), encoded, "json")


class FakeBackend(BackendHTTP):
    """A backend that answers each request with `content`."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def post(self, body: bytes, opening: Opening | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        return 200, self._content


def test_response_whose_field_name_is_not_utf8_is_invalid() -> None:
    with pytest.raises(Undelivered, match="invalid response"):
        ask(FakeBackend(b'{"a\xff":1}'), {}, None)
