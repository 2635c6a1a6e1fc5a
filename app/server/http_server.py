"""The HTTP server that accepts connections: gevent's pywsgi, with a timeout for TLS handshakes."""

from __future__ import annotations

import logging
from contextlib import suppress
from socket import AF_UNIX, IPPROTO_TCP, MSG_PEEK, TCP_NODELAY
from typing import Any

from gevent import spawn_raw
from gevent.ssl import SSLContext, SSLSocket

from ..http.client_address import host_of, peer_name, peer_with_ipv4
from ..http.misplaced_tls import PLAIN_REFUSED, TLS_HANDSHAKE, note_missing_tls
from ..net.direct_socket import RECV_SIZE
from ..net.direct_tls import direct
from ..runtime.running_clock import TimeLimit
from ..views.mounted import service_of
from .accepting import AcceptingServer
from .http_connection import HEAD_TIMEOUT, HTTPConnection
from .known_handshakes import KnownHandshakes
from .opened_connection import OpenedConnection, log_end

log = logging.getLogger(__name__)

HELLO_SIZE = 4096
ACME_HELLO = b"\x0aacme-tls/1"
"""Part of the first message of an ACME server that validates a name: the only protocol that it offers (RFC 8737)."""


class HTTPServer(AcceptingServer):
    """Accepts connections, with TLS if it has an `ssl_context`. Its other arguments are those of WSGIServer.

    `challenge_context` is for ACME servers that validate a name; after the handshake their connection is closed. A
    server with `is_shared` shares its listening socket with other processes, and accepts one connection at a time.
    """

    handler_class = HTTPConnection

    def __init__(
        self,
        *arguments: Any,
        ssl_context: SSLContext | None = None,
        challenge_context: SSLContext | None = None,
        is_shared: bool = False,
        **named: Any,
    ) -> None:
        tls: dict[str, Any] = {} if ssl_context is None else {"ssl_context": ssl_context}
        named.setdefault("spawn", spawn_raw)  # without gevent's record of results, which nobody waits for
        super().__init__(*arguments, **named, **tls)  # type: ignore[call-overload]
        self._context = ssl_context
        self._challenge_context = challenge_context
        self._handshakes = KnownHandshakes()
        if is_shared:
            self.max_accept = 1  # the other processes are woken up too and accept the other connections

    def init_socket(self) -> None:
        """Open the listening socket, if it is not given as one. Accepted sockets inherit its options."""
        super().init_socket()
        if self.socket.family != AF_UNIX:
            # pywsgi writes head and body separately; with Nagle's algorithm the body waits 40 ms for an ACK.
            self.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)

    def use_tls_context(self, context: SSLContext) -> None:
        """Use the TLS context `context` for new connections."""
        self._context = context

    def do_handle(self, client_socket: Any, address: Any) -> None:
        """Serve an accepted connection in a new greenlet.

        gevent does the same with more functions that call each other. Their C stack would take 0.5 KB of memory for
        each connection, because a greenlet that waits has a copy of its stack.
        """
        try:
            self._spawn(self._serve, client_socket, address)  # type: ignore[attr-defined]  # not in the stubs
        except BaseException:
            self.do_close(client_socket, address)
            raise

    def _serve(self, client_socket: Any, address: Any) -> None:
        try:
            if self.ssl_enabled:
                self.wrap_socket_and_handle(client_socket, address)
            else:
                self.handle(client_socket, address)
        finally:
            self.do_close(client_socket, address)

    def handle(self, client_socket: Any, address: Any) -> None:
        """Serve a connection until it ends. The state of its requests is released when one opens a WebSocket."""
        opened = self._serve_requests(client_socket, address)
        if opened is not None:
            opened.serve()

    def _serve_requests(self, client_socket: Any, address: Any) -> OpenedConnection | None:
        connection, peer = direct(client_socket), host_of(peer_with_ipv4(address))
        try:
            received = connection.recv_now(RECV_SIZE) or b""
            serve = self._handshakes.open(received, client_socket, connection, peer)
        except OSError as error:
            log_end(peer_name(peer), error)
            return None
        if serve is None:
            http = HTTPConnection(client_socket, address, self, received=received, handshakes=self._handshakes)
            return http.serve_requests()
        service = service_of(self.application)
        metrics = None if service is None else service.node.metrics
        return OpenedConnection(serve, client_socket, connection.recv, connection, peer_name(peer), metrics)

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Do the TLS handshake within http_header_timeout, then serve. Plain HTTP gets an error response."""
        service = service_of(self.application)
        limit = service.config.http_header_timeout if service is not None else HEAD_TIMEOUT
        try:
            # One limit for the whole handshake: the timeout of a socket restarts with each byte that the peer sends.
            with TimeLimit(limit, TimeoutError(f"timeout after {limit:g} s")):
                encrypted = self._handshake(client_socket, address)
        except OSError as error:
            log.debug("%s: TLS handshake failed: %s", _name_of(address), error)
            encrypted = None
        finally:
            with suppress(OSError):
                client_socket.close()  # detached by now, if the handshake has begun
        if encrypted is None:
            return None
        try:
            return self.handle(encrypted, address)
        finally:
            encrypted.close()

    def _handshake(self, client_socket: Any, address: Any) -> SSLSocket | None:
        """Return the TLS connection; None if it must not be served. Raises OSError if the handshake fails."""
        assert self._context is not None
        hello = client_socket.recv(HELLO_SIZE, MSG_PEEK)
        if not hello:
            return None
        if hello[:1] != TLS_HANDSHAKE:
            note_missing_tls(_name_of(address))
            client_socket.sendall(PLAIN_REFUSED)
            return None
        if self._challenge_context is not None and ACME_HELLO in hello:
            _do_handshake(self._challenge_context, client_socket).close()
            return None
        return _do_handshake(self._context, client_socket)


def _name_of(address: Any) -> str:
    """Return the name of the peer with the address `address` for the log."""
    return peer_name(host_of(peer_with_ipv4(address)))


def _do_handshake(context: SSLContext, client_socket: Any) -> SSLSocket:
    encrypted: SSLSocket = context.wrap_socket(client_socket, server_side=True, do_handshake_on_connect=False)
    try:
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()  # no other object refers to it yet, and the plain socket is detached
        raise
    return encrypted
