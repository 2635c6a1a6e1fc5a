"""Reports which channels of a shard have subscribers on any node; one node makes each report.

Redis knows how many connections are subscribed to the pub/sub channel of a channel. It also stores the last report of
each channel, and a lease for the node that reports a change now. A script compares both, so only one node reports. If
that node ends before it has finished, the lease expires, and the next sweep lets another node report. A sweep also
finds the channels of a node that was killed. A server that has restarted, or a replica that was promoted, may have lost
the last reports or have old ones: then the current state is reported again, unless a node was subscribed throughout. A
comparison that fails, because Redis is unavailable or refuses writes, is repeated.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Container
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from ...app.runtime.background import BackgroundLoop, PeriodicTask
from ..base import EngineError, OccupancyHandler
from ..occupancy import STOP_TIMEOUT
from .codec import SkipLog, decode_names
from .commands import milliseconds
from .keys import Keys
from .pipeline import Pipeline
from .scripts import OCCUPANCY, SWEEP_OCCUPIED, SWEEP_REPORTING, Script

log = logging.getLogger(__name__)

CONCURRENT_COMPARISONS = 100
"""Channels that are compared at the same time."""
LEASE_MARGIN = 5.0
"""Seconds that a lease lasts longer than the timeout of the handler."""
SWEEP_INTERVAL = 3.0
"""Seconds between two sweeps of all nodes together, and until a node repeats comparisons that failed."""
MIN_EMPTY_TIME = 7.0
"""Seconds that a channel must be empty before a sweep reports it. A node whose connection broke may need 6 s to notice
that and to reconnect, and its clients stay subscribed meanwhile."""
SWEEP_STEP = 500
"""Approximate number of channels in one step of a sweep."""
SWEEP_STEP_DELAY = 0.01
"""Seconds between two steps of a sweep, in which other commands can use Redis."""


class ShardOccupancy(BackgroundLoop):
    """The channels of one shard; `handler` may take up to `longest` seconds for a call.

    `subscribed` has the pub/sub channels that this node is subscribed to, also while its connection is broken and Redis
    does not know about them.
    """

    def __init__(
        self,
        name: str,
        keys: Keys,
        pipeline: Pipeline,
        subscribed: Container[bytes],
        handler: OccupancyHandler,
        longest: float,
    ) -> None:
        super().__init__(f"{name}: occupancy")
        self._keys = keys
        self._pipeline = pipeline
        self._subscribed = subscribed
        self._handler = handler
        self._lease = milliseconds(longest + LEASE_MARGIN)
        self._waiting: deque[str] = deque()
        # The channels that wait or are being compared, and whether they have changed since the comparison began.
        self._changed: dict[str, bool] = {}
        # The channels whose comparison failed, and the lease of their last report. Their number is limited,
        # because clients cannot subscribe while Redis is unavailable.
        self._failed: dict[str, bytes] = {}
        self._last_failure = 0.0
        self._skipped = SkipLog()
        # The channels that this node is subscribed to, and the epoch of their last comparison.
        self._epochs: dict[str, bytes] = {}
        self._epoch = b""
        self._arrived = Event()
        self._pool = Pool(CONCURRENT_COMPARISONS)
        self._sweeper = PeriodicTask(f"{name}: occupancy sweep", lambda: SWEEP_INTERVAL, self._try_to_sweep)

    def start(self) -> None:
        """Start the greenlets that report."""
        super().start()
        self._sweeper.start()

    def stop(self) -> None:
        """Make the pending reports within STOP_TIMEOUT. Other nodes make the rest."""
        self._repeat_failed()
        with gevent.Timeout(STOP_TIMEOUT, False):  # type: ignore[arg-type]  # False: end the block silently
            while self._changed:
                gevent.sleep(0.01)
        self._sweeper.stop()
        super().stop()
        self._pool.kill()

    @property
    def has_pending_notifications(self) -> bool:
        """Whether the handler is being called, or channels wait to be compared."""
        return bool(self._changed)

    def note(self, channel: str) -> None:
        """Compare `channel` soon, and report its occupancy if it has changed. Does not block."""
        if channel in self._changed:
            self._changed[channel] = True
            return
        self._changed[channel] = False
        self._waiting.append(channel)
        self._arrived.set()

    def _step(self) -> None:
        self._arrived.wait()
        while self._waiting:
            self._pool.spawn(self._report, self._waiting.popleft())
        self._arrived.clear()

    def _report(self, channel: str) -> None:
        """Report the changes of a channel until there are no more."""
        finished = self._failed.pop(channel, b"")
        try:
            while True:
                self._changed[channel] = False
                asked_at = time.monotonic()
                is_occupied, lease = self._compare(channel, finished)
                finished = b""
                if is_occupied < 0:
                    if not self._changed[channel]:
                        return
                elif time.monotonic() - asked_at > LEASE_MARGIN:
                    return  # this process was stopped meanwhile, and the state may have changed; a sweep finds it
                elif not self._handler.handle_occupancy(channel, bool(is_occupied)):
                    return  # the lease ends, and a sweep finds it
                else:
                    finished = lease
        except EngineError as error:
            log.debug("%s: cannot compare channel %r: %s", self._name, channel, error)
            self._failed[channel] = finished
            self._last_failure = time.monotonic()
        finally:
            self._changed.pop(channel, None)

    def _compare(self, channel: str, finished: bytes) -> tuple[int, bytes]:
        """Return the state to report (1 occupied, 0 vacated, -1 no change), and the lease to end afterwards."""
        keys = self._keys
        is_occupied, lease, epoch = self._pipeline.ask(
            "EVALSHA",
            OCCUPANCY.sha,
            5,
            keys.occupied,
            keys.reporting,
            keys.empty,
            keys.epoch,
            keys.occupied_before,
            channel,
            keys.channel(channel),
            int(self._is_subscribed(channel)),
            self._lease,
            finished,
            self._epochs.get(channel, b""),
        )
        self._note_epoch(channel, epoch)
        return int(is_occupied), lease

    def _is_subscribed(self, channel: str) -> bool:
        return self._keys.channel(channel) in self._subscribed

    def _note_epoch(self, channel: str, epoch: bytes) -> None:
        if self._is_subscribed(channel):
            if epoch != self._epoch:
                self._epoch = epoch
            self._epochs[channel] = self._epoch  # one object for all of them
        else:
            self._epochs.pop(channel, None)

    # -- changes that no node has noticed

    def _try_to_sweep(self) -> None:
        try:
            is_first = self._pipeline.ask(
                "SET", self._keys.sweeping, b"1", "NX", "PX", milliseconds(SWEEP_INTERVAL * 0.9)
            )
            # Redis has accepted a write, so comparisons can succeed again.
            self._repeat_failed()
            if is_first:
                self._sweep()
        except EngineError as error:
            log.debug("%s: sweep failed: %s", self._name, error)
            self._last_failure = time.monotonic()

    def _repeat_failed(self) -> None:
        """Repeat failed comparisons. Channels without subscribers here wait until other nodes have reconnected."""
        others_are_back = time.monotonic() - self._last_failure >= MIN_EMPTY_TIME
        for channel in self._failed:
            if others_are_back or self._is_subscribed(channel):
                self.note(channel)

    def _sweep(self) -> None:
        keys = self._keys
        self._compare_channels(SWEEP_REPORTING, [keys.reporting])
        for occupied in (keys.occupied, keys.occupied_before):
            self._compare_channels(
                SWEEP_OCCUPIED, [occupied, keys.empty], keys.channel(""), milliseconds(MIN_EMPTY_TIME)
            )

    def _compare_channels(self, script: Script, names: list[str], *arguments: bytes | int) -> None:
        """Compare all channels that a script finds, step by step."""
        cursor: Any = b"0"
        while True:
            cursor, *channels = self._pipeline.ask(
                "EVALSHA", script.sha, len(names), *names, cursor, SWEEP_STEP, *arguments
            )
            for channel in decode_names(channels, "the list of occupied channels", self._skipped):
                self.note(channel)
            if cursor == b"0":
                return
            gevent.sleep(SWEEP_STEP_DELAY)
