"""The endpoints of clients that connect without WebSocket, or that only listen. Specification: docs/streams.md."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qs

from ..config.config import Config
from ..exchange.exchange import Exchange, NegotiatedWebSocket
from ..http.client_address import TrustedProxies
from ..http.content_coding import accepts_gzip
from ..http.cors import NOT_FOR_OTHER_ORIGINS, access_headers, preflight_headers
from ..http.head import HTTPError
from ..http.opening_request import Opening
from ..http.origins import Origins
from ..http.requested_protocol import DEFAULT_PROTOCOL, RequestedProtocol
from ..http.response import HTTPResponse, text_response
from ..model.errors import CLOSE_SHUTDOWN
from ..net.socket_queues import limit_unacknowledged
from ..net.transport import Transport
from ..node.base_client import ConnectionStart
from ..node.session_relay import SilentNode, UnknownNode
from ..protocol.v2.client import ClientServices, ClientV2, StreamSession
from ..protocol.v2.errors import CLOSE_BAD_REQUEST, CLOSE_TOO_MANY_REQUESTS
from ..protocol.v2.event_positions import LastEvent
from ..protocol.v2.format import Format, InvalidFrame
from ..protocol.v2.json_format import JSON
from ..protocol.v2.messages import Disconnect, Push, Reply
from ..protocol.v2.one_way import ONE_WAY
from ..protocol.v2.other_format import MismatchTexts, emulation_mismatch, format_mismatch
from ..protocol.v2.protobuf_format import PROTOBUF
from ..websocket.compression import Compression, Deflate
from ..websocket.connection import WebSocket
from .framing import BYTES, EVENTS, EVENTS_WITH_IDS, LINES, STREAM_HEADERS, Framing
from .inbox import Inbox
from .one_way_websocket import OneWayWebSocket
from .stream import StreamKind, StreamTransport

SESSION_SIZE = 16
"""Number of random bytes in the secret that identifies a session."""
INBOX_LIMIT = 1 << 20
"""Bytes of commands that may wait for one client."""
FIRST_COMMANDS = "cf_connect"
"""The parameter of a GET with what a client sends first."""
LAST_EVENT_ID = "last_event_id"
"""The parameter for pages that cannot send the header Last-Event-ID, which is the newer of both."""
PREFLIGHT_AGE = 300
"""Seconds for which a browser may keep the response to a preflight request."""
PROTOBUF_TYPE = "application/octet-stream"
BODY_MISMATCH = MismatchTexts(
    json=f"the body is JSON, but its Content-Type is that of Protobuf ({PROTOBUF_TYPE})",
    protobuf=f"the body is Protobuf, but its Content-Type is not {PROTOBUF_TYPE}",
)
EVENTS_MISMATCH = MismatchTexts(json="", protobuf="the body is Protobuf, but Server-Sent Events are JSON")


class StreamParts(ClientServices, Protocol):
    """The objects that the streams of one process share."""

    @property
    def origins(self) -> Origins:
        """The origins whose pages may connect."""
        ...

    @property
    def proxies(self) -> TrustedProxies:
        """The proxies that may report the address of a client."""

    @property
    def compression(self) -> Compression | None:
        """The settings for compressing WebSocket messages; None if compression is off."""


class StreamEndpoint(NamedTuple):
    """The endpoint at one path."""

    is_on: Callable[[Config], bool]
    methods: tuple[str, ...]
    serve: Callable[[Streams, Exchange], HTTPResponse | None]
    """Serves a request; returns the response unless the request has been answered."""


class _StreamRequest(NamedTuple):
    """What a stream needs of its request, which is released when the stream has begun."""

    format: Format
    first: bytes
    """The first commands of the client."""
    opening: Opening | None
    session: StreamSession


class Streams:
    """All stream endpoints of one process; `prefix` is the option http_prefix."""

    def __init__(self, parts: StreamParts, prefix: str) -> None:
        self.open_connections = 0
        self._parts = parts
        self._prefix = prefix

    @property
    def _config(self) -> Config:
        return self._parts.node.config

    def path_below(self, path: str) -> str | None:
        """Return the part of `path` below http_prefix if it is an enabled stream endpoint; None otherwise."""
        below = path.removeprefix(self._prefix)
        endpoint = STREAM_ENDPOINTS.get(below)
        return below if endpoint is not None and endpoint.is_on(self._config) else None

    def serve(self, exchange: Exchange) -> None:
        """Answer one request to a path of STREAM_ENDPOINTS. Raises OSError or EOFError if the client disconnects."""
        readable: Mapping[str, str] = NOT_FOR_OTHER_ORIGINS
        try:
            _check_origin(self._parts.origins, exchange.method, exchange.headers)
            readable = _readable(exchange.headers)
            response = self._answer(exchange, STREAM_ENDPOINTS[exchange.path])
        except HTTPError as error:
            refused = text_response(error.status, error.reason)
            response = refused._replace(headers={**refused.headers, **readable, **error.headers})
        if response is not None:
            exchange.respond(response)

    def _answer(self, exchange: Exchange, endpoint: StreamEndpoint) -> HTTPResponse | None:
        allowed = ", ".join((*endpoint.methods, "OPTIONS"))
        required = " or ".join(endpoint.methods)
        if exchange.method not in (*endpoint.methods, "OPTIONS"):
            raise HTTPError(
                405, f"{exchange.method} is not allowed: this endpoint requires {required}", {"Allow": allowed}
            )
        if exchange.method == "OPTIONS":
            return _preflight(allowed, exchange.headers)
        return endpoint.serve(self, exchange)

    def _read_body(self, exchange: Exchange, max_size: int) -> bytes:
        return exchange.read_body(max_size, self._config.http_header_timeout)

    # -- connections in both directions

    def _http_stream(self, exchange: Exchange) -> None:
        is_binary = _is_protobuf(exchange)
        format_, framing = (PROTOBUF, BYTES) if is_binary else (JSON, LINES)
        commands = self._read_body(exchange, self._config.http_stream_max_request_body_size)
        self._open(exchange, format_, framing, commands)

    def _sse(self, exchange: Exchange) -> None:
        commands = self._first_frame(exchange)
        if commands is None:
            raise HTTPError(400, f"missing parameter {FIRST_COMMANDS} with the commands of the client")
        self._open(exchange, JSON, EVENTS, commands)

    def _first_frame(self, exchange: Exchange) -> bytes | None:
        """Return the commands in a request for Server-Sent Events; None if a GET has no parameter cf_connect."""
        if exchange.method == "POST":
            return self._read_body(exchange, self._config.sse_max_request_body_size)
        commands = _parameter(exchange, FIRST_COMMANDS)
        return None if commands is None else commands.encode("utf-8", "replace")

    def _emulation(self, exchange: Exchange) -> HTTPResponse:
        body = self._read_body(exchange, self._config.emulation_max_request_body_size)
        format_: Format = PROTOBUF if _is_protobuf(exchange) else JSON
        try:
            request = format_.decode_emulation(body)
        except InvalidFrame as error:
            why = emulation_mismatch(format_, body, BODY_MISMATCH) or error
            raise HTTPError(400, f"invalid body, expected a request with session, node and data: {why}") from None
        try:
            self._parts.node.cluster.sessions.send(request.node, request.session, bytes(request.data))
        except UnknownNode:
            raise HTTPError(404, "unknown node") from None
        except SilentNode:
            raise HTTPError(500, "timeout waiting for the node of the session") from None
        return HTTPResponse(204, _readable(exchange.headers))

    # -- one-way connections

    def _uni_http(self, exchange: Exchange) -> None:
        self._open_one_way(exchange, LINES, self._read_body(exchange, self._config.http_stream_max_request_body_size))

    def _uni_sse(self, exchange: Exchange) -> None:
        id_ = exchange.headers.get("last-event-id") or _parameter(exchange, LAST_EVENT_ID)
        last_event = LastEvent(id_) if id_ else None
        self._open_one_way(exchange, EVENTS_WITH_IDS, self._first_frame(exchange) or b"", last_event)

    def _open_one_way(
        self, exchange: Exchange, framing: Framing, request: bytes, last_event: LastEvent | None = None
    ) -> None:
        try:
            list(ONE_WAY.decode_commands(request))
        except InvalidFrame as error:
            raise HTTPError(400, f"invalid connect request: {error}") from None
        self._open(exchange, ONE_WAY, framing, request, last_event)

    def _uni_websocket(self, exchange: Exchange) -> None:
        websocket = NegotiatedWebSocket(self._serve_one_way_websocket, self._opening(exchange))
        exchange.upgrade_raw(websocket, self._parts.compression)

    def _serve_one_way_websocket(
        self,
        socket: Any,
        recv: Callable[[int], bytes],
        deflate: Deflate | None = None,
        opening: Opening | None = None,
        request: str = "",
        requested: RequestedProtocol = DEFAULT_PROTOCOL,
    ) -> None:
        node, config = self._parts.node, self._config
        max_size = config.client_request_max_size
        websocket = WebSocket(socket, recv, node.flusher, node.timers, config, max_size, deflate=deflate)
        transport = OneWayWebSocket(websocket, _DISCONNECT_ENCODERS[ONE_WAY])
        limit_unacknowledged(socket, config.ping_interval + config.client_pong_timeout)
        client = self._client(transport, ONE_WAY, ConnectionStart(opening, request), StreamSession(_new_secret()))
        self.open_connections += 1
        try:
            transport.serve(client)
        finally:
            self.open_connections -= 1

    # -- streams

    def _open(
        self,
        exchange: Exchange,
        format_: Format,
        framing: Framing,
        first: bytes,
        last_event: LastEvent | None = None,
    ) -> None:
        """Start the response. The stream is served after the callers have released the request."""
        headers = {"Content-Type": framing.content_type, **STREAM_HEADERS, **_readable(exchange.headers)}
        is_compressed = self._config.stream_compression and accepts_gzip(exchange.headers.get("accept-encoding", ""))
        if is_compressed:
            headers |= {"Content-Encoding": "gzip", "Vary": f"{headers['Vary']}, Accept-Encoding"}
        kind = StreamKind(
            f"uni_{framing.transport}" if format_.is_one_way else framing.transport,
            framing.frame(exchange.is_chunked, is_compressed),
            _DISCONNECT_ENCODERS[format_],
            exchange.stream_end,
        )
        session = StreamSession(_new_secret(), framing is EVENTS_WITH_IDS, last_event)
        asked = _StreamRequest(format_, first, self._opening(exchange), session)
        serve = partial(self._serve_stream, kind, asked)
        exchange.open_stream(HTTPResponse(200, headers, framing.prelude(is_compressed)), serve)

    def _serve_stream(
        self, kind: StreamKind, asked: _StreamRequest, socket: Any, recv: Callable[[int], bytes], request: str = ""
    ) -> None:
        node, config, is_one_way = self._parts.node, self._config, asked.format.is_one_way
        stream = StreamTransport(kind, socket, node.flusher, config)
        if is_one_way:
            limit_unacknowledged(socket, config.ping_interval + config.client_pong_timeout)
        client = self._client(stream, asked.format, ConnectionStart(asked.opening, request), asked.session)
        inbox = Inbox(client, INBOX_LIMIT, partial(client.disconnect_later, CLOSE_TOO_MANY_REQUESTS))
        inbox.append(asked.first)
        if not is_one_way:
            self._note_mismatch(client, asked.format, kind.name, asked.first)
            node.cluster.sessions.open(asked.session.secret, inbox.append)
        self.open_connections += 1
        try:
            stream.serve(client)
        finally:
            self.open_connections -= 1
            node.cluster.sessions.close(asked.session.secret)

    def _note_mismatch(self, client: ClientV2, format_: Format, transport: str, first: bytes) -> None:
        """Log a first frame in another format than the stream; the client closes it, because it cannot decode it."""
        mismatch = format_mismatch(format_, first, EVENTS_MISMATCH if transport == EVENTS.transport else BODY_MISMATCH)
        if mismatch:
            self._parts.node.refusals.note_closed(client, f"{CLOSE_BAD_REQUEST.reason}: {mismatch}")

    def _client(
        self, transport: Transport, format_: Format, start: ConnectionStart, session: StreamSession
    ) -> ClientV2:
        client = ClientV2(self._parts, transport, format_, start, stream=session)
        if self._parts.node.stopping:
            client.close(CLOSE_SHUTDOWN)
        return client

    def _opening(self, exchange: Exchange) -> Opening:
        return exchange.opening(self._parts.proxies, is_whole=bool(self._parts.node.hooks))


def _check_origin(origins: Origins, method: str, headers: Mapping[str, str]) -> None:
    """Raise HTTPError for a request from a page whose origin is not allowed; header names are in lower case.

    A GET with credentials that browsers add by themselves, such as cookies, must have a header Origin or Referer,
    because any link can cause it.
    """
    has_credentials = "cookie" in headers or "authorization" in headers
    origins.check_request(headers, may_be_unnamed=method != "GET" or not has_credentials)


def _readable(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers that let the page of this request, whose origin has been checked, read the response."""
    return access_headers(headers.get("origin"))


