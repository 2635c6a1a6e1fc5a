"""Namespaces whose messages operators see for some time, although their option `watch` is off."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from .control import WatchNamespace

log = logging.getLogger(__name__)

MAX_WATCH_TIME = 600.0
"""Seconds for which a namespace is watched at most."""


class WatchedNamespaces:
    """The namespaces that are watched on this node. `later` calls a function once after some seconds.

    `on_change` is called when a namespace is added or its time limit is reached.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._later = later
        self._on_change = on_change
        self._clock = clock
        self._ends: dict[str, float] = {}

    @property
    def names(self) -> Collection[str]:
        """The namespaces that are watched; empty for the channels without one."""
        return self._ends.keys()

    def remaining(self) -> dict[str, int]:
        """Return how many more seconds each namespace is watched."""
        now = self._clock()
        return {name: max(0, round(end - now)) for name, end in self._ends.items()}

    def watch(self, wanted: WatchNamespace) -> None:
        """Start watching a namespace, or stop if the time is 0. Both are logged, because operators see messages."""
        channels = _channels_of(wanted.namespace)
        if wanted.seconds <= 0:
            if self._ends.pop(wanted.namespace, None) is not None:
                log.info("an operator has stopped watching messages of %s", channels)
                self._on_change()
            return
        seconds = min(wanted.seconds, MAX_WATCH_TIME)
        self._ends[wanted.namespace] = self._clock() + seconds
        self._later(seconds, lambda: self._end(wanted.namespace))
        log.info("an operator watches messages of %s for %d s, although option watch is off", channels, seconds)
        self._on_change()

    def _end(self, namespace: str) -> None:
        end = self._ends.get(namespace)
        if end is None:
            return
        if end > self._clock() + 0.5:
            return  # it has been prolonged, which has set another timer
        del self._ends[namespace]
        log.info("watching messages of %s ended: time limit reached", _channels_of(namespace))
        self._on_change()


def _channels_of(namespace: str) -> str:
    return f"namespace {namespace!r}" if namespace else "channels without a namespace"
