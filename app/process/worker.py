"""One worker process as seen by its master: readiness, heartbeats, stack trace and exit status.

A worker writes to a pipe: one byte when it is ready, and then heartbeats while its event loop runs (supervised.py). A
signal makes it write its stack trace to the same pipe, even while its event loop is blocked.
"""

from __future__ import annotations

import os
import signal
import time

from .supervised import HEARTBEAT_BYTE, READY_BYTE, TRACE_SIGNAL

READ_SIZE = 1 << 16
TRACE_TIMEOUT = 1.0
"""Seconds that a worker may take to write its stack trace before it is killed."""


class Worker:
    """A worker process. `pipe` is the descriptor of its pipe, which is closed when the process has exited.

    No other running worker has its `number`.
    """

    def __init__(self, pid: int, pipe: int, number: int) -> None:
        self.pid = pid
        self.number = number
        self.is_ready = False
        """Whether the worker has reported that it is ready."""
        self.is_stopping = False
        """Whether the worker was asked to stop."""
        self._pipe = pipe
        self._last_heartbeat_at = time.monotonic()
        self._kill_at = 0.0
        """Monotonic time at which the worker is killed; 0 without a deadline."""
        self._is_asked = False
        """Whether a stack trace was requested."""
        self._trace = b""
        os.set_blocking(pipe, False)

    def read_pipe(self) -> None:
        """Read and process what the worker has written to its pipe. Does not block."""
        try:
            while data := os.read(self._pipe, READ_SIZE):
                self._take(data)
        except BlockingIOError:
            pass

    def _take(self, data: bytes) -> None:
        if not self._is_asked:
            self.is_ready = self.is_ready or READY_BYTE in data
            self._last_heartbeat_at = time.monotonic()
        elif HEARTBEAT_BYTE in data:
            self._is_asked, self._trace = False, b""
            self._kill_at = 0.0
            self._last_heartbeat_at = time.monotonic()
        else:
            self._trace += data

    def extend_deadlines(self, seconds: float) -> None:
        """Move all deadlines by `seconds`, in which the master was suspended."""
        self._last_heartbeat_at += seconds
        if self._kill_at:
            self._kill_at += seconds

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process. Safe until `poll_exit` has returned a status: until then no PID is reused."""
        os.kill(self.pid, number)

    def stop(self, within: float) -> None:
        """Send SIGTERM to the process, and set its deadline to `within` seconds from now."""
        self.is_stopping = True
        self._kill_at = time.monotonic() + within
        self.send_signal(signal.SIGTERM)

    def silent_for(self) -> float:
        """Return the seconds since the last heartbeat; 0 while the worker stops or a stack trace is requested."""
        return 0.0 if self.is_stopping or self._is_asked else time.monotonic() - self._last_heartbeat_at

    def request_stack_trace(self) -> None:
        """Request a stack trace, and set the deadline to TRACE_TIMEOUT from now. A heartbeat cancels both."""
        self._is_asked = True
        self._kill_at = time.monotonic() + TRACE_TIMEOUT
        self.send_signal(TRACE_SIGNAL)

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline of the worker has passed."""
        return bool(self._kill_at) and time.monotonic() > self._kill_at

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self._kill_at = 0.0
        self.send_signal(signal.SIGKILL)

    @property
    def stack_trace(self) -> str:
        """The stack trace that the worker has written; empty if none was requested or the process is suspended."""
        return self._trace.decode(errors="replace").strip()

    def poll_exit(self) -> int | None:
        """Return the exit status, or the negative number of the signal that killed the process; None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.read_pipe()
        os.close(self._pipe)
        return os.waitstatus_to_exitcode(status)
