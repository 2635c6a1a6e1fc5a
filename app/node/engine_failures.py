"""What a node does about an engine that fails: one line in the log now and then, and a refusal for the caller."""

from __future__ import annotations

import logging

from ...engines.base import EngineError
from ..model.errors import INTERNAL_ERROR, Refused
from ..runtime.log_throttle import Complaints

log = logging.getLogger(__name__)


class EngineFailures:
    """Logs failed calls of an engine, not once for each: an engine that is away fails for every client and request."""

    def __init__(self) -> None:
        self._complaints = Complaints(log)

    def note(self, action: str, error: EngineError, channel: str = "") -> None:
        """Log that the engine could not carry out `action`."""
        self._complaints.add(f"cannot {action}", f"in {channel!r}: {error}" if channel else str(error))

    def refusal(self, action: str, error: EngineError, channel: str = "") -> Refused:
        """The same, and the exception to raise: Refused with INTERNAL_ERROR."""
        self.note(action, error, channel)
        return Refused(INTERNAL_ERROR)
