"""Which channels have subscribers on any node, told once to one node as it changes.

Redis knows the truth: how many connections are subscribed to a channel's name. Beside it stands what was told, and
until when whoever tells it now has time for that. A script compares the two, so one node tells; when that node ends
before it is done, its time runs out and the next sweep has another node tell it again. A node that is killed leaves
its channels without subscribers, which a sweep finds too. A server that was started again or took over may have lost
what was told, or know it as it was some time ago: then what is true is told once more, unless a node knows better.
What a node could not look at, because Redis was away or took no writes, it looks at again.
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

from ..base import EngineError, EngineHandler
from .commands import milliseconds
from .keys import Keys
from .pipeline import Pipeline
from .scripts import OCCUPANCY, SWEEP_OCCUPIED, SWEEP_TELLING, Script

log = logging.getLogger(__name__)

TOLD_AT_ONCE = 100
"""Channels that are looked at side by side."""
MARGIN = 5.0
"""Seconds that whoever tells something gets beyond what that may take."""
SWEEP_INTERVAL = 3.0
"""Seconds between two sweeps, whichever nodes make them, and between two looks of a node at what it could not see."""
GRACE = 7.0
"""Seconds that a channel has to be empty before a sweep has that told: a node whose connection broke may take 6 to find
that out and to have made the next, and its clients are there all the time."""
SWEPT_TOGETHER = 500
"""Channels that one step of a sweep looks at, about."""
SWEEP_PAUSE = 0.01
"""Seconds between two steps, for others to use Redis."""
STOP_LIMIT = 1.0
"""Seconds for what is still being told when the engine stops."""


class Occupancy:
    """The channels of one shard; `longest` is how many seconds the handler may take for one.

    `subscribed` has the names in pub/sub of those that this node has subscribers of: they are there, also while its
    connection is broken and Redis does not know of them.
    """

    def __init__(self, name: str, keys: Keys, pipeline: Pipeline, subscribed: Container[bytes], longest: float) -> None:
        self._name = name
        self._keys = keys
        self._pipeline = pipeline
        self._subscribed = subscribed
        self._lease = milliseconds(longest + MARGIN)
        self._handler: EngineHandler | None = None
        self._waiting: deque[str] = deque()
        # The channels that wait or are looked at now, and whether they have changed since the look began.
        self._changed: dict[str, bool] = {}
        # Those that could not be looked at, and the lease of what was told of them last. As many as this node was
        # subscribed to at most, since nobody can subscribe while Redis is away.
        self._failed: dict[str, bytes] = {}
        self._last_failure = 0.0
        # Those that this node is subscribed to, and in which epoch it last looked.
        self._epochs: dict[str, bytes] = {}
        self._epoch = b""
        self._arrived = Event()
        self._pool = Pool(TOLD_AT_ONCE)
        self._greenlets: list[gevent.Greenlet[[], None]] = []

    def start(self, handler: EngineHandler) -> None:
        """Begin to tell."""
        self._handler = handler
        self._greenlets = [gevent.spawn(self._run), gevent.spawn(self._sweep_for_ever)]

    def stop(self) -> None:
        """Tell what is left within STOP_LIMIT; other nodes tell the rest."""
        self._look_again()
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
        finished = self._failed.pop(channel, b"")
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
            log.debug("%s: occupancy of %r: %s", self._name, channel, error)
            self._failed[channel] = finished
            self._last_failure = time.monotonic()
        finally:
            self._changed.pop(channel, None)

    def _compare(self, channel: str, finished: bytes) -> tuple[int, bytes]:
        """What to tell of a channel, 1 or 0 or -1 for nothing, and the lease to finish when that is done."""
        keys = self._keys
        is_occupied, lease, epoch = self._pipeline.ask(
            "EVALSHA",
            OCCUPANCY.sha,
            5,
            keys.occupied,
            keys.telling,
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

    # -- what nobody else tells

    def _sweep_for_ever(self) -> None:
        while True:
            gevent.sleep(SWEEP_INTERVAL)
            try:
                is_first = self._pipeline.ask(
                    "SET", self._keys.sweeping, b"1", "NX", "PX", milliseconds(SWEEP_INTERVAL * 0.9)
                )
                # Redis takes writes, or this would have been refused.
                self._look_again()
                if is_first:
                    self._sweep()
            except EngineError as error:
                log.debug("%s: %s", self._name, error)
                self._last_failure = time.monotonic()

    def _look_again(self) -> None:
        """Look at what could not be looked at; at what this node has left once other nodes had time to return."""
        others_are_back = time.monotonic() - self._last_failure >= GRACE
        for channel in self._failed:
            if others_are_back or self._is_subscribed(channel):
                self.note(channel)

    def _sweep(self) -> None:
        keys = self._keys
        self._go_through(SWEEP_TELLING, [keys.telling])
        for occupied in (keys.occupied, keys.occupied_before):
            self._go_through(SWEEP_OCCUPIED, [occupied, keys.empty], keys.channel(""), milliseconds(GRACE))

    def _go_through(self, script: Script, names: list[str], *arguments: bytes | int) -> None:
        """Look at all that a script finds, step by step."""
        cursor: Any = b"0"
        while True:
            cursor, *channels = self._pipeline.ask(
                "EVALSHA", script.sha, len(names), *names, cursor, SWEPT_TOGETHER, *arguments
            )
            for channel in channels:
                self.note(channel.decode())
            if cursor == b"0":
                return
            gevent.sleep(SWEEP_PAUSE)
