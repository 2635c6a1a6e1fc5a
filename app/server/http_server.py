"""The HTTP server below our handler: gevent's pywsgi, with TLS that is shaken hands for before anything is read."""

from __future__ import annotations

import logging
from contextlib import suppress
from socket import MSG_PEEK
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext, SSLSocket

from ..http.head import response
from ..views.mounted import service_of
from .http_connection import HEAD_TIME

log = logging.getLogger(__name__)

HANDSHAKE = b"\x16"
"""The first byte of whatever begins as TLS does."""
HELLO_SIZE = 4096
ACME_HELLO = b"\x0aacme-tls/1"
"""In the first message of an ACME server that validates a name: the one protocol that it speaks (RFC 8737)."""
PLAIN_REFUSED = response(400, b"this port speaks TLS: use https:// and wss://\n", "text/plain; charset=utf-8", False)


class HTTPServer(WSGIServer):
    """Accepts connections, with TLS when it is given `ssl_context`; other arguments as WSGIServer has them."""

    def __init__(self, *arguments: Any, ssl_context: SSLContext | None = None, **named: Any) -> None:
        tls: dict[str, Any] = {} if ssl_context is None else {"ssl_context": ssl_context}
        super().__init__(*arguments, **named, **tls)  # type: ignore[call-overload]
        self._context = ssl_context
        self.challenge_context: SSLContext | None = None
        """For an ACME server that looks who answers for a name; nothing is served to it."""

    def renew(self, context: SSLContext) -> None:
        """Connections that come from now on get another certificate."""
        self._context = context

    def wrap_socket_and_handle(self, client_socket: Any, address: Any) -> Any:
        """Shake hands within the time for the head of a request, then serve. What is no TLS is told so."""
        service = service_of(self.application)
        limit = service.config.http_header_timeout if service is not None else HEAD_TIME
        try:
            # One limit for all of it: a socket's own timeout begins again with each byte that a peer sends.
            with gevent.Timeout(limit, TimeoutError(f"not done within {limit:g} s")):
                encrypted = self._shake_hands(client_socket)
        except OSError as error:
            log.debug("%s: no TLS handshake: %s", address[0] if isinstance(address, tuple) else address, error)
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

    def _shake_hands(self, client_socket: Any) -> SSLSocket | None:
        """The connection, encrypted; None when it is to be served no further. Raises OSError."""
        assert self._context is not None
        hello = client_socket.recv(HELLO_SIZE, MSG_PEEK)
        if hello[:1] != HANDSHAKE:
            client_socket.sendall(PLAIN_REFUSED if hello else b"")
            return None
        if self.challenge_context is not None and ACME_HELLO in hello:
            _wrapped(self.challenge_context, client_socket).close()
            return None
        return _wrapped(self._context, client_socket)


def _wrapped(context: SSLContext, client_socket: Any) -> SSLSocket:
    encrypted: SSLSocket = context.wrap_socket(client_socket, server_side=True, do_handshake_on_connect=False)
    try:
        encrypted.do_handshake()
    except BaseException:
        encrypted.close()  # nobody else knows it yet, and the other one is detached
        raise
    return encrypted
