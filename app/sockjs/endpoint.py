"""A SockJS endpoint: all URLs below one path, independent of the server that has received the request."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

from ..exchange.exchange import Exchange, NegotiatedWebSocket, ServeRawWebSocket
from ..http.head import HTTPError
from ..http.misplaced_handshake import is_handshake, note_misplaced_handshake
from ..http.opening_request import Opening
from ..http.origins import SITE_OWN
from ..http.requested_protocol import read_requested_protocol
from ..http.response import CLOSE_CONNECTION, HTTPResponse
from ..net.flusher import Flusher
from ..runtime.timers import Timers
from ..websocket.connection import WebSocket
from . import frames, pages
from .binding import bind, has_credentials
from .options import SockJSOptions
from .peer import Connect
from .receivers import Poll, StreamingRequest, WaitingRequest
from .responses import NO_SNIFFING, NOT_CACHED, PLAIN, cookie, cors, method_not_allowed, plain_text, preflight
from .session import Session
from .session_directory import SessionDirectory
from .sessions import Sessions
from .transports import CALLBACK, EventSource, HtmlFile, HTTPTransport, JSONPPolling, XHRPolling, XHRStreaming
from .websocket_session import WebSocketSession

log = logging.getLogger(__name__)

FORM_TYPE = "application/x-www-form-urlencoded"
ANOTHER_CONNECTION_OPEN = frames.session_close_frame(2010, "Another connection still open")

RAW_WEBSOCKET = "/websocket"
"""The path of raw WebSockets below the endpoint."""
_SESSION_PATH = re.compile(r"/[^/.]+/([^/.]+)/([a-z_]+)")

NOT_FOUND = plain_text(404, "not found\n")
PAGE_LOAD_MODES = ("navigate", "nested-navigate")
"""Values of the header Sec-Fetch-Mode for a request that loads a page, into a window or into a frame."""


class SockJS:
    """One endpoint; `prefix` is its path, without a slash at the end.

    `connect` is called for each new session. `raw` serves raw WebSockets, which have no SockJS frames. `options`
    returns the current options; each request calls it. `directory` finds the sessions that other processes hold; None
    if no other process serves the same clients.
    """

    def __init__(
        self,
        prefix: str,
        connect: Connect,
        raw: ServeRawWebSocket,
        flusher: Flusher,
        timers: Timers,
        options: Callable[[], SockJSOptions],
        directory: SessionDirectory | None = None,
    ) -> None:
        self.prefix = prefix
        self.sessions = Sessions(timers, options, self._release)
        self.open_receivers = 0
        """The number of requests and WebSockets that currently wait for messages, without raw WebSockets."""
        self._connect = connect
        self._raw = raw
        self._flusher = flusher
        self._timers = timers
        self._options = options
        self._directory = directory

    def path_below(self, path: str) -> str | None:
        """Return the part of `path` below this endpoint; None if it is not below it."""
        below = path.removeprefix(self.prefix)
        return below if path.startswith(self.prefix) and below[:1] in ("", "/") else None

    def serve(self, exchange: Exchange) -> None:
        """Answer one request. Raises OSError or EOFError if the client has disconnected."""
        try:
            response = self._answer(exchange)
        except HTTPError as error:
            response = self._refusal(exchange, error)
        if response is not None:
            exchange.respond(response)

    @property
    def options(self) -> SockJSOptions:
        """The current options; another object after a change of the configuration or of the hooks."""
        return self._options()

    def open_websocket(self, exchange: Exchange) -> NegotiatedWebSocket:
        """Answer a request for a raw WebSocket: check its origin, agree on compression, and upgrade.

        Raises HTTPError, with the reason, for a request that is refused.
        """
        set_up = self._options()
        set_up.origins.check_request(exchange.headers, may_be_unnamed=True)
        return self._upgrade_raw(exchange, set_up)

    def _refusal(self, exchange: Exchange, error: HTTPError) -> HTTPResponse:
        if error.status == 405:
            return HTTPResponse(405, error.headers)
        return plain_text(error.status, f"{error.reason}\n", {**cors(exchange.headers), **error.headers})

    def _answer(self, exchange: Exchange) -> HTTPResponse | None:
        """Return the response; None if the request has been answered already."""
        path = exchange.path
        if path in ("", "/"):
            return self._misplaced(exchange) or _get_only(exchange, pages.greeting)
        if pages.IFRAME.fullmatch(path):
            return self._iframe(exchange)
        set_up = self._options()
        match = _SESSION_PATH.fullmatch(path)
        route = ROUTES.get(match[2]) if match else None
        _check_page(exchange, set_up, route)
        if path == "/info":
            return _info(exchange, set_up)
        if path == RAW_WEBSOCKET:
            return self._websocket(exchange, self._upgrade_raw, set_up)
        if match is None:
            return self._misplaced(exchange) or NOT_FOUND
        if match[2] == "websocket":
            return self._websocket(exchange, self._upgrade, set_up)
        return NOT_FOUND if route is None else self._session(exchange, route, match[1])

    def _iframe(self, exchange: Exchange) -> HTTPResponse:
        set_up = self._options()
        return _get_only(exchange, lambda: pages.iframe(exchange.headers, set_up)) if set_up.iframe else NOT_FOUND

    def _misplaced(self, exchange: Exchange) -> HTTPResponse | None:
        """Return the refusal of a WebSocket handshake at a path that has no WebSocket; None for another request."""
        if not is_handshake(exchange.method, exchange.headers.get("upgrade", "")):
            return None
        reason = note_misplaced_handshake(f"{self.prefix}{exchange.path}", f"{self.prefix}{RAW_WEBSOCKET}")
        return plain_text(404, f"{reason}\n", CLOSE_CONNECTION)

    # -- WebSockets

    def _websocket(
        self, exchange: Exchange, upgrade: Callable[[Exchange, SockJSOptions], object], set_up: SockJSOptions
    ) -> HTTPResponse | None:
        if not set_up.websocket:
            return NOT_FOUND
        try:
            upgrade(exchange, set_up)
        except HTTPError as error:
            # The client may have sent frames already, which must not be read as the next request.
            refused = HTTPError(error.status, error.reason, {**error.headers, **CLOSE_CONNECTION})
            return self._refusal(exchange, refused)
        return None

    def _upgrade_raw(self, exchange: Exchange, set_up: SockJSOptions) -> NegotiatedWebSocket:
        requested = read_requested_protocol(exchange.headers, exchange.query)
        websocket = NegotiatedWebSocket(self._raw, _opening(exchange, set_up), requested)
        exchange.upgrade_raw(websocket, set_up.compression)
        return websocket

    def _upgrade(self, exchange: Exchange, set_up: SockJSOptions) -> None:
        exchange.upgrade(partial(self._serve_websocket, opening=_opening(exchange, set_up)))

    def _serve_websocket(self, socket: Any, recv: Callable[[int], bytes], opening: Opening | None = None) -> None:
        set_up = self._options()
        websocket = WebSocket(socket, recv, self._flusher, self._timers, set_up, set_up.max_size)
        session = WebSocketSession(websocket)
        self.open_receivers += 1
        try:
            session.serve(self._connect, opening, self.sessions)
        finally:
            self.open_receivers -= 1

    # -- sessions over HTTP

    def _session(self, exchange: Exchange, route: Route, key: str) -> HTTPResponse | None:
        allowed = f"OPTIONS, {route.method}" if route.answers_options else route.method
        if route.answers_options and exchange.method == "OPTIONS":
            return preflight(allowed, exchange.headers, self._cookie(exchange))
        if exchange.method != route.method:
            return method_not_allowed(allowed)
        if self._pass_to_holder(exchange, key):
            return None
        return route.serve(self, exchange, key)

    def _pass_to_holder(self, exchange: Exchange, key: str) -> bool:
        """Pass the request to the process that holds the session. Returns False if no other process holds it."""
        directory = self._directory
        # A connection that was passed to this process is not passed on, even if its session has ended meanwhile:
        # it could be passed in circles.
        if directory is None or exchange.was_passed or self.sessions.find(key) is not None:
            return False
        if directory.holder(key) is None or not directory.send_to_holder(key, exchange.socket, exchange.received()):
            return False
        exchange.release()
        return True

    def _release(self, key: str) -> None:
        if self._directory is not None:
            self._directory.release(key)

    def _cookie(self, exchange: Exchange) -> dict[str, str]:
        return cookie(exchange.headers) if self._options().cookie else {}

    def _headers(self, exchange: Exchange) -> dict[str, str]:
        return {**NOT_CACHED, **NO_SNIFFING, **cors(exchange.headers), **self._cookie(exchange)}

    def _read_body(self, exchange: Exchange) -> bytes:
        set_up = self._options()
        return exchange.read_body(set_up.max_size, set_up.body_timeout)

    # -- receiving

    def _xhr(self, exchange: Exchange, key: str) -> None:
        self._poll(exchange, key, XHRPolling())

    def _jsonp(self, exchange: Exchange, key: str) -> None:
        self._poll(exchange, key, JSONPPolling(_callback(exchange)))

    def _xhr_streaming(self, exchange: Exchange, key: str) -> None:
        self._stream(exchange, key, XHRStreaming())

    def _eventsource(self, exchange: Exchange, key: str) -> None:
        self._stream(exchange, key, EventSource())

    def _htmlfile(self, exchange: Exchange, key: str) -> None:
        self._stream(exchange, key, HtmlFile(_callback(exchange)))

    def _poll(self, exchange: Exchange, key: str, transport: HTTPTransport) -> None:
        timeout = self._options().client_message_write_timeout
        self._receive(exchange, key, Poll(exchange, transport, self._headers(exchange), timeout))

    def _stream(self, exchange: Exchange, key: str, transport: HTTPTransport) -> None:
        set_up = self._options()
        timeout, limit = set_up.client_message_write_timeout, set_up.response_limit
        self._receive(exchange, key, StreamingRequest(exchange, transport, self._headers(exchange), timeout, limit))

    def _receive(self, exchange: Exchange, key: str, receiver: WaitingRequest) -> None:
        self._read_body(exchange)  # some clients send a body, which precedes the next request
        session = self._find_or_open(exchange, key, receiver)
        if session is None:
            receiver.send_alone(ANOTHER_CONNECTION_OPEN)
            return
        if session.has_receiver():
            receiver.send_alone(session.close_frame_if_closed or ANOTHER_CONNECTION_OPEN)
            return
        session.attach(receiver)
        self.open_receivers += 1
        try:
            receiver.serve(session)
        except OSError:
            receiver.is_disconnected = True
            raise
        finally:
            self.open_receivers -= 1
            session.detach()
            if receiver.is_disconnected:
                session.interrupt()

    def _find_or_open(self, exchange: Exchange, key: str, receiver: WaitingRequest) -> Session | None:
        """Return the session; None if another process has just opened it.

        Raises HTTPError if the request does not belong to the session.
        """
        if self.sessions.find(key) is not None:
            session = self._find(exchange, key)
            if session is None:
                raise _no_session()
            return session
        if self._directory is not None and not self._directory.claim(key):
            return None
        set_up = self._options()
        opening = _opening(exchange, set_up)
        session = Session(self._flusher, set_up.client_queue_max_size, self._connect, opening)
        if set_up.remembers_requests:
            session.binding, headers = bind(opening)
            receiver.add_headers(headers)
        self.sessions.add(key, session)
        return session

    def _find(self, exchange: Exchange, key: str) -> Session | None:
        """Return the session of the request; None if there is none, or if it belongs to another client."""
        session = self.sessions.find(key)
        if session is None or session.binding is None or session.binding.admits(exchange.headers):
            return session
        log.debug("SockJS request refused: its session belongs to another client")
        return None

    # -- sending

    def _xhr_send(self, exchange: Exchange, key: str) -> HTTPResponse:
        # Browsers parse a response without a content type as XML, and log an error.
        return self._take(exchange, key) or HTTPResponse(204, {"Content-Type": PLAIN, **self._headers(exchange)})

    def _jsonp_send(self, exchange: Exchange, key: str) -> HTTPResponse:
        return self._take(exchange, key) or plain_text(200, "ok", self._headers(exchange))

    def _take(self, exchange: Exchange, key: str) -> HTTPResponse | None:
        """Pass messages of the client to its session. Returns a response only for an error."""
        session = self._find(exchange, key)
        try:
            body = self._read_body(exchange)
        except HTTPError as error:
            if session is not None and error.status == 413:
                session.close_too_large()
            raise
        if session is None:
            raise _no_session()
        if exchange.headers.get("content-type", "").lower().startswith(FORM_TYPE):
            body = _form_field(body, b"d")
        try:
            messages = frames.decode_messages(body)
        except frames.BadPayload as error:
            return plain_text(500, f"{error}\n", self._headers(exchange))
        session.handle(messages)
        return None


class Route(NamedTuple):
    """The handler of the URL of one transport, and the pages that may request it."""

    method: str
    answers_options: bool
    serve: Callable[[SockJS, Exchange, str], HTTPResponse | None]
    is_of_page: bool
    """Whether it is only requested by elements of pages, such as scripts and forms."""
    is_frame: bool
    """Whether pages load it into an iframe."""


ROUTES = {
    "xhr": Route("POST", True, SockJS._xhr, is_of_page=False, is_frame=False),
    "xhr_streaming": Route("POST", True, SockJS._xhr_streaming, is_of_page=False, is_frame=False),
    "xhr_send": Route("POST", True, SockJS._xhr_send, is_of_page=False, is_frame=False),
    "eventsource": Route("GET", False, SockJS._eventsource, is_of_page=False, is_frame=False),
    "htmlfile": Route("GET", False, SockJS._htmlfile, is_of_page=True, is_frame=True),
    "jsonp": Route("GET", False, SockJS._jsonp, is_of_page=True, is_frame=False),
    "jsonp_send": Route("POST", False, SockJS._jsonp_send, is_of_page=True, is_frame=True),
}
"""The transports over HTTP, by the last part of their path."""


def _check_page(exchange: Exchange, set_up: SockJSOptions, route: Route | None) -> None:
    """Raise HTTPError if the page that made a request may not use the endpoint. `route` is None for other paths.

    In a POST and in a WebSocket handshake, browsers always send the origin of the page. Only a GET can come from a page
    that hides its address.
    """
    headers = exchange.headers
    if route is not None and headers.get("sec-fetch-mode") in PAGE_LOAD_MODES:
        _check_navigation(headers, route)
    may_hide = route is not None and (route.is_of_page or (route.method == "GET" and has_credentials(headers)))
    set_up.origins.check_request(headers, may_be_unnamed=not may_hide)


def _check_navigation(headers: Mapping[str, str], route: Route) -> None:
    """Raise HTTPError if a browser opens the route as a page, because any link could do that. Iframes are allowed.

    An iframe must have the same origin as the page, otherwise the page could not read it.
    """
    is_own = route.method != "GET" or headers.get("sec-fetch-site") == SITE_OWN
    if not route.is_frame or not is_own or headers.get("sec-fetch-dest") == "document":
        raise HTTPError(403, "a browser cannot open this address as a page")


def _no_session() -> HTTPError:
    return HTTPError(404, "session not found", {**NOT_CACHED, **NO_SNIFFING})


def _opening(exchange: Exchange, set_up: SockJSOptions) -> Opening:
    return exchange.opening(set_up.proxies, is_whole=set_up.remembers_requests)


def _info(exchange: Exchange, set_up: SockJSOptions) -> HTTPResponse:
    if exchange.method == "OPTIONS":
        return preflight("OPTIONS, GET", exchange.headers)
    if exchange.method != "GET":
        return method_not_allowed("OPTIONS, GET")
    return pages.info(exchange.headers, set_up.websocket, set_up.cookie)


def _get_only(exchange: Exchange, page: Callable[[], HTTPResponse]) -> HTTPResponse:
    return page() if exchange.method == "GET" else method_not_allowed("GET")


def _form_field(form: bytes, name: bytes) -> bytes:
    """Return the decoded bytes of a form field; empty if it is missing."""
    for pair in form.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return unquote_to_bytes(value.replace(b"+", b" "))
    return b""


def _callback(exchange: Exchange) -> str:
    """Return the name of the callback function that the client requested. Raises HTTPError."""
    fields = dict(reversed(parse_qsl(exchange.query)))
    name = fields.get("c") or fields.get("callback")
    if not name:
        raise HTTPError(500, '"callback" parameter required', NOT_CACHED)
    if not CALLBACK.fullmatch(name):
        raise HTTPError(500, 'invalid "callback" parameter', NOT_CACHED)
    return name
