"""A connection that is opened again whenever it breaks: the one shape of every endless loop of this engine."""

from __future__ import annotations

import logging
import random
from abc import ABC, abstractmethod

import gevent
from gevent.event import Event

from .connection import ConnectionLost, Dial, RedisConnection
from .settings import Endpoint

log = logging.getLogger(__name__)

CHECK_INTERVAL = 2.0
"""Seconds of silence after which a connection is asked whether it still works."""
LONGEST_CHECK = 3.0
"""Seconds that the answer to that may take, at most."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two attempts to connect: doubled each time."""
DEFECT_PAUSE = 1.0
"""Seconds until the next attempt after an error that is ours."""


class Link(ABC):
    """One connection for one purpose, served by a greenlet. `start` and `stop` it once."""

    def __init__(self, name: str, dial: Dial) -> None:
        self.away = f"{name}: not connected yet"
        """Why there is no hope of a connection now; empty while there is one, or the first attempt at the next."""
        self._name = name
        self._dial = dial
        self.companion: Link | None = None
        """The other link to the same server, which need not pause any longer when this one finds the server back."""
        self._endpoint: Endpoint | None = None
        """Where the last connection went."""
        self._ready = Event()
        self._hurry = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to connect."""
        self.away = ""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Close the connection; whoever waits for something is told. A second call does nothing."""
        self.away = f"{self._name}: the engine has stopped"
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()
        self._ready.clear()
        self._give_up(self.away)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until it works, at most `timeout` seconds; whether it does."""
        return bool(self._ready.wait(timeout))

    @property
    def is_ready(self) -> bool:
        """Whether it works."""
        return self._ready.is_set()

    @abstractmethod
    def _serve(self, connection: RedisConnection) -> None:
        """Use the connection until it breaks, which raises ConnectionLost. Call `_note_ready` once it works."""

    @abstractmethod
    def _give_up(self, reason: str) -> None:
        """There is no connection, and whoever waits should not wait for the next one."""

    def _note_ready(self) -> None:
        self._ready.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                self._serve_once()
                pause = FIRST_PAUSE
            except ConnectionLost as error:
                self._note_failure(str(error))
                self._hurry.clear()
                self._hurry.wait(pause * random.uniform(0.5, 1))
                pause = min(2 * pause, LONGEST_PAUSE)
            except Exception:
                log.exception("%s: an error of ours; connecting again", self._name)
                self._give_up(f"{self._name}: an error of ours")
                gevent.sleep(DEFECT_PAUSE)

    def _serve_once(self) -> None:
        """Connect and serve until the connection breaks. Raises ConnectionLost when that never worked."""
        connection = self._dial()
        moved = self._endpoint not in (None, connection.endpoint)
        self._endpoint = connection.endpoint
        if self.away or moved:
            log.info("%s: connected to %s", self._name, connection.endpoint)
            self.away = ""
            if self.companion is not None:
                self.companion._hurry.set()
        try:
            self._serve(connection)
        except ConnectionLost as error:
            if not self._ready.is_set():
                raise
            log.error("%s: %s; connecting again", self._name, error)
        finally:
            self._ready.clear()
            connection.close()

    def _note_failure(self, reason: str) -> None:
        away = f"{self._name}: {reason}"
        if not self.away:
            log.error("%s; trying again until it works", away)
        self.away = away
        self._give_up(away)
