"""Writes the outboxes of all connections of a process, in rounds.

`Flusher.fan_out` appends a frame to the outboxes of all its receivers and writes nothing yet. A round then goes through
the outboxes that are not empty and writes all frames of a connection with one `send`, on the raw non-blocking socket
and within a callback of the event loop.

The system call is the main cost (sending one frame of 100 bytes takes about 6 us, twenty joined frames about 7). So
under load the flusher rests between two rounds, and frames gather: the longer the last round took, the longer the rest.
If there was no round recently, the next one starts at once, so a single message is not delayed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, Protocol

import gevent
from gevent.event import Event

from ..runtime.cpu_meter import CPUMeter

log = logging.getLogger(__name__)

SLICE = 0.005
"""Seconds that one lane may occupy the event loop before other work runs."""
CLOCK_CHECK_INTERVAL = 64
"""Number of writes between two checks of the clock."""
FEW = 64
"""Number of connections up to which a message does not wait for the current round of other messages."""
REST_FACTOR = 4
"""A rest takes at most this many times as long as the round before it: after a few writes there is little to gain by
resting, and a client that waits for each reply would wait for the rest too (5.7 ms each time, instead of 0.2)."""
SPARE_SHARE, BUSY_SHARE = 0.65, 0.9
"""CPU share below which there is idle CPU time, and CPU share above which the process counts as busy."""
CALM_REST = 0.25
"""The part of the longest rest that is enough while there is CPU to spare. With 1000 subscribers and 50 messages a
second, a rest of 5 ms delays nothing and one of 20 ms quadruples the median latency; with 100 channels and as many
messages as the server takes, one of 20 ms lets it take 1.7 times as many."""


class Flushable(Protocol):
    """The interface of an outbox that the flusher uses."""

    frames: list[bytes]
    """The waiting frames. The outbox is registered with the flusher if and only if there are any."""
    size: int
    """The number of bytes that wait."""
    limit: int
    """The maximum number of bytes that may wait."""

    def overflow(self) -> None:
        """Called when more bytes wait than `limit`. Must not block."""

    def write(self, data: bytes) -> None:
        """Write `data`, which contains all waiting frames. Must not block."""

    def fail(self, reason: str) -> None:
        """Called when `write` has raised an exception."""


class Lane:
    """Outboxes that wait to be written: those of the current round, and those of the next."""

    __slots__ = ("waiting", "_round")

    def __init__(self) -> None:
        self.waiting: list[Flushable] = []
        """The outboxes of the next round, each of them once. The flusher adds to it."""
        self._round: Iterator[Flushable] | None = None

    def begin(self) -> None:
        """Begin a round with all outboxes that wait, unless the last round is not finished."""
        if self._round is None and self.waiting:
            waiting, self.waiting = self.waiting, []
            self._round = iter(waiting)

    def write(self, deadline: float) -> bool:
        """Continue the round; returns False if the deadline comes before its end. Never switches greenlets."""
        if self._round is None:
            return True
        # Subscribers of one channel mostly wait for the same frames: these are joined once and sent to all. Comparing
        # the lists is cheap, because Python compares the identity of their items before it compares bytes.
        last_frames: list[bytes] = []
        data = b""
        for done, outbox in enumerate(self._round, 1):
            frames = outbox.frames
            if frames != last_frames:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                last_frames = frames
            try:
                outbox.write(data)
            except Exception:  # a bug: it must end this connection, and not the round of all others
                log.exception("internal error while writing, closing connection")
                outbox.fail("internal server error")
            if done % CLOCK_CHECK_INTERVAL == 0 and time.monotonic() > deadline:
                return False
        self._round = None
        return True


class Flusher:
    """Writes all outboxes of one process.

    `rest` is the longest time in seconds between two rounds under load: a longer one makes better use of each system
    call, a shorter one delays messages less, and 0 means no rest. A rest is at most `rest_factor` times as long as the
    round before it.

    A round writes to every connection that has frames, in slices, between which the event loop does other work. Frames
    that come meanwhile wait for the next round: if they were added to this one, it might never end, and there would be
    no rest (480,000 deliveries a second to 1000 subscribers instead of 1,100,000). Only messages for few connections
    have a lane of their own, which every slice writes, so that they do not wait for the 10,000 subscribers of another
    channel.
    """

    def __init__(
        self,
        rest: float = 0.02,
        rest_factor: float = REST_FACTOR,
        cpu_share: Callable[[], float] | None = None,
    ) -> None:
        self.rest = rest
        self._cpu_share = cpu_share or CPUMeter().share
        self._rest_factor = rest_factor
        self._few = Lane()
        self._many = Lane()
        self._scheduled = False
        self._in_round = False
        self._rested_at = 0.0
        self._round_took = 0.0
        self._timer: Any = None
        self._round_done: Event | None = None
        self.frames_queued = 0
        self.frames_sent = 0
        """Frames that outboxes have sent which count here (Queue.counts)."""
        self.bytes_sent = 0

    def fan_out(self, outboxes: Collection[Flushable], frame: bytes) -> None:
        """Queue one frame for many connections. This is the hot loop: it appends and counts, nothing else."""
        size = len(frame)
        count = len(outboxes)
        waiting = self._few.waiting if count <= FEW else self._many.waiting
        for outbox in outboxes:
            frames = outbox.frames
            if not frames:
                waiting.append(outbox)
            frames.append(frame)
            queued = outbox.size = outbox.size + size
            if queued > outbox.limit:
                outbox.overflow()
        self.frames_queued += count
        if waiting and not self._scheduled:
            self._schedule()

    def wait_round(self, timeout: float) -> None:
        """Block until the end of the next round, at most `timeout` seconds."""
        if self._round_done is None:
            self._round_done = Event()
        self._round_done.wait(timeout)

    def _schedule(self) -> None:
        self._scheduled = True
        loop = gevent.get_hub().loop
        wait = self._rested_at - time.monotonic()
        if wait <= 0:
            loop.run_callback(self._write_slice)  # at the end of this turn of the event loop
        else:
            self._start_timer(wait)

    def _start_timer(self, wait: float) -> None:
        self._timer = gevent.get_hub().loop.timer(wait)
        self._timer.start(self._write_slice)

    def _write_slice(self) -> None:
        """Write until the round ends or its slice of time is over. Runs in the event loop; never switches greenlets."""
        started = time.monotonic()
        self._few.begin()
        if not self._in_round:
            self._in_round = True
            self._many.begin()
        done = self._few.write(started + SLICE)
        done = self._many.write(time.monotonic() + SLICE) and done
        ended = time.monotonic()
        self._round_took += ended - started
        if done:
            self._end_round(ended)
        else:
            # With a timer, unlike with a callback, the event loop polls its sockets first.
            self._start_timer(0)

    def _longest_rest(self) -> float:
        """`rest` if the process is busy, and only a part of it while there is CPU to spare."""
        need = (self._cpu_share() - SPARE_SHARE) / (BUSY_SHARE - SPARE_SHARE)
        return self.rest * (CALM_REST + (1 - CALM_REST) * min(max(need, 0), 1))

    def _end_round(self, now: float) -> None:
        self._in_round = self._scheduled = False
        self._rested_at = now + min(self._longest_rest(), self._rest_factor * self._round_took)
        self._round_took = 0.0
        if self._few.waiting or self._many.waiting:
            self._schedule()
        if self._round_done is not None:
            self._round_done.set()
            self._round_done = None
