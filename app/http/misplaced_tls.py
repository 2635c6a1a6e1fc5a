"""Clients that use TLS on a port without it, or that do without TLS on a port that requires it.

Browsers and client libraries do not show what is wrong, only that the connection has failed. So the log says it too.
"""

from __future__ import annotations

import logging

from ..runtime.log_throttle import ThrottledLog
from .response import encode_response, text_response

log = logging.getLogger(__name__)

TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS handshake."""
MAX_LOGGED_PEERS = 10
"""Maximum number of addresses that are logged in ten seconds, for each of the two mistakes."""
NO_TLS_HERE = "this port has no TLS: use http:// or ws://"
"""The reason for a peer that begins a TLS handshake."""
PLAIN_REFUSED = encode_response(text_response(400, "this port requires TLS: use https:// or wss://"), keep_alive=False)
"""The response to a request without TLS."""

_misplaced = ThrottledLog(log, logging.INFO, max_keys=MAX_LOGGED_PEERS)
_missing = ThrottledLog(log, logging.INFO, max_keys=MAX_LOGGED_PEERS)


def note_misplaced_tls(peer: str) -> None:
    """Log that a peer has begun a TLS handshake on a port without TLS."""
    _misplaced.log(
        peer, "a client at %s speaks TLS on a port without TLS: use ws:// or http://, or set option ssl", peer
    )


def note_missing_tls(peer: str) -> None:
    """Log that a peer does without TLS on a port that requires it."""
    _missing.log(peer, "a client at %s does not speak TLS on a port with TLS: use wss:// or https://", peer)


def forget_misplaced_tls() -> None:
    """Log the next mistake of each peer, whenever the last one was."""
    _misplaced.reset()
    _missing.reset()
