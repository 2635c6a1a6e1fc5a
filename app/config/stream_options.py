"""The options for clients that connect without WebSocket, or that only receive. Specification: docs/streams.md."""

from __future__ import annotations

from dataclasses import dataclass

from .options import POSITIVE, option
from .proxy_options import ProxyOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions(ProxyOptions):
    """Options of HTTP streaming, Server-Sent Events and one-way connections, in addition to those of the proxy."""

    http_stream: bool = option(True, "Let clients of protocol v2 connect with HTTP streaming.", reload=True)
    http_stream_max_request_body_size: int = option(
        65536,
        "Maximum body size of a request that opens a connection with HTTP streaming, one-way or not.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )
    sse: bool = option(True, "Let clients of protocol v2 connect with Server-Sent Events.", reload=True)
    sse_max_request_body_size: int = option(
        65536,
        "Maximum body size of a request that opens a connection with Server-Sent Events, one-way or not.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )
    emulation_max_request_body_size: int = option(
        65536,
        "Maximum body size of a request with commands for a connection with HTTP streaming or Server-Sent Events.",
        unit="bytes",
        check=POSITIVE,
        reload=True,
    )
    stream_compression: bool = option(
        False, "Compress HTTP streaming and Server-Sent Events for clients that accept gzip.", reload=True
    )
    uni_sse: bool = option(
        False, "Let one-way clients, which only receive, connect with Server-Sent Events.", reload=True
    )
    uni_http_stream: bool = option(
        False, "Let one-way clients, which only receive, connect with HTTP streaming.", reload=True
    )
    uni_websocket: bool = option(False, "Let one-way clients, which only receive, connect over WebSocket.", reload=True)
