"""Plain HTTP beside TLS (option ssl_autocert_http): answers to challenges, and for all else the way to https."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from gevent.pywsgi import WSGIServer

from . import listeners
from .options import ConfigError

log = logging.getLogger(__name__)

PATH = "/.well-known/acme-challenge/"


def server(address: str, tokens: Mapping[str, str]) -> WSGIServer:
    """A server at `address`, a host and port, or a colon and port; not started yet. Raises ConfigError."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ConfigError([f"ssl_autocert_http_addr: {address} is no address; one is written :80 or 192.0.2.7:80"])
    listener = listeners.listen(host.strip("[]"), int(port), "ssl_autocert_http_addr")

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(PATH):
            answer = tokens.get(path.removeprefix(PATH))
            start_response("200 OK" if answer else "404 Not Found", [("Content-Type", "text/plain")])
            return [(answer or "there is no such challenge\n").encode()]
        name = environ.get("HTTP_HOST", "").rpartition(":")[0] or environ.get("HTTP_HOST", "")
        start_response("308 Permanent Redirect", [("Location", f"https://{name}{path}")])
        return []

    return WSGIServer(listener, application, log=None, error_log=log)
