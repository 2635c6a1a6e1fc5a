"""One worker process as its master sees it: whether it serves, whether its event loop still answers, how it ends.

A worker writes to a pipe: one byte when it serves, and then one byte after another as long as its event loop runs
(supervised.py). A worker that is asked with a signal where it is writes its stack trace there too, even while its event
loop hangs.
"""

from __future__ import annotations

import os
import signal
import time

from .supervised import HEARTBEAT, READY_BYTE, TRACE_SIGNAL

READ_SIZE = 1 << 16
TRACE_TIME = 1.0
"""Seconds that a worker may take to write its stack trace before it is killed."""


class Worker:
    """One process; `pipe` is the descriptor at which it is heard, which the worker object closes in the end."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.is_ready = False
        """Whether it serves."""
        self.is_stopping = False
        """Whether it was told to end."""
        self._pipe = pipe
        self._heard_at = time.monotonic()
        self._kill_at = 0.0
        """When it is killed if it has not ended; 0 while it has no such deadline."""
        self._is_asked = False
        """Whether it was asked for its stack trace."""
        self._trace = b""
        os.set_blocking(pipe, False)

    def read_pipe(self) -> None:
        """Read what it has written."""
        try:
            while data := os.read(self._pipe, READ_SIZE):
                self._take(data)
        except BlockingIOError:
            pass

    def _take(self, data: bytes) -> None:
        if not self._is_asked:
            self.is_ready = self.is_ready or READY_BYTE in data
            self._heard_at = time.monotonic()
        elif HEARTBEAT in data:
            self._is_asked, self._trace = False, b""
            self._kill_at = 0.0
            self._heard_at = time.monotonic()
        else:
            self._trace += data

    def extend_deadlines(self, seconds: float) -> None:
        """Grant it so much more time, because its master has not run."""
        self._heard_at += seconds
        if self._kill_at:
            self._kill_at += seconds

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal. It has not been waited for, so its number is still its own."""
        os.kill(self.pid, number)

    def stop(self, within: float) -> None:
        """Tell it to end; it is to be killed when it has not within so many seconds."""
        self.is_stopping = True
        self._kill_at = time.monotonic() + within
        self.send_signal(signal.SIGTERM)

    def silent_for(self) -> float:
        """Seconds since it was last heard; 0 when it leaves, or was already asked where it hangs."""
        return 0.0 if self.is_stopping or self._is_asked else time.monotonic() - self._heard_at

    def request_stack_trace(self) -> None:
        """Ask for its stack trace; it is to be killed a moment later, unless its event loop answers before."""
        self._is_asked = True
        self._kill_at = time.monotonic() + TRACE_TIMEOUT
        self.send_signal(TRACE_SIGNAL)

    @property
    def is_overdue(self) -> bool:
        """Whether it is to be killed now."""
        return bool(self._kill_at) and time.monotonic() > self._kill_at

    def kill(self) -> None:
        """End it at once. A second call does nothing."""
        self._kill_at = 0.0
        self.send_signal(signal.SIGKILL)

    @property
    def stack_trace(self) -> str:
        """The stack trace that it has written; empty when it was not asked, or could not answer: it may be stopped."""
        return self._trace.decode(errors="replace").strip()

    def poll_exit(self) -> int | None:
        """Its exit status, or the number of the signal that has ended it, negative; None as long as it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.read_pipe()
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(status)
