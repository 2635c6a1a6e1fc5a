"""The protocol that a handshake requests."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol, read_requested_protocol


@pytest.mark.parametrize(
    ("offered", "query", "expected"),
    [
        ("", "", DEFAULT_PROTOCOL),
        ("chat", "a=1", DEFAULT_PROTOCOL),
        ("centrifuge-json", "", RequestedProtocol("json", "centrifuge-json")),
        ("chat, centrifuge-protobuf", "", RequestedProtocol("protobuf", "centrifuge-protobuf")),
        ("centrifuge-json,centrifuge-protobuf", "", RequestedProtocol("protobuf", "centrifuge-protobuf")),
        ("", "cf_protocol=protobuf", RequestedProtocol("protobuf")),
        ("", "format=protobuf", RequestedProtocol("protobuf")),
        ("", "cf_ws_frame_ping_pong=true", RequestedProtocol(has_own_pings=True)),
        ("", "cf_ws_frame_ping_pong=1&cf_protocol=xml", DEFAULT_PROTOCOL),
    ],
)
def test_requested_protocol_is_read_from_subprotocol_and_query(
    offered: str, query: str, expected: RequestedProtocol
) -> None:
    headers = {"sec-websocket-protocol": offered} if offered else {}
    assert read_requested_protocol(headers, query) == expected


def test_handshake_that_requests_nothing_creates_no_object() -> None:
    assert read_requested_protocol({"host": "localhost"}, "") is DEFAULT_PROTOCOL
