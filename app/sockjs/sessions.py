"""The sessions of one endpoint, and the periodic sweep that sends heartbeats and ends sessions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

import gevent

from ..runtime.log_throttle import ThrottledLog, place_of
from ..runtime.running_clock import running_time
from ..runtime.timers import Timer, Timers
from .options import SockJSOptions
from .session import Receiver, Session

log = logging.getLogger(__name__)

SWEEPS = 5
"""Number of sweeps within the shortest delay, so that each action is at most a fifth too late."""
MAX_SWEEP_INTERVAL = 1.0
"""Seconds between two sweeps."""


class HeartbeatConnection(Protocol):
    """A connection that is its own session, such as a WebSocket."""

    last_write_at: float
    """Time of the last write to the client, a value of `running_time()`."""

    def send_heartbeat(self) -> None:
        """Send a heartbeat. Must not block."""


class Sessions:
    """Sessions over HTTP by ID, and connections that last as long as their session.

    `on_end` is called with the ID of each session over HTTP that is removed. It must not block.
    """

    def __init__(self, timers: Timers, options: Callable[[], SockJSOptions], on_end: Callable[[str], None]) -> None:
        self.connections: set[HeartbeatConnection] = set()
        self._timers = timers
        self._options = options
        self._on_end = on_end
        self._sessions: dict[str, Session] = {}
        self._timer: Timer | None = None
        self._failures = ThrottledLog(log)

    def __len__(self) -> int:
        return len(self._sessions) + len(self.connections)

    def find(self, key: str) -> Session | None:
        """Return the session with this ID; None if there is none."""
        return self._sessions.get(key)

    def add(self, key: str, session: Session) -> None:
        """Add a session, which is kept until it has been closed for the disconnect delay."""
        self._sessions[key] = session
        self.start_sweeping()

    def connect(self, connection: HeartbeatConnection) -> None:
        """Send heartbeats to a connection, until it is removed from `connections`."""
        self.connections.add(connection)
        self.start_sweeping()

    def start_sweeping(self) -> None:
        """Sweep periodically, as long as there are sessions or connections."""
        if self._timer is None:
            self._timer = self._timers.after(self._pause(), self._sweep)

    def _pause(self) -> float:
        options = self._options()
        delays = [options.disconnect_delay, options.heartbeat_delay or options.disconnect_delay]
        return min(MAX_SWEEP_INTERVAL, min(delays) / SWEEPS)

    def _sweep(self) -> None:
        self._timer = None
        options, now = self._options(), running_time()
        if options.heartbeat_delay > 0:
            for connection in list(self.connections):
                try:
                    if now - connection.last_write_at >= options.heartbeat_delay:
                        connection.send_heartbeat()
                except Exception as error:
                    self._log_failure(error)
        for key, session in list(self._sessions.items()):
            try:
                self._check_session(key, session, options, now)
            except Exception as error:
                self._log_failure(error)
        if self:
            self.start_sweeping()

    def _log_failure(self, error: Exception) -> None:
        """Log an unexpected exception for one session. The sweep continues with the next one."""
        self._failures.log(place_of(error), "internal error in the sweep of SockJS sessions", error=error)

    def _check_session(self, key: str, session: Session, options: SockJSOptions, now: float) -> None:
        if session.receiver is not None and session.close_frame_if_closed is None:
            if 0 < options.heartbeat_delay <= now - session.receiver.last_write_at:
                self._send_heartbeat(session, session.receiver)
        elif now - session.since >= options.disconnect_delay:
            del self._sessions[key]
            gevent.spawn(self._end, session)
            self._on_end(key)

    @staticmethod
    def _send_heartbeat(session: Session, receiver: Receiver) -> None:
        if receiver.has_unacknowledged_data():
            session.close_silent()
            receiver.abandon()
        else:
            receiver.send_heartbeat()

    def _end(self, session: Session) -> None:
        """End a session that no request reads, or whose close frame is not read."""
        if session.receiver is not None:
            session.receiver.abandon()
        session.interrupt()
        session.outbox.release()
