"""Objects that work in a greenlet of their own, from `start` to `stop`. An unexpected exception does not end that."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable

import gevent

from .backoff import Backoff
from .log_throttle import ThrottledLog, place_of

log = logging.getLogger(__name__)

INITIAL_DELAY, MAX_DELAY = 0.05, 5.0
"""Seconds until a step that raised an unexpected exception is repeated; see Backoff."""


class BackgroundLoop(ABC):
    """Repeats the method `_step` in a greenlet, from `start` to `stop`, and as long as there is work.

    If a step raises an exception, that is logged with `name`, throttled, and the next step follows after a delay.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._exceptions = ThrottledLog(log)

    def start(self) -> None:
        """Start the greenlet, which first runs when this one waits. While it runs, this does nothing."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._repeat)

    def stop(self) -> None:
        """Stop the greenlet. Without one, this does nothing."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    def _repeat(self) -> None:
        backoff = Backoff(INITIAL_DELAY, MAX_DELAY)
        while self._has_work():
            try:
                self._step()
                backoff.reset()
            except Exception as error:
                self._exceptions.log(place_of(error), "%s: internal error, retrying", self._name, error=error)
                gevent.sleep(backoff.next_delay())
        self._greenlet = None

    def _has_work(self) -> bool:
        """Return whether another step follows. If none does, the greenlet ends, and `start` starts a new one."""
        return True

    @property
    def name(self) -> str:
        """The name in the log, and in lists of greenlets."""
        return self._name

    @abstractmethod
    def _step(self) -> None:
        """Wait for some work, and do it. Work that must not be lost when this fails is kept for the next step."""


class PeriodicTask(BackgroundLoop):
    """Calls `action` every `interval()` seconds, which are counted from the end of the call before.

    The first call follows after the first interval, or immediately if `at_start` is true.
    """

    def __init__(
        self, name: str, interval: Callable[[], float], action: Callable[[], None], *, at_start: bool = False
    ) -> None:
        super().__init__(name)
        self._interval = interval
        self._action = action
        self._is_due = at_start

    def _step(self) -> None:
        if not self._is_due:
            gevent.sleep(self._interval())
        self._is_due = False
        self._action()
