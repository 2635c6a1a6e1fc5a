"""The names of transports, as operators and backends see them."""

from __future__ import annotations

from ..http.opening_request import Opening

TRANSPORTS = ("websocket", "http_stream", "sse", "uni_websocket", "uni_http_stream", "uni_sse")
"""Names of transports that are the last part of the path at which they connect, below /connection/."""


def transport_of(opening: Opening | None) -> str:
    """Return the name that Centrifugo gives to a transport, from the request that opened the connection."""
    if opening is None:
        return "websocket"
    path = opening.target.partition("?")[0]
    return next((name for name in TRANSPORTS if path.endswith(f"/connection/{name}")), "sockjs")
