"""A connection to Redis that reconnects whenever it breaks."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod

from gevent.event import Event

from ...app.runtime.background import BackgroundLoop
from ...app.runtime.backoff import Backoff
from ...app.runtime.log_throttle import ThrottledLog
from ...app.runtime.running_clock import wait_for
from .connection import ConnectionLost, Dial, RedisConnection
from .settings import ServerAddress

log = logging.getLogger(__name__)

CHECK_INTERVAL = 2.0
"""Seconds without traffic after which a PING checks a connection."""
PING_TIMEOUT = 3.0
"""Maximum seconds until the reply to the PING."""
INITIAL_DELAY, MAX_DELAY = 0.02, 0.5
"""Seconds between two attempts to connect; see Backoff."""
JITTER = 0.5
"""The random share of a delay, so that not all nodes reconnect at the same moment."""


class ServerReturn:
    """Ends the retry delays of all links to one server when one of them has reconnected."""

    def __init__(self) -> None:
        self._pausing: set[Event] = set()

    def wait(self, timeout: float) -> None:
        """Wait at most `timeout` seconds until the server can be reached."""
        event = Event()
        self._pausing.add(event)
        try:
            event.wait(timeout)
        finally:
            self._pausing.discard(event)

    def announce(self) -> None:
        """Wake the links that wait, because the server can be reached."""
        for event in self._pausing:
            event.set()


class Link(BackgroundLoop):
    """One connection for one purpose, served by a greenlet. It can be started and stopped once.

    All links to the same server share `server_return`.
    """

    def __init__(self, name: str, dial: Dial, server_return: ServerReturn) -> None:
        super().__init__(name)
        self.unavailable_reason = f"{name}: not connected yet"
        """Why there is no connection; empty while connected, and during the first attempt to reconnect."""
        self._dial = dial
        self._server_return = server_return
        self._address: ServerAddress | None = None
        """The address of the last connection."""
        self._ready = Event()
        self._backoff = Backoff(INITIAL_DELAY, MAX_DELAY, jitter=JITTER)
        self._breaks = ThrottledLog(log)
        self.changed_at = time.time()
        """When the connection became usable or was lost, in seconds since 1970."""
        self.error = ""
        """Why the connection last failed; empty if it never did."""
        self.error_at = 0.0
        """When that was, in seconds since 1970."""
        self._connects = 0

    def start(self) -> None:
        """Start the greenlet that connects."""
        self.unavailable_reason = ""
        self.changed_at = time.time()
        super().start()

    def stop(self) -> None:
        """Close the connection; waiting calls fail. A second call does nothing."""
        self.unavailable_reason = f"{self._name}: the engine has stopped"
        super().stop()
        self._ready.clear()
        self._give_up(self.unavailable_reason)

    def wait_ready(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until the connection can be used. Returns whether it can."""
        return wait_for(self._ready, timeout)

    @property
    def is_ready(self) -> bool:
        """Whether the connection can be used."""
        return self._ready.is_set()

    @property
    def reconnects(self) -> int:
        """How often the connection has become usable again."""
        return max(self._connects - 1, 0)

    @abstractmethod
    def _serve(self, connection: RedisConnection) -> None:
        """Use the connection until it is lost. Must call `_note_ready` when it can be used. Raises ConnectionLost."""

    @abstractmethod
    def _give_up(self, reason: str) -> None:
        """Fail the calls that wait for the connection with `reason`, because reconnecting may take long."""

    def _note_ready(self) -> None:
        self._ready.set()
        self.changed_at = time.time()
        self._connects += 1

    def _note_error(self, reason: str) -> None:
        self.error, self.error_at = reason, time.time()

    def _step(self) -> None:
        try:
            self._serve_once()
            self._backoff.reset()
        except ConnectionLost as error:
            self._note_error(str(error))
            self._note_failure(str(error))
            self._server_return.wait(self._backoff.next_delay())
        except Exception:
            self._note_error("internal error")
            self._give_up(f"{self._name}: internal error")
            raise

    def _serve_once(self) -> None:
        """Connect and serve until the connection breaks. Raises ConnectionLost if it could never be used."""
        connection = self._dial()
        moved = self._address not in (None, connection.address)
        self._address = connection.address
        if self.unavailable_reason or moved:
            log.info("%s: connected to %s", self._name, connection.address)
            self.unavailable_reason = ""
            self._server_return.announce()
        try:
            self._serve(connection)
        except ConnectionLost as error:
            if not self._ready.is_set():
                raise
            self._note_error(str(error))
            # If Redis refuses writes, the connection breaks with each command, so the log is throttled.
            self._breaks.log(str(error), "%s: connection lost, reconnecting: %s", self._name, error)
        finally:
            if self._ready.is_set():
                self._ready.clear()
                self.changed_at = time.time()
            connection.close()

    def _note_failure(self, reason: str) -> None:
        unavailable = f"{self._name}: {reason}"
        if not self.unavailable_reason:
            log.error("%s; retrying until connected", unavailable)
        self.unavailable_reason = unavailable
        self._give_up(unavailable)
