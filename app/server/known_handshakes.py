"""Opens WebSockets for handshakes that equal an earlier one, except in values that differ from client to client.

When thousands of clients reconnect, nearly all of their handshakes come from a few programs. The first one of each kind
is parsed and checked by HTTPConnection. The answer to the others is the same, so only their keys are checked, and
their address is determined. All other requests take the way through HTTPConnection.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from gevent.ssl import SSLSocket

from ..exchange.exchange import NegotiatedWebSocket, ServeWebSocket
from ..http.head import END_OF_HEAD, Head, HTTPError
from ..http.opening_request import opening_of
from ..net.direct_socket import DirectSocket
from ..service import Service
from ..sockjs.options import SockJSOptions
from ..websocket.handshake import answer
from . import access_log

MAX_HANDSHAKE = 2048
"""Bytes of the largest handshake that is compared with others."""
MAX_KNOWN = 256
"""Number of handshakes that are known. They are all forgotten when there is another one, so that none stays forever."""
MAX_QUERY = 64
"""Characters of the longest query of a known handshake; a longer one may contain the token of a client."""

_KEY = "sec-websocket-key"
_VARYING = re.compile(
    rb"\r\n(Sec-WebSocket-Key|X-Forwarded-For|X-Real-IP|X-Request-ID|Cookie|Authorization):"
    rb" ([!-~](?:[ -~]*[!-~])?)(?=\r\n)",
    re.IGNORECASE,
)
"""The headers whose values differ from client to client, and do not decide whether the handshake is accepted."""


class _Known(NamedTuple):
    """A handshake that was accepted by this service, with these options."""

    service: Service
    options: SockJSOptions
    websocket: NegotiatedWebSocket
    head: Head
    names: tuple[str, ...]
    """The names of its varying headers, in lower case."""

    @property
    def is_valid(self) -> bool:
        """Whether the server would still accept it, without anything to log."""
        service = self.service
        is_accepted = service.sockjs.options is self.options and not service.node.stopping
        return is_accepted and not access_log.is_enabled()


class KnownHandshakes:
    """The handshakes that a server has accepted, without the values that differ from client to client."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], _Known] = {}
        """By the parts of the handshake that do not vary, in order."""

    def remember(
        self, raw: bytes, head: Head, websocket: NegotiatedWebSocket, service: Service, options: SockJSOptions
    ) -> None:
        """Remember a handshake that was accepted with these options; `raw` is its head, without the empty line."""
        if len(raw) > MAX_HANDSHAKE or len(head.query) > MAX_QUERY:
            return
        fixed, _ = _split(raw + END_OF_HEAD)
        names = tuple(name.decode().lower() for name in fixed[1::2])
        given = [line.partition(b":")[0].decode("latin-1").lower() for line in raw.split(b"\r\n")]
        if _KEY not in names or any(given.count(name) > 1 for name in names):
            return
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        # Nothing is kept of the first client, whose cookies are secret.
        common, alike = head.varied(dict.fromkeys(names, "")), websocket.negotiated_alike(None)
        self._known[fixed] = _Known(service, options, alike, common, names)

    def open(self, received: bytes, socket: Any, direct: DirectSocket, peer: str) -> ServeWebSocket | None:
        """Open a WebSocket if `received` is a known handshake, and return the function that serves it; None if not.

        `direct` is the same connection as `socket`. `peer` is the host at its other end; empty for a Unix socket.
        Raises OSError if the client disconnects.
        """
        if not received.startswith(b"GET ") or len(received) > MAX_HANDSHAKE:
            return None
        fixed, values = _split(received)
        known = self._known.get(fixed)
        if known is None or not known.is_valid:
            return None
        websocket, options = known.websocket, known.options
        head = known.head.varied(dict(zip(known.names, map(bytes.decode, values), strict=True)))
        try:
            accepted = answer(head.headers[_KEY], websocket.extensions, websocket.subprotocol)
        except HTTPError:  # HTTPConnection refuses it
            return None
        direct.sendall(accepted)
        scheme = "https" if isinstance(socket, SSLSocket) else "http"
        opening = opening_of(head, peer, scheme, options.proxies, options.remembers_requests)
        return websocket.negotiated_alike(opening).serve


def _split(handshake: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Split a handshake into the parts that do not vary, of which every second is a name, and the varying values."""
    pieces = _VARYING.split(handshake)
    values = pieces[2::3]
    del pieces[2::3]
    return tuple(pieces), values
