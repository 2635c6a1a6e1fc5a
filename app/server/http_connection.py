"""One HTTP connection on gevent's pywsgi: our own reading of requests in front of it.

Every head is parsed strictly here first. API requests and WebSocket handshakes, the
hot paths, are then served without a WSGI environ: a single publish takes about
70 us of CPU that way and 430 us through Flask. Everything else is left to pywsgi and
the WSGI application, byte for byte as it came.
"""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EPIPE
from functools import partial
from typing import Any

from gevent.pywsgi import WSGIHandler

from ..config.endpoints import API, API_PATH, CLIENT, WEBSOCKET_PATH
from ..http.chunked import BadBody, ChunkedBody
from ..http.head import Head, HTTPError, origin_form, parse_head, response
from ..http.opening_request import Opening
from ..http.reader import RequestReader
from ..net.direct_tls import direct
from ..runtime.yielding import yield_if_due
from ..service import Service, refusal
from ..sockjs.direct import DirectExchange, decoded_path
from ..sockjs.endpoint import SockJS
from ..sockjs.exchange import ServeWebSocket, address_of
from ..views.mounted import endpoints_of, service_of
from ..websocket import handshake
from ..websocket.compression import HEADER, agree

log = logging.getLogger(__name__)
access_log = logging.getLogger("gentrifugo.access")

