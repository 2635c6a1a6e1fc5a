"""A limit for waits that follow each other, such as those of a connection for its requests."""

from __future__ import annotations

from time import monotonic
from typing import Any

from gevent import getcurrent

from .running_clock import running_time


class WaitTooLong(BaseException):
    """The wait of this greenlet has taken too long."""


class WaitLimit:
    """Raises WaitTooLong in a greenlet that waits too long. Two waits cannot overlap.

    The timer of the event loop is not stopped when a wait ends, but started again if it expires too early for a later
    wait. So a wait takes 0.3 µs instead of 1.5.
    """

    __slots__ = ("_due", "_ends", "_greenlet", "_hub", "_timer")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._greenlet: Any = None
        """The greenlet that waits; None between two waits."""
        self._ends = 0.0
        """When the wait is too long, in running time."""
        self._due: float | None = None
        """When the timer expires, in monotonic time; None if it is not running."""
        self._timer: Any = None

    def begin(self, seconds: float) -> None:
        """Begin a wait of the current greenlet that may take `seconds` in which the process runs."""
        now = monotonic()
        self._greenlet = getcurrent()
        self._ends = running_time(now) + seconds
        due = self._due
        if due is None or now + seconds < due:
            self._start(now, seconds)

    def end(self) -> None:
        """End the wait that `begin` has begun."""
        self._greenlet = None

    def close(self) -> None:
        """Release the timer of the event loop."""
        if self._timer is not None:
            self._timer.close()
            self._timer = self._due = None

    def _start(self, now: float, seconds: float) -> None:
        if self._timer is not None:
            self._timer.close()
        self._timer = self._hub.loop.timer(max(seconds, 0))
        self._timer.start(self._expire)
        self._due = now + seconds

    def _expire(self) -> None:
        self._due = None
        if self._greenlet is None:
            return
        left = self._ends - running_time()
        if left > 0:
            self._start(monotonic(), left)
        else:
            self._greenlet.throw(WaitTooLong)
