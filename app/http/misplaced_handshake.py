"""WebSocket handshakes at paths without a WebSocket, such as `/` or `/connection`.

Browsers and client libraries do not show the response, only that the connection has failed. So the log says it too.
"""

from __future__ import annotations

import logging

from ..runtime.log_throttle import ThrottledLog

log = logging.getLogger(__name__)

MAX_LOGGED_PATHS = 10
"""Maximum number of different paths that are logged in ten seconds."""
MAX_LOGGED_PATH = 200
"""Maximum characters of a path in a log line."""

_log = ThrottledLog(log, logging.INFO, max_keys=MAX_LOGGED_PATHS)


def is_handshake(method: str, upgrade: str) -> bool:
    """Return whether a request with this value of the header Upgrade, empty without one, is for a WebSocket."""
    return method == "GET" and upgrade.lower() == "websocket"


def note_misplaced_handshake(path: str, expected: str) -> str:
    """Log the handshake at `path`, and return the text of its refusal; `expected` is the path for clients."""
    shown = path[:MAX_LOGGED_PATH]
    _log.log(shown, "WebSocket handshake at %r refused: the path for clients is %s", shown, expected)
    return f"no WebSocket here; the path for clients is {expected}"


def forget_misplaced_handshakes() -> None:
    """Log the next handshake at each path, whenever the last one was."""
    _log.reset()
