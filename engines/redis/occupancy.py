"""Which channels have subscribers on any node, told once to one node as it changes.

Redis knows the truth: how many connections are subscribed to a channel's name. Beside it stands what was told, and
until when whoever tells it now has time for that. A script compares the two, so one node tells; when that node ends
before it is done, its time runs out and the next sweep has another node tell it again. A node that is killed leaves
its channels without subscribers, which a sweep finds too.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

import gevent
from gevent.event import Event
from gevent.pool import Pool

from ..base import EngineError, EngineHandler
from .commands import milliseconds
from .keys import Keys
from .pipeline import Pipeline
from .scripts import OCCUPANCY, SWEEP_OCCUPANCY

log = logging.getLogger(__name__)

TOLD_AT_ONCE = 100
"""Channels that are looked at side by side."""
MARGIN = 5.0
"""Seconds that whoever tells something gets beyond what that may take."""
SWEEP_INTERVAL = 3.0
"""Seconds between two sweeps, whichever nodes make them."""
SWEPT_TOGETHER = 500
"""Channels that one step of a sweep looks at, about."""
SWEEP_PAUSE = 0.01
"""Seconds between two steps, for others to use Redis."""
STOP_LIMIT = 1.0
"""Seconds for what is still being told when the engine stops."""


class Occupancy:
    """The channels of one shard; `longest` is how many seconds the handler may take for one."""

    def __init__(self, name: str, keys: Keys, pipeline: Pipeline, longest: float) -> None:
        self._name = name
        self._keys = keys
        self._pipeline = pipeline
        self._lease = milliseconds(longest + MARGIN)
        self._handler: EngineHandler | None = None
        self._waiting: deque[str] = deque()
        # The channels that wait or are looked at now, and whether they have changed since the look began.
        self._changed: dict[str, bool] = {}
        self._arrived = Event()
        self._pool = Pool(TOLD_AT_ONCE)
        self._greenlets: list[gevent.Greenlet[[], None]] = []

    def start(self, handler: EngineHandler) -> None:
        """Begin to tell."""
        self._handler = handler
        self._greenlets = [gevent.spawn(self._run), gevent.spawn(self._sweep_for_ever)]

    def stop(self) -> None:
        """Tell what is left within STOP_LIMIT; other nodes tell the rest."""
        with gevent.Timeout(STOP_LIMIT, False):  # type: ignore[arg-type]  # False: end the block silently
            while self._changed:
                gevent.sleep(0.01)
        gevent.killall(self._greenlets)
        self._pool.kill()
        self._handler = None

    @property
    def is_telling(self) -> bool:
        """Whether something is being told, or waits for it."""
        return bool(self._changed)

    def note(self, channel: str) -> None:
        """A channel may have changed. Does not block."""
        if channel in self._changed:
            self._changed[channel] = True
            return
        self._changed[channel] = False
        self._waiting.append(channel)
        self._arrived.set()

    def _run(self) -> None:
        while True:
            self._arrived.wait()
            while self._waiting:
                self._pool.spawn(self._look, self._waiting.popleft())
            self._arrived.clear()

    def _look(self, channel: str) -> None:
        """Tell what has changed of a channel, until nothing has."""
        finished = b""
        try:
            while True:
                self._changed[channel] = False
                is_occupied, lease = self._compare(channel, finished)
                finished = b""
                if is_occupied < 0:
                    if not self._changed[channel]:
                        return
                elif self._handler is None or not self._handler.handle_occupancy(channel, bool(is_occupied)):
                    return  # the lease runs out, and a sweep finds it
                else:
                    finished = lease
        except EngineError as error:
            log.debug("%s: occupancy of %r: %s", self._name, channel, error)  # a sweep comes back to it
        finally:
            self._changed.pop(channel, None)

    def _compare(self, channel: str, finished: bytes) -> tuple[int, bytes]:
        """What to tell of a channel, 1 or 0 or -1 for nothing, and the lease to finish when that is done."""
        keys = self._keys
        told, telling = keys.occupied, keys.telling
        name = keys.channel(channel)
        reply = self._pipeline.ask("EVALSHA", OCCUPANCY.sha, 2, told, telling, channel, name, self._lease, finished)
        return int(reply[0]), reply[1]

    # -- what nobody else tells

    def _sweep_for_ever(self) -> None:
        while True:
            gevent.sleep(SWEEP_INTERVAL)
            try:
                if self._pipeline.ask("SET", self._keys.sweeping, b"1", "NX", "PX", milliseconds(SWEEP_INTERVAL * 0.9)):
                    self._sweep()
            except EngineError as error:
                log.debug("%s: %s", self._name, error)

    def _sweep(self) -> None:
        cursor: Any = b"0"
        while True:
            cursor, *channels = self._pipeline.ask(
                "EVALSHA",
                SWEEP_OCCUPANCY.sha,
                2,
                self._keys.occupied,
                self._keys.telling,
                self._keys.channel(""),
                cursor,
                SWEPT_TOGETHER,
            )
            for channel in channels:
                self.note(channel.decode())
            if cursor == b"0":
                return
            gevent.sleep(SWEEP_PAUSE)
