"""Sends commands to one shard in batches: waiting commands are written together, and their replies read together.

While one batch is being sent, the commands of other greenlets wait and become the next batch, so the batches grow with
the load. A caller waits only for its own replies.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import gevent
import hiredis
from gevent.event import AsyncResult, Event

from ...app.runtime.histogram import Histogram
from ...app.runtime.running_clock import running_time
from ...app.runtime.wait_limit import WaitLimit, WaitTooLong
from ..base import EngineError
from .connection import ConnectionLost, Dial, RedisCommand, RedisConnection
from .dialling import load_scripts
from .link import CHECK_INTERVAL, Link, ServerReturn
from .permissions import explain_error
from .settings import Timeouts

COMMANDS_PER_BATCH = 512
"""Maximum number of commands in one batch; more only if a single call has more."""


class _Call:
    """The commands of one caller, and their replies once they have arrived."""

    __slots__ = ("commands", "ends", "given_up", "result")

    def __init__(self, commands: Sequence[RedisCommand], ends: float = 0.0) -> None:
        self.commands = commands
        self.ends = ends
        """When the caller gets an error instead of the replies, in running time."""
        self.given_up = False
        """Whether the caller does not wait for the replies any more."""
        self.result: AsyncResult[list[Any]] = AsyncResult()


class Pipeline(Link):
    """Sends the commands of one node to one shard."""

    def __init__(self, name: str, dial: Dial, server_return: ServerReturn, timeouts: Timeouts) -> None:
        super().__init__(name, dial, server_return)
        self._waiting: deque[_Call] = deque()
        self._sent: list[_Call] = []
        self._arrived = Event()
        # A command may have to wait until the previous batch has been answered.
        self._reply_timeout = timeouts.write + timeouts.read
        self._timer: Any = None
        """Expires when the oldest call has waited too long, or earlier; None if no call waits."""
        self.round_trips = Histogram()
        """How long it took from writing a batch to reading its last reply."""

    def ask(self, *command: str | bytes | int) -> Any:
        """Send one command and return the reply. Raises EngineError, also if the reply is an error."""
        (reply,) = self.ask_all([command])
        if isinstance(reply, hiredis.ReplyError):
            raise EngineError(f"{self._name}: {explain_error(reply, command)}")
        return reply

    def ask_all(self, commands: Sequence[RedisCommand]) -> list[Any]:
        """Send commands and return their replies, which may be errors of Redis. Raises EngineError.

        The commands reach Redis in this order, after those of all earlier calls.
        """
        if self.unavailable_reason:
            raise EngineError(self.unavailable_reason)
        call = _Call(commands, running_time() + self._reply_timeout)
        self._waiting.append(call)
        if self._timer is None:
            self._start_timer(self._reply_timeout)
        self._arrived.set()
        try:
            replies: list[Any] = call.result.get()  # type: ignore[assignment]
        finally:
            if not call.result.ready():  # the caller was interrupted
                call.given_up = True
        return replies

    def _start_timer(self, seconds: float) -> None:
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._end_late_calls)

    def _end_late_calls(self) -> None:
        """Refuse the calls that have waited too long. All have the same limit, so one timer is enough."""
        self._close_timer()
        now = running_time()
        for call in (*self._sent, *self._waiting):
            if call.result.ready():
                continue
            if call.ends > now:
                self._start_timer(call.ends - now)
                return
            call.given_up = True
            call.result.set_exception(EngineError(f"{self._name}: no reply within {self._reply_timeout:g} s"))

    def _close_timer(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def stop(self) -> None:
        """Close the connection; waiting calls fail. A second call does nothing."""
        super().stop()
        self._close_timer()

    @property
    def waiting(self) -> int:
        """The commands of callers that wait for a reply."""
        return sum(
            len(call.commands) for call in (*self._sent, *self._waiting) if not (call.given_up or call.result.ready())
        )

    def _serve(self, connection: RedisConnection) -> None:
        self._note_ready()
        limit = WaitLimit(gevent.get_hub())  # not made before: another thread may have created this object
        try:
            while True:
                self._sent = self._take(limit)
                if self._sent:
                    self._exchange(connection, self._sent)
                self._sent = []
        except ConnectionLost as error:
            # Redis may have carried out commands that were sent; sending them again might repeat them.
            self._refuse(self._sent, f"{self._name}: {error}")
            raise
        finally:
            limit.close()

    def _give_up(self, reason: str) -> None:
        self._refuse(self._sent, reason)
        waiting, self._waiting = self._waiting, deque()
        self._refuse(waiting, reason)

    @staticmethod
    def _refuse(calls: Sequence[_Call], reason: str) -> None:
        for call in calls:
            if not call.result.ready():
                call.result.set_exception(EngineError(reason))

    def _take(self, limit: WaitLimit) -> list[_Call]:
        """Take the calls of the next batch, if they still wait. Returns a PING if there are none for CHECK_INTERVAL."""
        while not self._waiting:
            self._arrived.clear()
            limit.begin(CHECK_INTERVAL)
            try:
                self._arrived.wait()
            except WaitTooLong:
                check = _Call([("PING",)])
                check.given_up = True  # nobody waits for it
                return [check]
            finally:
                limit.end()
        batch: list[_Call] = []
        count = 0
        while self._waiting and count < COMMANDS_PER_BATCH:
            call = self._waiting.popleft()
            if not call.given_up:
                batch.append(call)
                count += len(call.commands)
        return batch

    def _exchange(self, connection: RedisConnection, batch: list[_Call]) -> None:
        began = time.perf_counter()
        connection.send(command for call in batch for command in call.commands)
        unknown: list[tuple[list[Any], int, RedisCommand]] = []
        answers = [[connection.read() for _ in call.commands] for call in batch]
        self.round_trips.observe(time.perf_counter() - began)
        for call, replies in zip(batch, answers, strict=True):
            for index, reply in enumerate(replies):
                if isinstance(reply, hiredis.ReplyError):
                    _check_server(reply)
                    if str(reply).startswith("NOSCRIPT"):
                        unknown.append((replies, index, call.commands[index]))
        if unknown:
            self._load_and_repeat(connection, unknown)
        for call, replies in zip(batch, answers, strict=True):
            call.result.set(replies)

    @staticmethod
    def _load_and_repeat(connection: RedisConnection, unknown: list[tuple[list[Any], int, RedisCommand]]) -> None:
        """Load the scripts again, because Redis did not have them, and repeat the commands that failed."""
        load_scripts(connection)
        for (replies, index, _), reply in zip(
            unknown, connection.ask([command for _, _, command in unknown]), strict=True
        ):
            replies[index] = reply


def _check_server(error: hiredis.ReplyError) -> None:
    """Raise ConnectionLost if the server is no longer the master or shuts down, to reconnect to the master."""
    if str(error).startswith(("READONLY", "MASTERDOWN", "LOADING", "NOREPLICAS")):
        raise ConnectionLost(str(error))
