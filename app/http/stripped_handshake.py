"""WebSocket handshakes whose headers Upgrade and Connection a proxy has not passed on, as nginx does by default.

Browsers and client libraries do not show the response, only that the connection has failed. So the log says it too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..runtime.log_throttle import ThrottledLog
from .head import HTTPError

log = logging.getLogger(__name__)

REASON = (
    "a proxy does not pass on the headers Upgrade and Connection: "
    'see "Behind a proxy" in docs/deployment.md; nginx needs the lines proxy_http_version and proxy_set_header of '
    "conf/nginx.conf"
)

_log = ThrottledLog(log, logging.INFO)


def is_stripped(headers: Mapping[str, str]) -> bool:
    """Return whether a request is a WebSocket handshake without its hop-by-hop headers. Names are in lower case."""
    if "sec-websocket-key" not in headers:
        return False
    upgrade, connection = headers.get("upgrade", ""), headers.get("connection", "")
    return "websocket" not in upgrade.lower() or "upgrade" not in connection.lower()


def explain_refusal(error: HTTPError, headers: Mapping[str, str]) -> HTTPError:
    """Return the error for a refused handshake. If a proxy is the cause, it says so, and the mistake is logged."""
    if error.status != 400 or not is_stripped(headers):
        return error
    _log.log("", "WebSocket handshake refused: %s", REASON)
    return HTTPError(400, f"{error.reason}; {REASON}", error.headers)


def forget_stripped_handshakes() -> None:
    """Log the next handshake, whenever the last one was."""
    _log.reset()
