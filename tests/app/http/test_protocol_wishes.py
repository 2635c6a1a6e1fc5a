"""What a handshake says about the protocol of the messages."""

from __future__ import annotations

import pytest

from gentrifugo.app.http.protocol_wishes import NO_WISHES, ProtocolWishes, wishes_of


@pytest.mark.parametrize(
    ("offered", "query", "expected"),
    [
        ("", "", NO_WISHES),
        ("chat", "a=1", NO_WISHES),
        ("centrifuge-json", "", ProtocolWishes("json", "centrifuge-json")),
        ("chat, centrifuge-protobuf", "", ProtocolWishes("protobuf", "centrifuge-protobuf")),
        ("centrifuge-json,centrifuge-protobuf", "", ProtocolWishes("protobuf", "centrifuge-protobuf")),
        ("", "cf_protocol=protobuf", ProtocolWishes("protobuf")),
        ("", "format=protobuf", ProtocolWishes("protobuf")),
        ("", "cf_ws_frame_ping_pong=true", ProtocolWishes(has_own_pings=True)),
        ("", "cf_ws_frame_ping_pong=1&cf_protocol=xml", NO_WISHES),
    ],
)
def test_wishes_come_from_subprotocol_and_query(offered: str, query: str, expected: ProtocolWishes) -> None:
    headers = {"sec-websocket-protocol": offered} if offered else {}
    assert wishes_of(headers, query) == expected


def test_a_handshake_without_wishes_costs_no_object() -> None:
    assert wishes_of({"host": "localhost"}, "") is NO_WISHES
