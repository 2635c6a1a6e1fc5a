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
from collections.abc import Callable
from typing import Any

from gevent.pywsgi import WSGIHandler

from . import handshake
from .fairness import give_turn
from .http_head import Head, HTTPError, parse_head, response
from .request_reader import RequestReader
from .service import API_PATH, WEBSOCKET_PATH, Service, refusal

log = logging.getLogger(__name__)
access_log = logging.getLogger("gentrifugo.access")

JSON = "application/json"
LINGER = 65536
"""Bytes to read and forget after a refusal, so that it is not destroyed by a reset on its way."""

LAST_WORDS = 0.5
"""Seconds that a new connection may take to send its request while the service stops."""


class Handler(WSGIHandler):
    """Serves one connection; `server.application` may carry a Service (see `service_of`)."""

    def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
        service = service_of(server.application)
        timeout = service.config.http_header_timeout if service else 10.0
        self.rfile: RequestReader  # type: ignore[assignment]  # all that pywsgi asks of a file
        super().__init__(sock, address, server, rfile or RequestReader(sock, timeout))  # type: ignore[call-arg]
        self._service = service
        self._upgraded = False
        if sock.family != socket.AF_UNIX:
            # pywsgi writes head and body apart; with Nagle's algorithm the body waits 40 ms for an answer.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self) -> None:
        """Serve requests until the connection ends. No exception leaves here."""
        if self._service is not None:
            self._service.node.metrics.greenlets += 1
        try:
            while self.socket is not None and self._serve_one():
                give_turn()
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

    def _serve_one(self) -> bool:
        """Serve one request; whether another may follow."""
        service = self._service
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
        except HTTPError as error:
            self._refuse(error)
            return False
        except TimeoutError:
            self._refuse(HTTPError(408, "the request took too long to arrive"))
            return False
        self.rfile.unread_head(raw)
        return self._serve_wsgi()

    def _read_head(self) -> bytes | None:
        service, reader = self._service, self.rfile
        if service is None:
            return reader.read_head(75.0)
        # Whoever is accepted while the service stops gets the time to ask, and to be refused; nothing more.
        idle_timeout = LAST_WORDS if service.node.stopping else service.config.http_keepalive_timeout
        service.idle.add(self)
        try:
            return reader.read_head(idle_timeout)
        finally:
            service.idle.discard(self)

    def interrupt(self) -> None:
        """The service stops: no request can follow on a connection that is idle."""
        self.socket.shutdown(socket.SHUT_RD)

    def _fast_path(self, service: Service, head: Head) -> Callable[[Service, Head], bool] | None:
        prefix = service.config.http_prefix
        path = head.path
        if path == prefix + WEBSOCKET_PATH:
            return self._serve_websocket
        if path == prefix + API_PATH and head.headers.get("content-type", "").lower().startswith(JSON):
            headers = head.headers
            if "content-length" in headers and "expect" not in headers:
                return self._serve_api
        return None

    # -- the hot paths

    def _serve_api(self, service: Service, head: Head) -> bool:
        size = head.content_length or 0
        if size > service.config.api_request_max_size:
            raise HTTPError(413, f"the request is larger than {service.config.api_request_max_size} bytes")
        body = self.rfile.read_body(size)
        answer = service.answer_api(head.headers.get("x-api-sign", ""), body)
        self.socket.sendall(response(answer.status, answer.body, answer.content_type, head.keep_alive))
        self._log_access(head, answer.status, len(answer.body))
        return head.keep_alive

    def _serve_websocket(self, service: Service, head: Head) -> bool:
        self._open_websocket(handshake.accept(head.method, head.version, head.headers))
        self._log_access(head, 101, 0)
        del head  # what is kept here is kept for as long as the connection lasts
        service.serve_websocket(*self.take_over())
        return False

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
        sock = self.socket
        rest = self.rfile.take_rest()
        sock.settimeout(None)
        return sock, (_recv_after(rest, sock.recv) if rest else sock.recv)

    def _open_websocket(self, accepted: bytes) -> None:
        self._upgraded = True
        self.close_connection = True
        self.socket.sendall(accepted)

    # -- everything else: pywsgi and the application

    def _serve_wsgi(self) -> bool:
        result = self.handle_one_request()
        if result is None or result is True:
            return bool(result)
        self.status, body = result
        self.socket.sendall(body)
        return False

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["gentrifugo.handler"] = self
        return environ

    def process_result(self) -> None:
        if not self._upgraded:
            super().process_result()

    def log_request(self) -> None:
        if access_log.isEnabledFor(logging.DEBUG):
            access_log.debug("%s", self.format_request())

    def log_error(self, msg: str, *args: Any) -> None:
        log.debug(msg, *args)

    # -- ends

    def _refuse(self, error: HTTPError) -> None:
        """Tell the peer what is wrong and let it read that before the connection goes."""
        answer = refusal(error.status, error.reason)
        self._log_refusal(error)
        self.socket.sendall(response(answer.status, answer.body, answer.content_type, False, error.headers))
        self.socket.shutdown(socket.SHUT_WR)
        self.socket.settimeout(1)
        read = 0
        while read < LINGER and (data := self.socket.recv(LINGER)):
            read += len(data)

    def _log_refusal(self, error: HTTPError) -> None:
        access_log.debug("%s refused with %d: %s", self._peer, error.status, error.reason)

    def _log_access(self, head: Head, status: int, size: int) -> None:
        if access_log.isEnabledFor(logging.DEBUG):
            took = (time.time() - self.time_start) * 1000
            access_log.debug('%s "%s %s" %d %d %.2f ms', self._peer, head.method, head.target, status, size, took)

    def _close(self) -> None:
        sock = self.__dict__.pop("socket", None)
        if sock is not None:
            sock.close()
        for name in ("rfile", "wsgi_input", "environ", "headers"):
            self.__dict__.pop(name, None)


def service_of(application: Any) -> Service | None:
    """The service that a WSGI application carries: Flask applications have it among their extensions."""
    service = getattr(application, "extensions", {}).get("gentrifugo")
    return service if isinstance(service, Service) else None


def _recv_after(first: bytes, recv: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """A recv that returns `first` before anything else."""
    waiting = [first]

    def receive(size: int) -> bytes:
        if waiting:
            return waiting.pop()
        return recv(size)

    return receive
