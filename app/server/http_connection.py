"""One HTTP connection: reads every request strictly, and serves it directly or through gevent's pywsgi.

API requests with JSON, WebSocket handshakes and SockJS are the hot paths, and are served without a WSGI environ: a
single publish takes about 20 µs of CPU instead of 430 µs through Flask. All other requests are put back unchanged, for
pywsgi and the WSGI application.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EPIPE
from functools import partial
from ssl import SSLError
from typing import Any

from gevent.pywsgi import WSGIHandler

from ..api.http_api import AuthorizedRequest
from ..api.methods import NAMES as API_METHODS
from ..config.config import Config
from ..config.endpoints import API, API_PATH, API_PATH_WITHOUT_SLASH, CLIENT, WEBSOCKET_PATH
from ..exchange.direct_exchange import DirectExchange, decoded_path
from ..http.body import read_body, too_slow_error
from ..http.chunked import BadBody, ChunkedBody
from ..http.client_address import host_of, peer_name, peer_with_ipv4
from ..http.head import END_OF_HEAD, Head, HTTPError, origin_form
from ..http.misplaced_tls import NO_TLS_HERE, note_misplaced_tls
from ..http.outer_address import PEER
from ..http.reader import RequestReader
from ..http.repeated_head import HeadParser
from ..http.response import JSON_TYPE, HTTPResponse, encode_response, error_response
from ..net.direct_tls import direct
from ..net.linger import linger
from ..node.metrics import Metrics
from ..runtime.yielding import yield_if_due
from ..service import Service
from ..sockjs.endpoint import RAW_WEBSOCKET, SockJS
from ..streams.endpoint import Streams
from ..views.mounted import mounted_server
from ..websocket import handshake
from . import access_log
from .application_body import ApplicationBody
from .known_handshakes import KnownHandshakes
from .opened_connection import OpenedConnection, close, log_end, recv_after

log = logging.getLogger(__name__)

WRITE_TIMEOUT = 60.0
"""Seconds for one write of a response."""
HEAD_TIMEOUT = 10.0
"""Seconds to receive the head of a request, for applications without a service and its options."""
KEEPALIVE_TIMEOUT = 75.0
"""Seconds to wait for the next request, for applications without a service and its options."""
STOPPING_TIMEOUT = 0.5
"""Seconds that a new connection may take to send its request while the service stops."""


class HTTPConnection(WSGIHandler):
    """Serves one connection for pywsgi's `server`, whose application may have a Service (app/views/mounted.py).

    `received` is the beginning of the first request, which was already read: by another process, which has passed the
    connection to this one, if `was_passed`. Accepted handshakes of WebSockets are added to `handshakes`.
    """

    # The values before the first request, and of an application without a service.
    rfile: RequestReader  # type: ignore[assignment]  # all that pywsgi asks of a file
    _endpoints: frozenset[str] = frozenset()
    _opened: Callable[..., None] | None = None
    """The function that serves the WebSocket or stream that was opened without WSGI; None otherwise."""
    _route: tuple[object, Config, Callable[[Head], bool]] | None = None
    """Identifies the last request to the API: `Head.original`, the configuration, and the function that serves it."""
    _service: Service | None = None
    _upgraded = False

    def __init__(
        self,
        sock: Any,
        address: Any,
        server: Any,
        rfile: Any = None,
        received: bytes = b"",
        was_passed: bool = False,
        handshakes: KnownHandshakes | None = None,
    ) -> None:
        timeout = HEAD_TIMEOUT
        mounted = mounted_server(server.application)
        if mounted is not None:
            self._service, self._endpoints = mounted.service, mounted.endpoints
            timeout = mounted.service.config.http_header_timeout
        self._direct = direct(sock)
        reader = rfile or RequestReader(self._direct, timeout)
        super().__init__(sock, peer_with_ipv4(address), server, reader)  # type: ignore[call-arg]
        sock.settimeout(WRITE_TIMEOUT)
        self._heads = HeadParser()
        self._idle_timeout = timeout
        """Seconds until the first byte of the next request."""
        self._handshakes = handshakes
        self._was_passed = was_passed
        """Whether the next request was received from another process."""
        if received:
            self.rfile.put_back(received)

    def handle(self) -> None:
        """Serve until the connection ends, and close it. Never raises an exception.

        HTTPServer calls `serve_requests` instead, because a caller of this method keeps the object alive.
        """
        opened = self.serve_requests()
        if opened is not None:
            opened.serve()

    def serve_requests(self) -> OpenedConnection | None:
        """Serve requests until the connection ends, and close it; or until one of them opens a WebSocket or a stream.

        Returns the connection of that WebSocket or stream. Never raises an exception.
        """
        metrics = self._metrics
        if metrics is not None:
            metrics.greenlets += 1
        try:
            while self.socket is not None and self._serve_one():
                if self.rfile.peek():  # otherwise reading the next request lets other greenlets run
                    yield_if_due()
            if self._opened is not None:
                return self._hand_over(self._opened)
        except Exception as error:
            log_end(self._peer, error)
        finally:
            if metrics is not None:
                metrics.greenlets -= 1
            self._close()
        return None

    def _hand_over(self, serve_opened: Callable[..., None]) -> OpenedConnection:
        socket, recv = self.take_over()
        del self.__dict__["socket"]  # so that it is not closed here
        return OpenedConnection(serve_opened, socket, recv, self._direct, self._peer, self._metrics)

    @property
    def _metrics(self) -> Metrics | None:
        return None if self._service is None else self._service.node.metrics

    @property
    def _address(self) -> str:
        """The address of the peer; empty for a Unix socket."""
        return host_of(self.client_address)

    @property
    def _peer(self) -> str:
        """The peer in the log."""
        return peer_name(self._address)

    def _client(self, headers: Mapping[str, str]) -> str:
        """Return the address of the client, if trusted proxies report it. Header names are in lower case."""
        if self._service is None:
            return self._peer
        return self._service.proxies.address(self._address, headers) or self._peer

    # -- requests

    def _serve_one(self) -> bool:
        """Serve one request. Returns whether another one may follow on this connection."""
        raw: bytes | None = None
        head: Head | None = None
        try:
            raw = self._read_head()
            if raw is None:
                return False
            if raw.startswith(b"GET ") and self._open_known(raw):
                return False
            self.time_start = time.time()
            head = self._heads.parse(raw)
            serve = self._without_wsgi(head)
            if serve is not None:
                return serve(head)
        except HTTPError as error:
            self._refuse(error, raw, head)
        except TimeoutError:
            self._refuse(too_slow_error(), raw, head)
        except BadBody as error:
            self._refuse(HTTPError(400, str(error)), raw, head)
        else:
            self.rfile.unread_head(raw)
            return self._serve_wsgi()
        return False

    def _open_known(self, raw: bytes) -> bool:
        """Open the WebSocket if the head is that of a known handshake; returns whether it is."""
        if self._handshakes is None or self.rfile.peek():
            return False
        serve = self._handshakes.open(raw + END_OF_HEAD, self.socket, self._direct, self._address)
        if serve is not None:
            self._take_opened(serve)
        return serve is not None

    def _read_head(self) -> bytes | None:
        service, idle_timeout = self._service, self._idle_timeout
        if service is None:
            self._idle_timeout = KEEPALIVE_TIMEOUT
            return self.rfile.read_head(idle_timeout)
        self._idle_timeout = service.node.config.http_keepalive_timeout
        service.idle.add(self)
        try:
            # A connection that is accepted while the service stops only has the time to send one request.
            return self.rfile.read_head(STOPPING_TIMEOUT if service.node.stopping else idle_timeout)
        finally:
            service.idle.discard(self)

    def interrupt(self) -> None:
        """Stop waiting for the next request, because the service is shutting down."""
        with suppress(OSError):  # the peer may have closed the connection at this moment
            self.socket.shutdown(socket.SHUT_RD)

    def _without_wsgi(self, head: Head) -> Callable[[Head], bool] | None:
        """Return the function that serves a request without WSGI; None if pywsgi serves it. Raises HTTPError."""
        service = self._service
        if service is not None:
            if service.node.stopping:
                raise HTTPError(503, "the server is shutting down", {"Retry-After": "1"})
            serve = self._hot_path(service, head)
            if serve is not None:
                return serve
        for endpoint in _client_endpoints(self.server.application):
            path = endpoint.path_below(decoded_path(head.path))
            if path is not None:
                return partial(self._serve_endpoint, endpoint, path)
        return None

    def _hot_path(self, service: Service, head: Head) -> Callable[[Head], bool] | None:
        config, route = service.node.config, self._route
        if route is not None and route[0] is head.original and route[1] is config:
            return route[2]
        path = head.path
        if path == config.http_prefix + WEBSOCKET_PATH and head.method == "GET" and CLIENT in self._endpoints:
            return self._serve_websocket
        api = config.http_prefix + API_PATH
        if path == config.http_prefix + API_PATH_WITHOUT_SLASH:
            path = api
        if not (head.method == "POST" and path.startswith(api) and API in self._endpoints):
            return None
        serve = self._api_path(service, head, path[len(api) :])
        if serve is not None:
            self._route = head.original, config, serve
        return serve

    def _api_path(self, service: Service, head: Head, method: str) -> Callable[[Head], bool] | None:
        headers = head.headers
        if "content-length" not in headers and "transfer-encoding" not in headers:
            return None
        if method in API_METHODS:
            return partial(self._serve_method, service.method_api.authorize(method, headers, head.query, self._client))
        if not method and headers.get("content-type", "").lower().startswith(JSON_TYPE):
            return self._serve_api
        return None

    def _serve_api(self, head: Head) -> bool:
        service = self._service
        assert service is not None
        answer = service.authorize_api_request(head.headers, self._client)  # before the body, which may be large
        return self._send(head, answer(self._api_body(head, service)))

    def _serve_method(self, request: AuthorizedRequest, head: Head) -> bool:
        service = self._service
        assert service is not None
        return self._send(head, request.answer(self._api_body(head, service)))

    def _api_body(self, head: Head, service: Service) -> bytes:
        return read_body(head, self.rfile, self._direct.sendall, service.node.config.api_request_max_size)

    def _send(self, head: Head, response: HTTPResponse) -> bool:
        """Send a response. Returns whether another request may follow."""
        self._direct.sendall(encode_response(response, head.keep_alive, head.connection_headers))
        if access_log.is_enabled():
            self._log_access(head, response.status, len(response.body))
        return head.keep_alive

    def _serve_websocket(self, head: Head) -> bool:
        service = self._service
        assert service is not None
        exchange = DirectExchange(self.socket, self._direct, self.rfile, head, RAW_WEBSOCKET, self._address)
        options = service.sockjs.options  # before the response is sent, during which they may change
        websocket = service.sockjs.open_websocket(exchange)
        if self._handshakes is not None:
            self._handshakes.remember(self._heads.raw, head, websocket, service, options)
        request = self._log_access(head, exchange.status, exchange.size)
        opened = exchange.opened
        self._take_opened(partial(opened, request=request) if opened and request else opened)
        return False

    def _serve_endpoint(self, endpoint: SockJS | Streams, path: str, head: Head) -> bool:
        was_passed, self._was_passed = self._was_passed, False
        exchange = DirectExchange(self.socket, self._direct, self.rfile, head, path, self._address, was_passed)
        endpoint.serve(exchange)
        if exchange.is_passed_on:
            return False
        service = self._service
        if service is not None and endpoint is service.sockjs:
            service.node.metrics.counters.http_sockjs_num_requests += 1
        request = self._log_access(head, exchange.status, exchange.size)
        opened = exchange.opened
        if opened is not None:
            takes_id = service is not None and endpoint is service.streams
            self._take_opened(partial(opened, request=request) if takes_id and request else opened)
        elif exchange.status >= 400 and not exchange.may_follow:
            self._linger()
        return exchange.may_follow

    def _take_opened(self, serve: Callable[..., None] | None) -> None:
        """End the requests; what they have opened is served after their local variables have been released."""
        self._upgraded = self.close_connection = True
        self._opened = serve

    # -- for views that open a WebSocket

    def upgrade(self) -> tuple[Any, Callable[[int], bytes]]:
        """Open a WebSocket from within the WSGI application; returns its socket and recv. Raises HTTPError.

        The response that the application returns afterwards is ignored.
        """
        headers = {name.lower(): value for name, value in self.headers.items()}
        accepted = handshake.accept(self.command or "", self.request_version or "", headers)
        self._upgraded = self.close_connection = True
        self._direct.sendall(accepted)
        return self.take_over()

    def take_over(self) -> tuple[Any, Callable[[int], bytes]]:
        """Return the socket, and a recv function that first returns data already read. Releases all HTTP state."""
        rest = self.rfile.take_rest()
        self._direct.release_limit()
        self._route = None
        del self.rfile, self._heads
        recv = self._direct.recv
        return self.socket, (recv_after(rest, recv) if rest else recv)

    # -- everything else: pywsgi and the application

    def _serve_wsgi(self) -> bool:
        result = self.handle_one_request()
        if result is True:
            return self._has_read_body()
        if result is not None:
            self.status, body = result
            self.socket.sendall(body)
        return False

    def _has_read_body(self) -> bool:
        """Return whether another request may follow, which requires that the body was valid and completely read."""
        body = self.wsgi_input
        assert body is not None
        if body.ended if isinstance(body, ChunkedBody) else body.position >= (body.content_length or 0):
            return True
        self._linger()
        return False

    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environ. Its key `gentrifugo.handler` is this object, for views that call `upgrade`."""
        self.path = origin_form(self.path or "")
        environ: dict[str, Any] = super().get_environ()
        environ["gentrifugo.handler"] = self
        environ[PEER] = self._address
        environ["REMOTE_ADDR"] = self._client({name.lower(): value for name, value in self.headers.items()})
        body = self.wsgi_input
        if body is not None and body.chunked_input:
            self.wsgi_input = ChunkedBody(self.rfile, body.socket)
        # For a request with "Connection: upgrade", which some proxies send every time, pywsgi replaces the body by
        # the connection itself. Afterwards it would discard the next request as the rest of the body.
        environ["wsgi.input"] = ApplicationBody(self.wsgi_input)
        environ["wsgi.input_terminated"] = True
        return environ

    def _sendall(self, data: bytes) -> None:
        try:
            super()._sendall(data)  # type: ignore[misc]
        # pywsgi would log these errors as errors of the application.
        except TimeoutError:
            raise BrokenPipeError(EPIPE, "write timeout: the client does not read") from None
        except SSLError as error:  # so TLS reports that the client has disconnected
            raise BrokenPipeError(EPIPE, str(error)) from None

    def process_result(self) -> None:
        """Write the response of the WSGI application, unless the connection was upgraded."""
        if not self._upgraded:
            super().process_result()

    def handle_error(self, type: Any, value: Any, traceback: Any) -> None:
        """Log an exception of the application; the response is status 500, unless a WebSocket is open."""
        if self._upgraded:
            log.error("internal error in a WebSocket handler of the application, closing connection", exc_info=value)
        else:
            super().handle_error(type, value, traceback)

    def log_request(self) -> None:
        """Log a request that pywsgi has served, at level DEBUG."""
        if access_log.is_enabled():
            head, status, size = access_log.served_request(self)
            self._log_access(head, *((101, 0) if self._upgraded else (status, size)))

    def log_error(self, msg: str, *args: Any) -> None:
        """Log an error message of pywsgi at level DEBUG."""
        log.debug(msg, *args)

    # -- ends

    def _refuse(self, error: HTTPError, raw: bytes | None, head: Head | None) -> None:
        """Send an error response, and let the peer read it before the connection is closed."""
        if error.reason is NO_TLS_HERE:
            note_misplaced_tls(self._peer)
        response = error_response(error)
        self._log_access(head, error.status, len(response.body), error.reason)
        whole = encode_response(response, keep_alive=False, connection_headers=error.headers)
        if raw is not None and raw.startswith(b"HEAD "):
            whole = whole.removesuffix(response.body)
        self._direct.sendall(whole)
        self._linger()

    def _linger(self) -> None:
        with suppress(OSError):
            self._direct.send_close_notify()  # before the end of writing, after which TLS can send nothing
        linger(self.socket)

    def _log_access(self, head: Head | None, status: int, size: int, reason: str = "") -> str:
        """Log a request at level DEBUG; returns its ID in the log, empty if it is not logged."""
        if not access_log.is_enabled():
            return ""
        peer, took = (self._peer, 0.0) if head is None else (self._client(head.headers), time.time() - self.time_start)
        return access_log.note_request(peer, head, status, size, took, reason)

    def _close(self) -> None:
        sock = self.__dict__.pop("socket", None)
        if sock is not None:
            self._direct.release_limit()
            close(self._direct, sock)
        self._route = None  # which refers to this object: only the garbage collector would find the two
        held = self.__dict__
        for name in ("rfile", "wsgi_input", "environ", "headers"):
            if name in held:
                del held[name]


def _client_endpoints(application: Any) -> Sequence[SockJS | Streams]:
    """Return the endpoints of a WSGI application for clients without raw WebSockets; empty if it has none."""
    mounted = mounted_server(application)
    if mounted is None:
        return getattr(application, "sockjs", ())
    # Some paths of streams are below that of SockJS.
    return (mounted.service.streams, mounted.service.sockjs) if CLIENT in mounted.endpoints else ()
