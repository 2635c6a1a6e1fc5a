"""The names of transports, from the requests that open connections."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.opening_request import Opening
from gentrifugo.app.node.transport_name import transport_of


@pytest.mark.parametrize(
    ("path", "transport"),
    [
        ("/connection/websocket", "websocket"),
        ("/connection/websocket?cf_protocol=protobuf", "websocket"),
        ("/prefix/connection/websocket", "websocket"),
        ("/connection/http_stream", "http_stream"),
        ("/connection/sse?cf_connect=%7B%7D", "sse"),
        ("/connection/uni_websocket", "uni_websocket"),
        ("/connection/uni_http_stream", "uni_http_stream"),
        ("/connection/uni_sse", "uni_sse"),
        ("/connection/123/abcdefgh/websocket", "sockjs"),
        ("/connection/123/abcdefgh/xhr_streaming", "sockjs"),
        ("/connection/123/abcdefgh/eventsource", "sockjs"),
    ],
)
def test_a_transport_has_the_name_that_centrifugo_gives_it(path: str, transport: str) -> None:
    assert transport_of(Opening("GET", path, {}, "192.0.2.7")) == transport


def test_a_connection_without_a_known_request_is_a_websocket() -> None:
    assert transport_of(None) == "websocket"
