"""The request that opened a connection, which is kept for hooks: its target, headers and client address."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from .client_address import TrustedProxies
from .head import Head, origin_form
from .origins import DEFAULT_PORTS
from .outer_address import forwarded_address

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Opening(NamedTuple):
    """A WebSocket's handshake, or the request that opened a SockJS session; header names are in lower case."""

    method: str
    target: str
    """Path and query, percent-encoded."""
    headers: Mapping[str, str]
    address: str
    """The address of the client if a proxy in option trusted_proxies reports it, otherwise the address of the peer."""
    scheme: str = "http"
    """Scheme, host and prefix in the browser's URL, if such a proxy reports them."""

    def environ(self) -> dict[str, Any]:
        """Return the request as a WSGI environ, without its body.

        Headers with an underscore in their name are left out. In WSGI they would look like headers with a hyphen, which
        a proxy may have checked.
        """
        path, _, query = self.target.partition("?")
        host, _, port = self.headers.get("host", "").partition(":")
        environ = {
            "REQUEST_METHOD": self.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": host or "localhost",
            "SERVER_PORT": port or str(DEFAULT_PORTS.get(self.scheme, 80)),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.address,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if name == "content-type":
                environ["CONTENT_TYPE"] = value
            elif name != "content-length" and "_" not in name:
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return environ


_new = tuple.__new__  # in half the time of the constructor


def opening_of(head: Head, peer: str, scheme: str, proxies: TrustedProxies, is_whole: bool = True) -> Opening:
    """Build the Opening for a head that came from the address `peer` by `scheme`, unless `proxies` report others.

    If not `is_whole`, it is only what operators see of a request, without headers and query, which takes little memory.
    """
    headers = head.headers
    scheme = forwarded_address(peer, headers, proxies).scheme or scheme
    address = proxies.address(peer, headers)
    if is_whole:
        return Opening(head.method, origin_form(head.target), headers, address, scheme)
    path = sys.intern(head.path)  # that of all connections with one transport is the same
    return _new(Opening, (sys.intern(head.method), path, NO_HEADERS, address, scheme))