def _preflight(allowed: str, headers: Mapping[str, str]) -> HTTPResponse:
    """Return the response to a preflight request for one of the methods `allowed`."""
    permitted = preflight_headers(allowed, headers.get("access-control-request-headers"), PREFLIGHT_AGE)
    return HTTPResponse(204, {**_readable(headers), **permitted})


def _new_secret() -> str:
    return secrets.token_urlsafe(SESSION_SIZE)


def _encode_disconnect(format_: Format, code: int, reason: str) -> bytes:
    return format_.encode_reply(Reply(push=Push(disconnect=Disconnect(code, reason))))


_DISCONNECT_ENCODERS: dict[Format, Callable[[int, str], bytes]] = {
    format_: partial(_encode_disconnect, format_) for format_ in (JSON, PROTOBUF, ONE_WAY)
}


def _parameter(exchange: Exchange, name: str) -> str | None:
    """Return a parameter in the query; None if it is missing or empty."""
    values = parse_qs(exchange.query).get(name)
    return values[0] if values else None


def _is_protobuf(exchange: Exchange) -> bool:
    return exchange.headers.get("content-type", "").lower().startswith(PROTOBUF_TYPE)


STREAM_ENDPOINTS = {
    "/connection/http_stream": StreamEndpoint(lambda on: on.http_stream, ("POST",), Streams._http_stream),
    "/connection/sse": StreamEndpoint(lambda on: on.sse, ("GET", "POST"), Streams._sse),
    "/emulation": StreamEndpoint(lambda on: on.http_stream or on.sse, ("POST",), Streams._emulation),
    "/connection/uni_http_stream": StreamEndpoint(lambda on: on.uni_http_stream, ("POST",), Streams._uni_http),
    "/connection/uni_sse": StreamEndpoint(lambda on: on.uni_sse, ("GET", "POST"), Streams._uni_sse),
    "/connection/uni_websocket": StreamEndpoint(lambda on: on.uni_websocket, ("GET",), Streams._uni_websocket),
}
"""The stream endpoints by their path below http_prefix."""
