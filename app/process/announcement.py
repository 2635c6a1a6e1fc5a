"""The log lines at startup: version, configuration file, and the address of each group of endpoints."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection

from ..._version import __version__
from ..config.endpoints import ADMIN, API, API_PATH, CLIENT, ENDPOINTS, SOCKJS_PATH, WEBSOCKET_PATH
from ..config.loading import LoadedConfig
from ..config.warnings import accepts_backends
from ..net.bulk_send import describe_speedups
from ..runtime import limits
from ..server.listener_names import MAIN, address_of, listener_endpoints, other_addresses
from ..server.listeners import Listeners

log = logging.getLogger(__name__)


def announce(loaded: LoadedConfig, listeners: Listeners, endpoints: Collection[str] = ENDPOINTS) -> None:
    """Log version, configuration, addresses and system limits of this server, one line each.

    A server on all interfaces is shown with the URLs that this machine can open.

    `endpoints` are the groups of endpoints that the main listener serves; an application may serve only some.
    """
    config = loaded.config
    prefix = config.http_prefix
    http, ws = ("https", "wss") if config.is_tls_only else ("http", "ws")
    main = address_of(listeners.sockets[MAIN])
    own = {
        endpoint: address_of(sock) for name, sock in listeners.sockets.items() for endpoint in listener_endpoints(name)
    }
    log.info("Gentrifugo %s, pid %d, %s engine", __version__, os.getpid(), config.engine)
    log.info("configuration: %s", loaded.path or loaded.origin)
    log.info("%s", describe_speedups())
    served = own.keys() | set(endpoints)
    if CLIENT in served:
        log.info("clients connect to %s://%s%s%s", ws, main, prefix, WEBSOCKET_PATH)
        log.info("SockJS clients connect to %s://%s%s%s", http, main, prefix, SOCKJS_PATH)
    if API in served and accepts_backends(config):
        log.info("backends publish to %s://%s%s%s", http, own.get(API, main), prefix, API_PATH)
    for note in loaded.notes:
        log.warning("%s", note)
    if config.web and ADMIN in served:
        log.info("the web interface is at %s://%s%s/", http, own.get(ADMIN, main), prefix)
    if ADMIN in own:
        log.info("the admin endpoints are at %s://%s%s", http, own[ADMIN], prefix)
    for limit in limits.all_limits():
        log.log(logging.DEBUG if limit.is_enough else logging.WARNING, "%s", limit)
    others = other_addresses(listeners.sockets[MAIN])
    log.info("listening on %s://%s%s", http, main, f" and on {others}" if others else "")
