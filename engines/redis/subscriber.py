"""Receives what is published in one shard: one connection for all subscriptions of a node, read by one greenlet.

Waiting changes of subscriptions are sent together. After a broken connection all subscriptions are restored, in
batches, and the `ReaderHandler` is notified of the gap.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import gevent
import hiredis
from gevent.event import AsyncResult, Event

from ...app.runtime.running_clock import wait_for
from ..base import EngineError
from .connection import ConnectionLost, Dial, RedisConnection
from .link import CHECK_INTERVAL, PING_TIMEOUT, Link, ServerReturn
from .permissions import explain_error
from .settings import Timeouts

log = logging.getLogger(__name__)

NAMES_PER_COMMAND = 1000
"""Maximum number of names in one SUBSCRIBE or UNSUBSCRIBE command."""


class ReaderHandler(Protocol):
    """The methods that the subscriber calls. No method blocks or raises."""

    def handle_message(self, name: bytes, data: bytes) -> None:
        """Handle a message that was published under a subscribed name."""

    def handle_gap(self, names: list[bytes]) -> None:
        """Handle a broken connection: messages published under these names are missed."""

    def handle_resubscribed(self, name: bytes) -> None:
        """Handle the restored subscription to a name."""


class _Change(NamedTuple):
    """A change of a subscription: to subscribe or to unsubscribe."""

    verb: str
    name: bytes
    done: AsyncResult[None] | None
    """The result for the caller that waits; None after a broken connection."""


class Subscriber(Link):
    """The subscriptions of one node in one shard; `names` are subscribed to from the start."""

    def __init__(
        self,
        name: str,
        dial: Dial,
        server_return: ServerReturn,
        timeouts: Timeouts,
        handler: ReaderHandler,
        names: list[bytes],
    ) -> None:
        super().__init__(name, dial, server_return)
        self._handler = handler
        self._timeouts = timeouts
        self._wanted: dict[bytes, None] = dict.fromkeys(names)
        self._waiting: deque[_Change] = deque()
        self._sent: deque[_Change] = deque()
        self._arrived = Event()
        self._was_lost = False
        self.breaks = 0
        """The number of connections that have ended."""
        self._is_connected = False
        self.passed_at = 0.0
        """Everything published before this time is known to have been handled; a value of time.monotonic()."""
        # For each unanswered PING, when it was sent, and the caller that waits for its reply.
        self._pings: deque[tuple[float, AsyncResult[bool] | None]] = deque()
        self._marks: list[AsyncResult[bool]] = []
        """The callers that wait for a PING that has not been sent yet."""

    def subscribe(self, name: bytes) -> None:
        """Subscribe to `name`, and wait until Redis has confirmed it. Raises EngineError.

        If the caller is interrupted while it waits, for example by a timeout, there is no subscription.
        """
        if self.unavailable_reason:
            raise EngineError(self.unavailable_reason)
        self._wanted[name] = None
        try:
            self._change("SUBSCRIBE", name)
        except BaseException:
            self._wanted.pop(name, None)
            self._waiting.append(_Change("UNSUBSCRIBE", name, None))
            self._arrived.set()
            raise

    def unsubscribe(self, name: bytes) -> None:
        """Unsubscribe from `name`, and wait until Redis has confirmed it. Retries later if it raises EngineError."""
        if self._wanted.pop(name, False) is False or self.unavailable_reason:
            return
        self._change("UNSUBSCRIBE", name)

    def is_wanted(self, name: bytes) -> bool:
        """Return whether there is a subscription, either active or to be restored."""
        return name in self._wanted

    def wait_until_passed(self) -> bool:
        """Wait until everything published before this call has been handled. Returns False if the connection broke.

        Redis answers a PING on this connection after everything that it has published before. The wait ends at the
        latest when the connection ends, which is checked regularly.
        """
        if not self._is_connected:
            return False
        mark: AsyncResult[bool] = AsyncResult()
        self._marks.append(mark)
        self._arrived.set()
        return bool(mark.get())

    def _change(self, verb: str, name: bytes) -> None:
        done: AsyncResult[None] = AsyncResult()
        self._waiting.append(_Change(verb, name, done))
        self._arrived.set()
        timeout = self._timeouts.write + self._timeouts.read
        # Not get(timeout): the exception that it raises looks like a timeout of the caller, which must not be caught.
        wait_for(done, timeout)
        if not done.ready():
            raise EngineError(f"{self._name}: no reply within {timeout:g} s")
        done.get()

    # -- the connection

    def _serve(self, connection: RedisConnection) -> None:
        connection.expect_answers_within(CHECK_INTERVAL + min(self._timeouts.read, PING_TIMEOUT))
        asked_for = {change.name for change in self._waiting if change.verb == "SUBSCRIBE"}
        again = [_Change("SUBSCRIBE", name, None) for name in self._wanted if name not in asked_for]
        self._waiting.extendleft(reversed(again))
        last = self._waiting[-1] if self._waiting else None
        self._arrived.set()
        self._is_connected = True
        self.passed_at = time.monotonic()
        writer = gevent.spawn(self._write, connection)
        try:
            self._read(connection, last)
        finally:
            writer.kill()
            self._report_lost_connection()

    def _report_lost_connection(self) -> None:
        self._was_lost = True
        self._is_connected = False
        self.breaks += 1
        self._handler.handle_gap(list(self._wanted))
        waiting = [*self._marks, *(mark for _, mark in self._pings)]
        self._marks.clear()
        self._pings.clear()
        for mark in waiting:
            if mark is not None:
                mark.set(False)
        self._give_up(f"{self._name}: connection lost")

    def _give_up(self, reason: str) -> None:
        changes = [*self._sent, *self._waiting]
        self._sent.clear()
        self._waiting.clear()
        for change in changes:
            if change.done is not None and not change.done.ready():
                if change.verb == "SUBSCRIBE":
                    change.done.set_exception(EngineError(reason))
                else:
                    change.done.set(None)

    # -- writing

    def _write(self, connection: RedisConnection) -> None:
        try:
            while True:
                self._arrived.clear()
                if self._waiting:
                    self._send_waiting(connection)
                elif self._marks:
                    marks, self._marks = self._marks, []
                    self._ping(connection, marks)
                elif not self._arrived.wait(CHECK_INTERVAL):
                    self._ping(connection, [None])
        except ConnectionLost:
            connection.shut_down()  # wakes the reader, which handles the failure

    def _send_waiting(self, connection: RedisConnection) -> None:
        """Send all waiting changes in order; consecutive changes of the same kind as one command."""
        changes = list(self._waiting)
        self._waiting.clear()
        self._sent.extend(changes)
        start = 0
        for end in range(1, len(changes) + 1):
            if end == len(changes) or changes[end].verb != changes[start].verb:
                for first in range(start, end, NAMES_PER_COMMAND):
                    names = [change.name for change in changes[first : min(first + NAMES_PER_COMMAND, end)]]
                    connection.send([(changes[start].verb, *names)])
                start = end

    def _ping(self, connection: RedisConnection, marks: Sequence[AsyncResult[bool] | None]) -> None:
        now = time.monotonic()
        self._pings.extend((now, mark) for mark in marks)
        connection.send([("PING",)] * len(marks))

    def _pong(self) -> None:
        """Handle the reply to the oldest PING, which arrives after everything that Redis had published before."""
        if not self._pings:
            raise ConnectionLost("unexpected reply to PING")
        self.passed_at, mark = self._pings.popleft()
        if mark is not None:
            mark.set(True)

    # -- reading

    def _read(self, connection: RedisConnection, last: _Change | None) -> None:
        handle_message = self._handler.handle_message
        while True:
            if last is None and not self._ready.is_set():
                self._note_ready()
            reply = connection.read_ready()
            if reply is False:
                connection.feed()
                # Publishers may wait for the messages that have just arrived: let them continue first.
                gevent.sleep(0)
                continue
            if isinstance(reply, hiredis.ReplyError):
                raise ConnectionLost(explain_error(reply, ("SUBSCRIBE",)))
            kind = reply[0]
            if kind == b"message":
                handle_message(reply[1], reply[2])
            elif kind in (b"subscribe", b"unsubscribe") and self._confirm(kind, reply[1]) is last:
                last = None
            elif kind == b"pong":
                self._pong()

    def _confirm(self, kind: bytes, name: Any) -> _Change:
        """Complete the oldest change; Redis confirms changes one by one in the order in which it received them."""
        change = self._sent.popleft() if self._sent else None
        if change is None or change.name != name:
            raise ConnectionLost(f"unexpected confirmation: {kind!r} {name!r}")
        if change.done is not None:
            if not change.done.ready():
                change.done.set(None)
        elif self._was_lost and change.verb == "SUBSCRIBE" and name in self._wanted:
            self._handler.handle_resubscribed(name)
        return change
