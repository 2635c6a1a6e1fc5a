"""A clock that counts only the time in which this process runs, and time limits that are measured with it.

A process pauses while it is stopped (by SIGSTOP, a debugger, or a suspended machine) or while a computation blocks its
event loop. Data that arrives during a pause waits in the sockets, and nothing is sent. After the pause, all timers of
the event loop are due at once. A timeout on a usual clock would then close connections whose peers have answered in
time. This clock does not count pauses, so waiting data is read before a timeout is reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import gevent
from gevent.event import AsyncResult, Event

TICK = 0.25
"""Seconds between two ticks of the clock."""
MIN_STANDSTILL = 0.5
"""Seconds by which a tick must be late to count as a pause of the process."""


class RunningClock:
    """Seconds in which the event loop of the calling thread has run. `clock` is a monotonic clock in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paused = 0.0
        """Seconds in which the process has paused, without a pause that is not noticed yet."""
        self._looked_at = clock()
        self._hub: Any = None
        self._timer: Any = None

    def __call__(self, now: float | None = None) -> float:
        """Return the current time. Only differences of two times have a meaning. Takes less than 1 µs.

        `now` is the current time of the monotonic clock, if the caller has asked for it already.
        """
        hub = gevent.get_hub()
        if hub is not self._hub:
            self._tick_in(hub)
        if now is None:
            now = self._clock()
        late = now - self._looked_at - TICK
        return now - self._paused - (late if late > MIN_STANDSTILL else 0.0)

    def _tick_in(self, hub: Any) -> None:
        """Start the timer of an event loop that updates the clock. It does not prevent the process from exiting."""
        if self._timer is not None:
            self._timer.close()
        self._hub = hub
        self._looked_at = self._clock()
        self._timer = hub.loop.timer(TICK, TICK, ref=False)
        self._timer.start(self.tick)

    def tick(self) -> None:
        """Update the clock. The event loop calls this every TICK, or late after a pause."""
        now = self._clock()
        late = now - self._looked_at - TICK
        if late > MIN_STANDSTILL:
            self._paused += late
        self._looked_at = now


running_time = RunningClock()
"""The clock of this process."""


def wait_for(awaited: Event | AsyncResult[Any], seconds: float) -> bool:
    """Wait until `awaited` is ready, for at most `seconds` in which the process runs. Returns whether it is ready."""
    ends = running_time() + seconds
    while not awaited.ready() and (left := ends - running_time()) > 0:
        awaited.wait(left)
    return awaited.ready()


class TimeLimit:
    """Raises `error` inside a `with` block that takes longer than `seconds` in which the process runs."""

    def __init__(self, seconds: float, error: BaseException) -> None:
        self._seconds = seconds
        self._error = error

    def __enter__(self) -> TimeLimit:
        self._ends = running_time() + self._seconds
        self._greenlet = gevent.getcurrent()
        self._start(self._seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.close()

    def _start(self, seconds: float) -> None:
        self._timer: Any = gevent.get_hub().loop.timer(max(seconds, 0))
        self._timer.start(self._expire)

    def _expire(self) -> None:
        left = self._ends - running_time()
        if left > 0:
            self._timer.close()
            self._start(left)
        else:
            self._greenlet.throw(self._error)