JSON = "application/json"
LINGER_TIMEOUT = 1.0
"""Seconds to read and forget what still comes after the last answer: a reset would destroy that on its way."""
WRITE_TIMEOUT = 60.0
"""Seconds for one write of a response."""
HEAD_TIME = 10.0
"""Seconds for the head of a request, where no service says otherwise."""
KEEPALIVE = 75.0
"""The same for the time between two requests."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

LAST_WORDS = 0.5
"""Seconds that a new connection may take to send its request while the service stops."""


class Handler(WSGIHandler):
    """Serves one connection; `server.application` may carry a Service (see mounted.py)."""

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        service = service_of(server.application)
        timeout = service.config.http_header_timeout if service else HEAD_TIME
        self.rfile: RequestReader  # type: ignore[assignment]  # all that pywsgi asks of a file
        self._direct = direct(sock)
        super().__init__(  # type: ignore[call-arg]
            sock, address, server, rfile or RequestReader(self._direct, timeout)
        )
        sock.settimeout(WRITE_TIMEOUT)
        self._service = service
        self._upgraded = False
        self._sockjs = sockjs_of(server.application)
        self._endpoints = endpoints_of(server.application)
        self._opened: ServeWebSocket | None = None
        """Who serves the WebSocket that a request on the hot path has opened."""
        self._is_given = False
        """Whether the next request comes from another process, which could not serve it."""
        self._patience = timeout
        """Seconds until the first byte of the next request."""
        if sock.family != socket.AF_UNIX:
            # pywsgi writes head and body apart; with Nagle's algorithm the body waits 40 ms for an answer.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def go_on(self, request: bytes) -> None:
        """Begin with a request that another process has given to this one, with as much as was read of it."""
        self.rfile.unread(request)
        self._is_given = True

    def handle(self) -> None:
        """Serve requests until the connection ends. No exception leaves here."""
        if self._service is not None:
            self._service.node.metrics.greenlets += 1
        try:
            while self.socket is not None and self._serve_one():
                yield_if_due()
            if self._opened is not None:
                self._opened(*self.take_over())
        except (OSError, EOFError) as error:
            log.debug("%s: %s", self._peer, error or type(error).__name__)
        except Exception:
            log.exception("a connection of %s failed", self._peer)
        finally:
            if self._service is not None:
                self._service.node.metrics.greenlets -= 1
            self._close()

    @property
    def _peer(self) -> str:
        address = self.client_address
        return str(address[0]) if isinstance(address, tuple) else "local socket"

    def _client(self, headers: Mapping[str, str]) -> str:
        """Whose request it is, as far as it is known; header names are in lower case."""
        if self._service is None:
            return self._peer
        address = self.client_address
        peer = str(address[0]) if isinstance(address, tuple) else ""
        return self._service.proxies.address(peer, headers) or self._peer

    def _serve_one(self) -> bool:
        """Serve one request; whether another may follow."""
        service = self._service
        raw: bytes | None = None
        try:
            raw = self._read_head()
            if raw is None:
                return False
            self.time_start = time.time()
            head = parse_head(raw)
            if service is not None:
                if service.node.stopping:
                    raise HTTPError(503, "the server is shutting down", {"Retry-After": "1"})
                serve = self._fast_path(service, head)
                if serve is not None:
                    return serve(service, head)
            for endpoint in self._sockjs:
                path = endpoint.path_below(decoded_path(head.path))
                if path is not None:
                    return self._serve_sockjs(endpoint, head, path)
        except HTTPError as error:
            self._refuse(error, raw)
            return False
        except TimeoutError:
            self._refuse(HTTPError(408, "the request took too long to arrive"), raw)
            return False
        except BadBody as error:
            self._refuse(HTTPError(400, str(error)), raw)
            return False
        self.rfile.unread_head(raw)
        return self._serve_wsgi()

    def _read_head(self) -> bytes | None:
        service, patience = self._service, self._patience
        if service is None:
            self._patience = KEEPALIVE
            return self.rfile.read_head(patience)
        self._patience = service.config.http_keepalive_timeout
        service.idle.add(self)
        try:
            # Whoever is accepted while the service stops gets the time to ask, and to be refused; nothing more.
            return self.rfile.read_head(LAST_WORDS if service.node.stopping else patience)
        finally:
            service.idle.discard(self)

    def interrupt(self) -> None:
        """The service stops: no request can follow on a connection that is idle."""
        with suppress(OSError):  # the peer may have gone this very moment
            self.socket.shutdown(socket.SHUT_RD)

    def _fast_path(self, service: Service, head: Head) -> Callable[[Service, Head], bool] | None:
        prefix = service.config.http_prefix
        path = head.path
        if path == prefix + WEBSOCKET_PATH and head.method == "GET" and CLIENT in self._endpoints:
            return self._serve_websocket
        if path == prefix + API_PATH and head.method == "POST" and API in self._endpoints:
            headers = head.headers
            has_body = "content-length" in headers or "transfer-encoding" in headers
            if has_body and headers.get("content-type", "").lower().startswith(JSON):
                return self._serve_api
        return None

    # -- the hot paths

    def _serve_api(self, service: Service, head: Head) -> bool:
        body = self._read_api_body(head, service.config.api_request_max_size)
        answer = service.answer_api(head.headers.get("x-api-sign", ""), body)
        self._direct.sendall(
            response(answer.status, answer.body, answer.content_type, head.keep_alive, head.connection_headers)
        )
        self._log_access(head, answer.status, len(answer.body))
        return head.keep_alive

    def _read_api_body(self, head: Head, max_size: int) -> bytes:
        size = head.content_length
        if size is not None and size > max_size:
            raise HTTPError(413, f"the request is larger than {max_size} bytes")
        if head.waits_for_continue:
            self._direct.sendall(CONTINUE)
        if size is not None:
            return self.rfile.read_body(size)
        body: bytes = ChunkedBody(self.rfile).read(max_size + 1)
        if len(body) > max_size:
            raise HTTPError(413, f"the request is larger than {max_size} bytes")
        return body

    def _serve_websocket(self, service: Service, head: Head) -> bool:
        service.origins.check(head.headers.get("origin"), head.headers.get("host", ""))
        deflate = agree(service.compression, head.headers.get(HEADER, ""))
        self._open_websocket(
            handshake.accept(head.method, head.version, head.headers, deflate.answer if deflate else "")
        )
        request = self._log_access(head, 101, 0)
        # Served from `handle`: what the frames in between hold would be held as long as the connection lasts.
        self._opened = service.serve_websocket
        if deflate or request or service.remembers_requests:
            opening = self._opening(service, head)
            self._opened = partial(service.serve_websocket, deflate=deflate, opening=opening, request=request)
        return False

    def _opening(self, service: Service, head: Head) -> Opening | None:
        if not service.remembers_requests:
            return None
        scheme = "https" if self.server.ssl_enabled else "http"
        address = service.proxies.address(address_of(self.socket), head.headers)
        return Opening(head.method, origin_form(head.target), head.headers, address, scheme)

    def _serve_sockjs(self, endpoint: SockJS, head: Head, path: str) -> bool:
        exchange = DirectExchange(self.socket, self._direct, self.rfile, head, path)
        exchange.is_given, self._is_given = self._is_given, False
        endpoint.serve(exchange)
        if exchange.is_given_away:
            return False
        if self._service is not None:
            self._service.node.metrics.counters.http_sockjs_num_requests += 1
        self._log_access(head, exchange.status, exchange.size)
        if exchange.opened is not None:
            self._upgraded = self.close_connection = True
            self._opened = exchange.opened
        elif exchange.status >= 400 and not exchange.may_follow:
            self._linger()
        return exchange.may_follow

    # -- for views that want the connection as a WebSocket

    def upgrade(self) -> tuple[Any, Callable[[int], bytes]]:
        """Open a WebSocket from within the WSGI application; socket and recv. Raises HTTPError.

        Whatever the application returns after that is ignored.
        """
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._open_websocket(handshake.accept(self.command or "", self.request_version or "", headers))
        return self.take_over()

    def take_over(self) -> tuple[Any, Callable[[int], bytes]]:
        """The socket, and a recv that begins with what was read ahead; everything of HTTP is let go."""
        rest = self.rfile.take_rest()
        del self.rfile
        recv = self._direct.recv
        return self.socket, (_recv_after(rest, recv) if rest else recv)

    def _open_websocket(self, accepted: bytes) -> None:
        self._upgraded = True
        self.close_connection = True
        self._direct.sendall(accepted)

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
        """Whether a request may follow: not in the middle of a body that was bad, or did not come in time."""
        body = self.wsgi_input
        assert body is not None
        if body.ended if isinstance(body, ChunkedBody) else body.position >= (body.content_length or 0):
            return True
        self._linger()
        return False

    def get_environ(self) -> dict[str, Any]:
        """What the application gets; `gentrifugo.handler` is this handler, for views that `upgrade`."""
        self.path = origin_form(self.path or "")
        environ: dict[str, Any] = super().get_environ()
        environ["gentrifugo.handler"] = self
        environ["REMOTE_ADDR"] = self._client({name.lower(): value for name, value in self.headers.items()})
        body = self.wsgi_input
        if body is not None and body.chunked_input:
            self.wsgi_input = ChunkedBody(self.rfile, body.socket)
        # When told "Connection: upgrade", which some proxies say with every request, pywsgi hands out the
        # connection in place of the body. Then it skips a body that has been read: the next request.
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        return environ

    def _sendall(self, data: bytes) -> None:
        try:
            super()._sendall(data)  # type: ignore[misc]
        except TimeoutError:  # pywsgi would log it as a defect of the application
            raise BrokenPipeError(EPIPE, "the peer takes nothing") from None

    def process_result(self) -> None:
        if not self._upgraded:
            super().process_result()

    def handle_error(self, type: Any, value: Any, traceback: Any) -> None:
        """The application failed."""
        if self._upgraded:
            log.error("an application failed while it served a WebSocket", exc_info=value)
        else:
            super().handle_error(type, value, traceback)

    def log_request(self) -> None:
        if access_log.isEnabledFor(logging.DEBUG):
            access_log.debug("%s", self.format_request())

    def log_error(self, msg: str, *args: Any) -> None:
        log.debug(msg, *args)

    # -- ends

    def _refuse(self, error: HTTPError, head: bytes | None) -> None:
        """Tell the peer what is wrong and let it read that before the connection goes."""
        access_log.debug("%s refused with %d: %s", self._peer, error.status, error.reason)
        answer = refusal(error.status, error.reason)
        whole = response(answer.status, answer.body, answer.content_type, False, error.headers)
        if head is not None and head.startswith(b"HEAD "):
            whole = whole.removesuffix(answer.body)
        self._direct.sendall(whole)
        self._linger()

    def _linger(self) -> None:
        sock = self.socket
        deadline = time.monotonic() + LINGER_TIMEOUT
        with suppress(OSError):
            self._direct.send_close_notify()  # before the shutdown, after which nothing of TLS can be said
            sock.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                if not sock.recv(65536):
                    return
                yield_if_due()

    def _log_access(self, head: Head, status: int, size: int) -> str:
        """Log a request; the id that it has in the log, if it is there."""
        request = ""
        if access_log.isEnabledFor(logging.DEBUG):
            took = (time.time() - self.time_start) * 1000
            fields = {
                "peer": self._client(head.headers),
                "method": head.method,
                "target": head.target,
                "status": status,
                "size": size,
                "took_ms": round(took, 2),
            }
            request = head.headers.get("x-request-id") or str(uuid.uuid4())  # a proxy's own, to be found there too
            access_log.debug('%s "%s %s" %d %d %.2f ms', *fields.values(), extra={**fields, "request": request})
        return request

    def _close(self) -> None:
        sock = self.__dict__.pop("socket", None)
        if sock is not None:
            self._direct.send_close_notify()
            sock.close()
        for name in ("rfile", "wsgi_input", "environ", "headers"):
            self.__dict__.pop(name, None)


def sockjs_of(application: Any) -> Sequence[SockJS]:
    """The SockJS endpoints of a WSGI application."""
    service = service_of(application)
    if service is None:
        return getattr(application, "sockjs", ())
    return (service.sockjs,) if CLIENT in endpoints_of(application) else ()


def _recv_after(first: bytes, recv: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A recv that returns `first` before anything else."""
    waiting = [first]

    def receive(size: int) -> bytes:
        if waiting:
            return waiting.pop()
        return recv(size)

    return receive
