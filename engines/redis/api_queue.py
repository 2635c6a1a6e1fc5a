"""One queue of API commands in one shard (docs/redis.md describes its guarantees).

One node at a time works on a queue, to keep the order: it takes some entries under a lease, carries them out, and
removes them. Then any node may continue.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import hiredis

from ...app.runtime.background import PeriodicTask
from ...app.runtime.log_throttle import ONCE, ThrottledLog
from ..base import CommandHandler, EngineError
from .connection import Dial, RedisConnection
from .link import PING_TIMEOUT, Link, ServerReturn
from .pipeline import Pipeline
from .scripts import FINISH, RENEW, TAKE, Script

log = logging.getLogger(__name__)

MAX_ENTRIES_TAKEN = 64
"""Entries that one node takes at a time."""
LEASE = 10.0
"""Seconds after which other nodes may take the entries of a node that has not renewed its lease."""
WAIT = 1.0
"""Seconds that Redis waits for an entry before it replies."""
QUEUE_RETRY_INTERVAL = 0.01
"""Seconds between two attempts to take entries while another node works on the queue."""
FAILURE_DELAY = 1.0
"""Seconds between two attempts to read a queue that cannot be read, for example because the key has another type."""


class APIQueue(Link):
    """One queue, with a connection of its own that waits for entries. `node` identifies this process in the lease."""

    def __init__(
        self, shard_name: str, key: str, node: str, dial: Dial, server_return: ServerReturn, pipeline: Pipeline
    ) -> None:
        super().__init__(f"{shard_name} (queue {key})", dial, server_return)
        self._key = key
        self._taken_key = f"{key}.taken"
        self._lease_key = f"{key}.lease"
        self._node = node
        self._pipeline = pipeline
        self._handler: CommandHandler | None = None
        self._renewal = PeriodicTask(f"{self._name}: lease", lambda: LEASE / 3, self._renew)
        self._busy = False
        self._stopping = False
        self._failures = ThrottledLog(log, interval=ONCE)
        """Logs each reason once until the queue can be read again."""

    def begin(self, handler: CommandHandler) -> None:
        """Start taking entries, and pass them to `handler`."""
        self._handler = handler
        self.start()

    def finish(self, timeout: float) -> None:
        """Stop taking entries, and wait at most `timeout` seconds for those that are being carried out."""
        self._stopping = True
        with gevent.Timeout(timeout, False):  # type: ignore[arg-type]  # False: end the block silently
            while self._busy:
                gevent.sleep(QUEUE_RETRY_INTERVAL)
        self.stop()

    def _give_up(self, reason: str) -> None:
        pass  # no call waits for this connection

    def _serve(self, connection: RedisConnection) -> None:
        self._note_ready()
        connection.expect_answers_within(WAIT + PING_TIMEOUT)
        while not self._stopping:
            # Moves the first entry to its own position: this waits for an entry without taking it.
            (first,) = connection.ask([("BLMOVE", self._key, self._key, "LEFT", "LEFT", str(WAIT))])
            if isinstance(first, hiredis.ReplyError):
                self._pause_after_failure(str(first))
            else:
                self._process_entries()

    def _process_entries(self) -> None:
        """Carry out some entries, beginning with entries of a dead node, unless another node holds the lease."""
        self._busy = True
        try:
            asked_at = time.monotonic()
            keys = [self._key, self._taken_key, self._lease_key]
            entries = self._ask(TAKE, keys, int(LEASE * 1000), MAX_ENTRIES_TAKEN)
            self._failures.reset()
            if entries is None:
                gevent.sleep(QUEUE_RETRY_INTERVAL * random.uniform(0.5, 1.5))
            elif entries and self._still_holds_lease(asked_at):
                self._carry_out(entries)
        except EngineError as error:
            self._pause_after_failure(str(error))
        finally:
            self._busy = False

    def _carry_out(self, entries: list[bytes]) -> None:
        with self._lease_renewed():
            if self._handler is not None:
                self._handler(entries)
        if not self._ask(FINISH, [self._taken_key, self._lease_key]):
            log.error("%s: lease expired, another node may have repeated %d commands", self._name, len(entries))

    def _still_holds_lease(self, asked_at: float) -> bool:
        """Return whether this node still has the lease; it may have expired while the process was suspended."""
        if time.monotonic() - asked_at < LEASE / 2:
            return True
        return bool(self._ask(RENEW, [self._lease_key], int(LEASE * 1000)))

    @contextmanager
    def _lease_renewed(self) -> Iterator[None]:
        self._renewal.start()
        try:
            yield
        finally:
            self._renewal.stop()

    def _renew(self) -> None:
        try:
            self._ask(RENEW, [self._lease_key], int(LEASE * 1000))
        except EngineError as error:
            log.error("%s: cannot renew the lease: %s", self._name, error)

    def _pause_after_failure(self, reason: str) -> None:
        self._failures.log(reason, "%s: %s, retrying", self._name, reason)
        gevent.sleep(FAILURE_DELAY)

    def _ask(self, script: Script, keys: list[str], *arguments: int) -> Any:
        return self._pipeline.ask("EVALSHA", script.sha, len(keys), *keys, self._node, *arguments)
