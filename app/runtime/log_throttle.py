"""Errors in the log that many clients meet, of an application's code or of an engine that is away: not one for each."""

from __future__ import annotations

import logging
import time

PAUSE = 10.0
"""Seconds between two that are alike."""


class Complaints:
    """Logs errors to `log`; those that are like one of the last seconds are counted only."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._next: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def add(self, what: str, detail: str = "", error: BaseException | None = None) -> None:
        """`what` failed; `detail` says how, and with `error` its traceback is logged too.

        Those are alike whose `what` and kind of error are: details may be different each time.
        """
        now = time.monotonic()
        alike = f"{what} {type(error).__name__}"
        if now < self._next.get(alike, 0):
            self._kept_back[alike] = self._kept_back.get(alike, 0) + 1
            return
        self._next[alike] = now + PAUSE
        more = self._kept_back.pop(alike, 0)
        since = f" ({more} more of these since the last)" if more else ""
        self._log.error("%s%s%s", what, f": {detail}" if detail else "", since, exc_info=error)
