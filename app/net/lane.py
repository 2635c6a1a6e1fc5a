"""A lane of the flusher: outboxes that are written in rounds, with a rest between two rounds.

During the rest, frames gather and then leave with one `send` for each connection. If there was no round recently, the
next one starts at once, so a single message is not delayed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from copy import copy
from itertools import islice
from typing import Any

import gevent

from .bulk_send import SendWaiting
from .flushable import Flushable
from .round_writer import write_all

SLICE = 0.005
"""Seconds that one lane may occupy the event loop before other work runs."""
SENDS_AT_ONCE = 128
"""Number of connections that are written between two checks of the clock, with the C module by one call."""
RATE_WINDOW = 0.1
"""Seconds over which the rate of frames is measured, at least."""


class Lane:
    """Outboxes that wait to be written.

    `rest` returns the seconds that the lane rests after a round, for the seconds that the round has taken. `ended` is
    called at the end of each round.
    """

    __slots__ = (
        "is_scheduled",
        "queued",
        "rate",
        "waiting",
        "_ended",
        "_measured_at",
        "_queued_before",
        "_rest",
        "_rested_at",
        "_round",
        "_round_took",
        "_rounds",
        "_send_waiting",
        "_timer",
        "_writes",
    )

    def __init__(
        self, rest: Callable[[float], float], ended: Callable[[], None], send_waiting: SendWaiting | None
    ) -> None:
        self.waiting: list[Flushable] = []
        """The outboxes of the next round, each of them once. The flusher adds to it."""
        self.queued = 0
        """Frames that the flusher has queued for outboxes of this lane, since the start."""
        self.is_scheduled = False
        """Whether a round runs or the next one is scheduled."""
        self.rate = 0.0
        """Frames that each connection gets per second, of those that had one waiting in the last measured window.

        Too high while frames are queued for full sockets, because rounds do not write to these.
        """
        self._rest = rest
        self._ended = ended
        self._send_waiting = send_waiting
        self._round: Iterator[Flushable] | None = None
        self._round_took = 0.0
        self._rested_at = 0.0
        self._timer: Any = None
        self._rounds = self._writes = self._queued_before = 0
        self._measured_at = time.monotonic()

    def pending(self) -> Iterator[Flushable]:
        """Iterate over the outboxes of the next round, and those that the running round has not written yet."""
        yield from self.waiting
        if self._round is not None:
            yield from copy(self._round)

    def schedule(self) -> None:
        """Start a round at the end of the rest, or at the end of this turn of the event loop if that is over."""
        wait = self._rested_at - time.monotonic()
        if wait <= 0:
            gevent.get_hub().loop.run_callback(self._write_slice)
        else:
            self._start_timer(wait)
        self.is_scheduled = True  # not before: without memory for it, the next frame must schedule the round

    def _start_timer(self, wait: float) -> None:
        self._timer = gevent.get_hub().loop.timer(wait)
        self._timer.start(self._write_slice)

    def _write_slice(self) -> None:
        """Write until the round ends or its time slice has passed. Runs in the event loop; never switches greenlets."""
        started = time.monotonic()
        if self._round is None:
            waiting, self.waiting = self.waiting, []
            self._rounds += 1
            self._writes += len(waiting)
            self._round = iter(waiting)
        is_complete = self._write_until(started + SLICE)
        ended = time.monotonic()
        self._round_took += ended - started
        if is_complete:
            self._end_round(ended)
        else:
            self.is_scheduled = False  # without memory for the timer, the next frame continues the round
            # With a timer, unlike with a callback, the event loop polls its sockets first.
            self._start_timer(0)
            self.is_scheduled = True

    def _write_until(self, deadline: float) -> bool:
        """Continue the round; returns False if the deadline comes before its end."""
        assert self._round is not None
        while True:
            outboxes = list(islice(self._round, SENDS_AT_ONCE))
            write_all(outboxes, self._send_waiting)
            if len(outboxes) < SENDS_AT_ONCE:
                self._round = None
                return True
            if time.monotonic() > deadline:
                return False

    def _end_round(self, now: float) -> None:
        if now - self._measured_at > RATE_WINDOW:
            self._measure(now)
        self.is_scheduled = False
        self._rested_at = now + self._rest(self._round_took)
        self._round_took = 0.0
        self._ended()
        if self.waiting:
            self.schedule()

    def _measure(self, now: float) -> None:
        """Estimate the rate from the frames that found another one waiting: on average, half of those that come."""
        gathered = (self.queued - self._queued_before) / self._writes - 1
        self.rate = 2 * max(gathered, 0.0) * self._rounds / (now - self._measured_at)
        self._rounds = self._writes = 0
        self._queued_before = self.queued
        self._measured_at = now
