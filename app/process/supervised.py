"""The worker side of the connection between a worker and its master (master.py): readiness and heartbeats."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

MASTER_VARIABLE = "GENTRIFUGO_MASTER"
"""Environment variable with the master's process id."""
READY_VARIABLE = "GENTRIFUGO_READY"
"""Environment variable with the descriptor of a pipe to the master, which a worker writes to."""
NUMBER_VARIABLE = "GENTRIFUGO_WORKER"
"""Environment variable with the number of a worker, from 1: no two workers of a master have the same at one time."""
READY_BYTE, HEARTBEAT_BYTE = b"1", b"\0"
"""Written to the pipe once when the worker is ready, and then periodically while its event loop runs."""
TRACE_SIGNAL = signal.SIGUSR2
"""Signal that makes a worker write its stack trace to the pipe, even while its event loop is blocked."""
HEARTBEAT_INTERVAL = 0.25
"""Seconds between two heartbeats, and between two checks whether the master still runs."""


class MasterLink:
    """Reports to the master with process ID `pid`, over the pipe with descriptor `ready`."""

    def __init__(self, pid: int, ready: int) -> None:
        self._pid = pid
        self._ready = ready

    def send_ready(self) -> None:
        """Report that this worker is ready, and register the signal that makes it write a stack trace to the pipe."""
        os.set_blocking(self._ready, False)
        faulthandler.register(TRACE_SIGNAL, self._ready)
        self._write(READY_BYTE)

    def _write(self, sign: bytes) -> None:
        # A full pipe already holds enough heartbeats. A broken pipe means that the master has exited.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._ready, sign)

    def watch(self, on_master_exit: Callable[[], None]) -> None:
        """Send heartbeats until the master exits without stopping this worker, then call `on_master_exit`.

        Blocks meanwhile. The worker must stop then, so that another server can use the port.
        """
        while os.getppid() == self._pid:
            self._write(HEARTBEAT_BYTE)
            # In a worker, which gevent patches, this blocks only the greenlet. The master imports this file unpatched.
            time.sleep(HEARTBEAT_INTERVAL)
        on_master_exit()


def is_worker(environ: Mapping[str, str]) -> bool:
    """Return whether this process was started directly by a master. False in child processes of a worker."""
    return environ.get(MASTER_VARIABLE) == str(os.getppid())


def number_of_worker(environ: Mapping[str, str]) -> int:
    """Return the number of this worker among those of its master; 0 without a master.

    A master of an earlier release gives no numbers: then it is the process ID, which no other worker has.
    """
    return int(environ.get(NUMBER_VARIABLE, os.getpid())) if is_worker(environ) else 0


def master_of(environ: Mapping[str, str]) -> MasterLink | None:
    """Return the connection to the master of this process; None without a master."""
    return MasterLink(os.getppid(), int(environ[READY_VARIABLE])) if is_worker(environ) else None
