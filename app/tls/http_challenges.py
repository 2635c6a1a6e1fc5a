"""A plain HTTP server for ACME challenges (option ssl_autocert_http); it redirects other requests to HTTPS."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ..config.options import ConfigError
from ..http.response import CLOSE_CONNECTION
from ..server import listeners
from ..server.accepting import AcceptingServer
from ..server.http_connection import HTTPConnection

log = logging.getLogger(__name__)

CHALLENGE_PATH = "/.well-known/acme-challenge/"
_PORT = re.compile(r":[0-9]*$")


def server(address: str, tokens: Mapping[str, str]) -> AcceptingServer:
    """Create the server for `address` (host:port or :port), without starting it. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ConfigError([f"ssl_autocert_http_addr: invalid address {address}: expected host:port or :port"])
    listener = listeners.listen(host.strip("[]"), int(port), "ssl_autocert_http_addr")
    listener.setblocking(False)  # gevent waits for it, also where the standard library is not patched

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """WSGI application that answers a challenge, or redirects to HTTPS."""
        path = environ["PATH_INFO"]
        if path.startswith(CHALLENGE_PATH):
            answer = tokens.get(path.removeprefix(CHALLENGE_PATH))
            start_response(
                "200 OK" if answer else "404 Not Found", [("Content-Type", "text/plain"), *CLOSE_CONNECTION.items()]
            )
            return [(answer or "challenge not found\n").encode()]
        start_response("308 Permanent Redirect", [("Location", _https_url(environ)), *CLOSE_CONNECTION.items()])
        return []

    # HTTPConnection limits the time of every read: anybody can reach this port.
    return AcceptingServer(listener, application, handler_class=HTTPConnection, log=None, error_log=log)


def _https_url(environ: dict[str, Any]) -> str:
    """Return the URL of a request with https:// and the default port."""
    name = _PORT.sub("", environ.get("HTTP_HOST", ""))
    path = quote(environ["PATH_INFO"], encoding="latin-1")  # decoded it may hold the end of a header
    query = environ.get("QUERY_STRING", "")
    return f"https://{name}{path}?{query}" if query else f"https://{name}{path}"
