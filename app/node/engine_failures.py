"""What a node does when its engine fails: a throttled line in the log, and an error for the caller."""

from __future__ import annotations

import logging

from ...engines.base import EngineError
from ..model.errors import INTERNAL_ERROR, Refused
from ..runtime.log_throttle import ThrottledLog

log = logging.getLogger(__name__)


class EngineFailures:
    """Logs failed calls of an engine, but not all of them: while it is down, the calls of all clients fail."""

    def __init__(self) -> None:
        self._throttled = ThrottledLog(log)

    def note(self, action: str, error: EngineError, channel: str = "") -> None:
        """Log that the engine could not carry out `action`."""
        detail = f"in {channel!r}: {error}" if channel else str(error)
        self._throttled.log(action, "cannot %s: %s", action, detail)

    def refusal(self, action: str, error: EngineError, channel: str = "") -> Refused:
        """Log it, and return the exception to raise: Refused with INTERNAL_ERROR."""
        self.note(action, error, channel)
        return Refused(INTERNAL_ERROR)
