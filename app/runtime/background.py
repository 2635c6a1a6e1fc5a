"""Objects that do their work in a greenlet of their own, from `start` to `stop`."""

from __future__ import annotations

from abc import ABC, abstractmethod

import gevent


class BackgroundLoop(ABC):
    """Runs the method `_run` in a greenlet. It runs once for each `start`, and is killed by `stop`."""

    def __init__(self) -> None:
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start the greenlet, which first runs when this one waits."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop the greenlet. Without one, this does nothing."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()

    @abstractmethod
    def _run(self) -> None:
        """Do the work until the greenlet is killed."""
