"""Pings and pongs of protocol version 2, which are empty messages."""

from __future__ import annotations

from typing import Protocol

from ...runtime.timers import RoughDelay, Timer, Timers, first_delay


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


class PingedClient(Protocol):
    """The client that pings are sent to. No method may block."""

    @property
    def is_busy(self) -> bool:
        """Whether the server is carrying out a command of the client: an answer may wait behind that command."""
        ...

    def send_ping(self) -> None:
        """Send one ping to the client."""
        ...

    def close_silent(self) -> None:
        """Close the connection, because the client has not answered a ping."""
        ...


class Pings:
    """The pings of one connection. With `awaits_answers`, a client that does not answer is closed."""

    __slots__ = ("_awaits_answers", "_client", "_is_awaited", "_is_sent", "_options", "_timer")

    def __init__(self, timers: Timers, options: PingOptions, client: PingedClient, awaits_answers: bool = True) -> None:
        self._awaits_answers = awaits_answers
        self._options = options
        self._client = client
        self._is_awaited = False
        self._is_sent = False
        """Whether a ping was sent, and it is not checked yet whether it was answered."""
        self._timer: Timer = timers.after(RoughDelay(first_delay(options.ping_interval)), self._send_or_check)

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
            self._client.send_ping()
            return self._timeout
        if not self._is_awaited:
            self._is_sent = False
            return RoughDelay(self._options.ping_interval - self._timeout)
        if self._client.is_busy:
            return self._timeout
        self._client.close_silent()
        return None
