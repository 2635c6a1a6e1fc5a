"""Timers of connections, such as those for pings and expiry, all called by one greenlet.

A timer is a small object in a list, without a timer of the event loop. It may be up to `resolution` seconds late, which
is precise enough for pings and expiry.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from heapq import heappop, heappush

import gevent
from gevent.event import Event

from .background import BackgroundLoop
from .running_clock import running_time

log = logging.getLogger(__name__)

MAX_WAIT = 600
"""Seconds after which a timer that is not due yet is looked at, and forgotten if it was cancelled.

Otherwise the timers of connections that have closed would stay until their tokens expire, which may take weeks.
"""


class Timer:
    """A callback that will be called once. `cancel` may be called at any time, also after the call."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Cancel the call, and release the callback at once."""
        self.callback = None


class _LateTimer(Timer):
    """A timer that is due later than MAX_WAIT: it is checked, and added again, before it is due."""

    __slots__ = ("due",)

    def __init__(self, callback: Callable[[], None], due: float) -> None:
        super().__init__(callback)
        self.due = due


class Timers(BackgroundLoop):
    """Calls callbacks after a delay, while it is started. Callbacks must not block. Timers may be added before.

    `resolution` is in seconds: timers that are due within the same interval are called together.
    `clock` returns the time in seconds. The default counts only the time in which the process runs, so that data that
    arrived while the process was stopped is read before a timer is due.
    """

    def __init__(self, resolution: float = 0.1, clock: Callable[[], float] = running_time) -> None:
        super().__init__()
        self._resolution = resolution
        self._clock = clock
        self._ticks: list[int] = []
        self._buckets: dict[int, list[Timer]] = {}
        self._earlier = Event()

    def after(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, `delay` seconds from now or up to `resolution` later; never if that is infinite."""
        now = self._clock()
        if delay > MAX_WAIT:
            timer: Timer = _LateTimer(callback, now + delay)
            delay = MAX_WAIT
        else:
            timer = Timer(callback)
        bucket = self._buckets.get(int((now + delay) / self._resolution) + 1)
        if bucket is None:
            self._add(timer, now + delay)
        else:  # nearly always, with many connections
            bucket.append(timer)
        return timer

    def _add(self, timer: Timer, when: float) -> None:
        tick = int(when / self._resolution) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            bucket = self._buckets[tick] = []
            heappush(self._ticks, tick)
            if self._ticks[0] == tick:
                self._earlier.set()
        bucket.append(timer)

    def _run(self) -> None:
        while True:
            self._earlier.clear()
            wait = self._ticks[0] * self._resolution - self._clock() if self._ticks else None
            if wait is None or wait > 0:
                self._earlier.wait(wait)
            else:
                self._call(self._buckets.pop(heappop(self._ticks)))

    def _call(self, bucket: list[Timer]) -> None:
        for timer in bucket:
            callback = timer.callback
            if callback is None:
                continue
            if type(timer) is _LateTimer and timer.due > (now := self._clock()):
                self._add(timer, min(timer.due, now + MAX_WAIT))
                continue
            timer.callback = None
            try:
                callback()
            except Exception:
                log.exception("internal error in a timer callback")
        # Many timers in one bucket may take long: let other greenlets run before the next bucket.
        gevent.sleep(0)
