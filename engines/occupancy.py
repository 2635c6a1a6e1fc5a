"""Reports which channels have subscribers, for the engine of a single process."""

from __future__ import annotations

from collections.abc import Collection

from gevent.event import Event
from gevent.pool import Group

from .base import OccupancyHandler

RETRY_INTERVAL = 5.0
"""Seconds until a report that the handler did not accept is retried."""
STOP_TIMEOUT = 1.0
"""Maximum seconds for the reports that are still pending when the engine stops."""


class LocalOccupancy:
    """Calls `handler` when a channel is added to `subscribed` or removed from it."""

    def __init__(self, subscribed: Collection[str], handler: OccupancyHandler) -> None:
        self._subscribed = subscribed
        self._handler = handler
        self._reported: set[str] = set()
        """The channels that were last reported as occupied."""
        self._pending: set[str] = set()
        """The channels with a greenlet that reports them."""
        self._paused = 0
        """The number of these greenlets that wait for RETRY_INTERVAL."""
        self._greenlets = Group()
        self._stopping = Event()
        self._is_stopped = False

    def stop(self) -> None:
        """Make the pending reports within STOP_TIMEOUT, including those that wait for a retry; drop the rest."""
        self._stopping.set()
        self._greenlets.join(STOP_TIMEOUT)
        self._greenlets.kill()
        self._is_stopped = True

    @property
    def has_pending_notifications(self) -> bool:
        """Whether the handler is being called or will be called immediately; not while a report waits for a retry."""
        return len(self._pending) > self._paused

    def note(self, channel: str) -> None:
        """Report `channel` if its occupancy has changed. Does not block."""
        if channel not in self._pending:
            self._pending.add(channel)
            self._greenlets.spawn(self._report, channel)

    def _report(self, channel: str) -> None:
        """Report the changes of a channel until there are no more."""
        try:
            while (is_occupied := channel in self._subscribed) != (channel in self._reported):
                if is_occupied:
                    self._reported.add(channel)
                else:
                    self._reported.discard(channel)
                self._deliver(channel, is_occupied)
        finally:  # the handler may end this greenlet; the next change is reported nevertheless
            self._pending.discard(channel)

    def _deliver(self, channel: str, is_occupied: bool) -> None:
        """Call the handler until it accepts the report."""
        while not self._is_stopped and not self._handler.handle_occupancy(channel, is_occupied):
            if self._stopping.is_set():
                return
            self._paused += 1
            try:
                self._stopping.wait(RETRY_INTERVAL)
            finally:
                self._paused -= 1
