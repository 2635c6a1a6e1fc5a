"""TLS for our own listeners (options ssl, ssl_cert and ssl_key): which versions and ciphers, and whose certificate."""

from __future__ import annotations

import logging
import ssl
from contextlib import suppress
from pathlib import Path
from socket import MSG_PEEK
from typing import Any

from gevent.pywsgi import WSGIServer
from gevent.ssl import SSLContext

from .config import Config
from .http_head import response
from .mounted import service_of
from .options import ConfigError

log = logging.getLogger(__name__)

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: keys of their own for each connection, and encryption that authenticates. Those of 1.3 all do that."""
HANDSHAKE = b"\x16"
"""The first byte of whatever begins as TLS does."""
HELLO_SIZE = 4096
ACME_HELLO = b"\x0aacme-tls/1"
"""In the first message of an ACME server that validates a name: the one protocol that it speaks (RFC 8737)."""
PLAIN_REFUSED = response(400, b"this port speaks TLS: use https:// and wss://\n", "text/plain; charset=utf-8", False)


def server_context(config: Config) -> SSLContext:
    """What the options say. Raises ConfigError, which names the option whose file cannot be used."""
    problems = [
        f"{option}: {problem}"
        for option, path in (("ssl_cert", config.ssl_cert), ("ssl_key", config.ssl_key))
        if (problem := _problem_of(path))
    ]
    if problems:
        raise ConfigError(problems)
    context = bare_context()
    try:
        context.load_cert_chain(config.ssl_cert, config.ssl_key, password=_no_password)
    except ssl.SSLError as error:
        raise ConfigError([f"ssl_cert, ssl_key: {_explained(error, config)}"]) from None
    except ValueError as error:
        raise ConfigError([f"ssl_key: {error}"]) from None
    return context


def bare_context() -> SSLContext:
    """What all our listeners have in common, still without a certificate."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    return context


def _problem_of(path: str) -> str:
    if not path:
        return "not set, but ssl is on"
    try:
        with Path(path).open("rb"):
            return ""
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"


def _explained(error: ssl.SSLError, config: Config) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {config.ssl_key} is not that of the certificate in {config.ssl_cert}"
    return f"{config.ssl_cert} and {config.ssl_key} are no certificate and key in PEM ({error.reason or error})"


def _no_password() -> str:
    raise ValueError("is encrypted, and nobody is there to ask for its password; decrypt it, and protect the file")


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
        assert self._context is not None
        client_socket.settimeout(service.config.http_header_timeout if service is not None else 10.0)
        try:
            hello = client_socket.recv(HELLO_SIZE, MSG_PEEK)
            if hello[:1] != HANDSHAKE:
                client_socket.sendall(PLAIN_REFUSED if hello else b"")
                return None
            if self.challenge_context is not None and ACME_HELLO in hello:
                self.challenge_context.wrap_socket(client_socket, server_side=True).close()
                return None
            encrypted = self._context.wrap_socket(client_socket, server_side=True)
        except OSError as error:
            log.debug("%s: no TLS handshake: %s", address[0] if isinstance(address, tuple) else address, error)
            return None
        finally:
            with suppress(OSError):
                client_socket.close()  # detached by now, if the handshake has begun
        try:
            return self.handle(encrypted, address)
        finally:
            encrypted.close()
