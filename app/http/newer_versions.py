"""Client libraries for later versions of Centrifugo: how they are recognized, and what they are told.

The protocols of Centrifugo 2 and later are other protocols than that of v1. Without an answer that says so, such a
library connects again and again, and nobody learns why.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from ..runtime.log_throttle import ThrottledLog
from .head import HTTPError

log = logging.getLogger(__name__)

SUBPROTOCOLS = frozenset(("centrifuge-json", "centrifuge-protobuf"))
"""What these clients may name in Sec-WebSocket-Protocol."""
FOR_CLIENTS = "this server speaks the protocol of Centrifugo v1: use centrifuge-js 1.x"
"""What a client is told; short enough for a close frame."""


class NewerVersionsLog:
    """Says in the log, at most every ten seconds, that a library for a later version has asked."""

    def __init__(self) -> None:
        self._log = ThrottledLog(log, logging.WARNING)

    def note_client(self, sign: str) -> None:
        """A client was refused; `sign` says by what it was recognized."""
        self._log.log(
            "client",
            "a client speaks a protocol of Centrifugo 2 or later (%s), and was refused: %s, or another library "
            "that the page Clients and libraries in the documentation lists",
            sign,
            FOR_CLIENTS,
        )

    def reset(self) -> None:
        """Log the next one of each kind."""
        self._log.reset()


newer_versions = NewerVersionsLog()
"""The log of this process."""


def check_subprotocol(headers: Mapping[str, str]) -> None:
    """Raises HTTPError for a WebSocket handshake that offers a subprotocol of a later version.

    Header names are in lower case.
    """
    offered = headers.get("sec-websocket-protocol")
    if offered and not SUBPROTOCOLS.isdisjoint(name.strip() for name in offered.split(",")):
        newer_versions.note_client(f"subprotocol {offered[:100]!r}")
        raise HTTPError(400, f"the subprotocol {offered[:100]} is of Centrifugo 2 or later; {FOR_CLIENTS}")
