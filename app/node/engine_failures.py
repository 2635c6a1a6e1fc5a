"""Handles failed calls of the engine: writes throttled log lines, and creates the errors for callers."""

from __future__ import annotations

import logging

from ...engines.base import EngineError
from ..model.errors import INTERNAL_ERROR, Refused
from ..runtime.log_throttle import ThrottledLog

log = logging.getLogger(__name__)


class EngineFailures:
    """Logs failed calls of an engine, throttled, because while it is down the calls of all clients fail."""

    def __init__(self) -> None:
        self._throttled = ThrottledLog(log)

    def note(self, action: str, error: EngineError, channel: str = "") -> None:
        """Log that the engine could not carry out `action`, such as `publish`."""
        detail = f"in {channel!r}: {error}" if channel else str(error)
        self._throttled.log(action, "cannot %s: %s", action, detail)

    def refusal(self, action: str, error: EngineError, channel: str = "") -> Refused:
        """Log a failure, and return the exception to raise: Refused with INTERNAL_ERROR."""
        self.note(action, error, channel)
        return Refused(INTERNAL_ERROR)
