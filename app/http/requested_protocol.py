"""The protocol that a client requests when it opens a WebSocket, by subprotocol and query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qs

JSON_NAME = "json"
PROTOBUF_NAME = "protobuf"
_SUBPROTOCOLS = {"centrifuge-protobuf": PROTOBUF_NAME, "centrifuge-json": JSON_NAME}


class RequestedProtocol(NamedTuple):
    """The requested format of messages. Clients of version 1 of the protocol request nothing."""

    format: str = ""
    """JSON_NAME or PROTOBUF_NAME, both of version 2; empty if the first message decides."""
    subprotocol: str = ""
    """The subprotocol to name in the response to the handshake; empty for none."""
    has_own_pings: bool = False
    """Whether the client wants ping frames of WebSocket instead of messages."""


DEFAULT_PROTOCOL = RequestedProtocol()


def read_requested_protocol(headers: Mapping[str, str], query: str) -> RequestedProtocol:
    """Read the requested protocol from the headers (names in lower case) and the query of a handshake.

    Subprotocols that are not known are ignored.
    """
    offered = headers.get("sec-websocket-protocol")
    if not offered and not query:
        return DEFAULT_PROTOCOL
    names = [name.strip() for name in offered.split(",")] if offered else []
    subprotocol = next((name for name in _SUBPROTOCOLS if name in names), "")
    fields = parse_qs(query)
    asks_for_protobuf = PROTOBUF_NAME in (*fields.get("cf_protocol", ()), *fields.get("format", ()))
    format_ = PROTOBUF_NAME if asks_for_protobuf else _SUBPROTOCOLS.get(subprotocol, "")
    return RequestedProtocol(format_, subprotocol, fields.get("cf_ws_frame_ping_pong") == ["true"])
