"""Pings and pongs of protocol version 2, which are empty messages."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from ...runtime.timers import RoughDelay, Timer, Timers


class PingOptions(Protocol):
    """The options that apply to pings."""

    @property
    def ping_interval(self) -> float:
        """Seconds between two pings; 0 disables pings."""
        ...

    @property
    def client_pong_timeout(self) -> float:
        """Seconds until an unanswered ping closes the connection."""
        ...


class Pings:
    """The pings of one connection. `ping` sends one; `close` is called if the client does not answer.

    `is_busy` returns whether the server is carrying out a command of the client, because an answer may wait behind that
    command. No callback may block.
    """

    __slots__ = ("_awaits_answers", "_close", "_is_awaited", "_is_busy", "_is_sent", "_options", "_ping", "_timer")

    def __init__(
        self,
        timers: Timers,
        options: PingOptions,
        ping: Callable[[], None],
        is_busy: Callable[[], bool],
        close: Callable[[], None],
        awaits_answers: bool = True,
    ) -> None:
        self._awaits_answers = awaits_answers
        self._options = options
        self._ping = ping
        self._is_busy = is_busy
        self._close = close
        self._is_awaited = False
        self._is_sent = False
        """Whether a ping was sent, and it is not checked yet whether it was answered."""
        # The first interval is shorter by a random part, so that clients that connect together are not pinged together.
        first = RoughDelay(options.ping_interval * random.uniform(0.5, 1))
        self._timer: Timer = timers.after(first, self._send_or_check)

    def note_answer(self) -> bool:
        """Record an answer of the client. Returns whether one was expected."""
        was_awaited, self._is_awaited = self._is_awaited, False
        return was_awaited

    def stop(self) -> None:
        """Stop sending pings to this client."""
        self._timer.cancel()

    @property
    def _timeout(self) -> float:
        return min(self._options.client_pong_timeout, self._options.ping_interval)

    def _send_or_check(self) -> float | None:
        """Send a ping, or check that the last one was answered. Returns the seconds until the next call."""
        if not self._is_sent:
            self._is_sent, self._is_awaited = True, self._awaits_answers
            self._ping()
            return self._timeout
        if not self._is_awaited:
            self._is_sent = False
            return RoughDelay(self._options.ping_interval - self._timeout)
        if self._is_busy():
            return self._timeout
        self._close()
        return None
