"""Handles failed calls of the engine: writes throttled log lines, and creates the errors for callers."""

from __future__ import annotations

import logging
from dataclasses import replace

from ...engines.base import EngineError
from ..model.errors import INTERNAL_ERROR, Refused
from ..runtime.log_throttle import ThrottledLog, kind_of

log = logging.getLogger(__name__)

MAX_LOGGED_CAUSES = 100
"""Maximum number of failures that are logged in ten seconds, if they differ in action, server or cause."""


class EngineFailures:
    """Logs failed calls of an engine, throttled, because while it is down the calls of all clients fail."""

    def __init__(self) -> None:
        self._throttled = ThrottledLog(log, max_keys=MAX_LOGGED_CAUSES)

    def note(self, action: str, error: EngineError, channel: str = "") -> None:
        """Log that the engine could not carry out `action`, such as `publish`."""
        detail = f"in {channel!r}: {error}" if channel else str(error)
        server, colon, cause = str(error).partition(": ")  # neither a server nor a cause hides the failures of others
        kind = f"{server} {kind_of(cause)}" if colon else kind_of(server)
        self._throttled.log(f"{action} {kind}", "cannot %s: %s", action, detail)

    def refusal(self, action: str, error: EngineError, channel: str = "") -> Refused:
        """Log a failure, and return the exception to raise: Refused with INTERNAL_ERROR, which has the cause."""
        self.note(action, error, channel)
        return Refused(replace(INTERNAL_ERROR, cause=str(error)))
