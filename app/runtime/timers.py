"""Timers of connections, such as those for pings and expiry, all called by one greenlet.

A timer is a small object in a list, without a timer of the event loop. It may be up to `resolution` seconds late, which
is precise enough for expiry. Delays of pings are rough, so that the process wakes up once a second for many of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from random import random
from typing import TypeAlias

import gevent
from gevent.event import Event

from .background import BackgroundLoop
from .running_clock import running_time
from .yielding import iterate_yielding

log = logging.getLogger(__name__)

Callback: TypeAlias = Callable[[], float | None]
"""Returns the seconds after which it is to be called again, or None."""

MAX_WAIT = 600
"""Seconds after which a timer that is not due yet is looked at, and forgotten if it was cancelled.

Otherwise the timers of connections that have closed would stay until their tokens expire, which may take weeks.
"""


ROUGHNESS = 20
"""A rough delay ends at a multiple of the delay divided by this number, so it is wrong by half of that at most."""
MAX_ROUGHNESS = 1.0
"""Seconds between the times to which rough delays are rounded, at most."""


class RoughDelay(float):
    """Seconds that may become longer or shorter by 2.5 %, at most by half a second, to call many timers together."""

    __slots__ = ()


def first_delay(interval: float) -> float:
    """Return the first delay of what is repeated every `interval` seconds: a random part of it, at least half.

    So what begins at the same time, such as the pings of clients that connect together, is not repeated together.
    """
    return interval * (0.5 + random() / 2)


class Timer:
    """A callback that will be called. `cancel` may be called at any time, also after the call."""

    __slots__ = ("callback", "due")

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback
        self.due = 0.0
        """When to call it, if that is later than MAX_WAIT: it is looked at, and added again, before that time."""

    def cancel(self) -> None:
        """Cancel the call, and release the callback at once."""
        self.callback = None


class Timers(BackgroundLoop):
    """Calls callbacks after a delay, while it is started. Callbacks must not block. Timers may be added before.

    `resolution` is in seconds: timers that are due within the same interval are called together.
    `clock` returns the time in seconds. The default counts only the time in which the process runs, so that data that
    arrived while the process was stopped is read before a timer is due.
    """

    def __init__(self, resolution: float = 0.1, clock: Callable[[], float] = running_time) -> None:
        super().__init__("timers")
        self._resolution = resolution
        self._clock = clock
        self._ticks: list[int] = []
        self._buckets: dict[int, list[Timer]] = {}
        self._earlier = Event()

    def after(self, delay: float, callback: Callback) -> Timer:
        """Call `callback`, `delay` seconds from now or up to `resolution` later; never if that is infinite.

        A callback that returns a number of seconds is called again after that delay, if it has not been cancelled.
        Both delays may be rough.
        """
        timer = Timer(callback)
        self._schedule(timer, self._clock(), delay)
        return timer

    def _schedule(self, timer: Timer, now: float, delay: float) -> None:
        if delay > MAX_WAIT:
            timer.due = now + delay
            delay = MAX_WAIT
        tick = int((now + delay) / self._resolution) + 1
        if type(delay) is RoughDelay:
            step = int(min(delay / ROUGHNESS, MAX_ROUGHNESS) / self._resolution)
            if step > 1:
                tick = (tick + step // 2) // step * step
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._add_bucket(tick, [timer])
        else:  # nearly always, with many connections
            bucket.append(timer)

    def _add_bucket(self, tick: int, timers: list[Timer]) -> None:
        self._buckets[tick] = timers
        heappush(self._ticks, tick)
        if self._ticks[0] == tick:
            self._earlier.set()

    def _step(self) -> None:
        self._earlier.clear()
        wait = self._ticks[0] * self._resolution - self._clock() if self._ticks else None
        if wait is None or wait > 0:
            self._earlier.wait(wait)
        else:
            self._call_bucket(heappop(self._ticks))

    def _call_bucket(self, tick: int) -> None:
        timers = iter(self._buckets.pop(tick))
        try:
            self._call(timers)
        finally:
            left = list(timers)  # if this greenlet is stopped meanwhile
            if tick in self._buckets:
                self._buckets[tick].extend(left)
            elif left:
                self._add_bucket(tick, left)

    def _call(self, timers: Iterator[Timer]) -> None:
        now = self._clock()
        for timer in iterate_yielding(timers):
            callback = timer.callback
            if callback is None:
                continue
            if timer.due > now:
                self._schedule(timer, now, timer.due - now)
                continue
            try:
                delay = callback()
                if delay is None:
                    timer.callback = None
                elif timer.callback is not None:  # the call has not cancelled it
                    # Not from `now`: a peer has the whole delay to answer, also if callbacks before this one were slow.
                    self._schedule(timer, self._clock(), delay)
            except Exception:
                timer.callback = None
                log.exception("internal error in a timer callback")
        # Many buckets may be due: let other greenlets run before the next one.
        gevent.sleep(0)
