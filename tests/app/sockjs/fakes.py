"""Fakes for the two sides of a session: a peer that records its calls, and a request that records when it is woken."""

from __future__ import annotations

from collections.abc import Callable

from gentrifugo.app.runtime.running_clock import running_time
from gentrifugo.app.sockjs.peer import SockJSTransport


class FakePeer:
    """A peer that records messages and failures; `ends` counts the calls of `close`."""

    def __init__(self, transport: SockJSTransport) -> None:
        self.transport = transport
        self.messages: list[str] = []
        self.failures: list[str] = []
        self.ends = 0
        self.on_message: Callable[[], None] = lambda: None

    def handle_text(self, message: str) -> None:
        self.messages.append(message)
        self.on_message()
        if message == "close":
            self.transport.close(3000, "as you wish")

    def close(self) -> None:
        self.ends += 1

    def close_slow(self) -> None:
        self.failures.append("slow")

    def close_silent(self) -> None:
        self.failures.append("silent")

    def close_failed(self, reason: str) -> None:
        self.failures.append(reason)

    def close_too_large(self) -> None:
        self.failures.append("too large")
        self.transport.close(1009, "")

    def close_broken(self, error: Exception) -> None:
        self.failures.append(f"broken: {error}")
        self.transport.close(3000, "broken")


class FakeReceiver:
    """A request that receives frames; the test sets `is_disconnected` and `stuck`."""

    def __init__(self) -> None:
        self.last_write_at = running_time()
        self.is_disconnected = False
        self.stuck = False
        self.calls: list[str] = []

    def wake(self) -> None:
        self.calls.append("wake")

    def send_heartbeat(self) -> None:
        self.last_write_at = running_time()
        self.calls.append("send_heartbeat")

    def has_unacknowledged_data(self) -> bool:
        return self.stuck

    def check_disconnected(self) -> bool:
        return self.is_disconnected

    def abandon(self) -> None:
        self.is_disconnected = True
        self.calls.append("abandon")
