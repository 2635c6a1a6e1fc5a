"""The link between a worker process and the master that has started it (master.py)."""

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
READY_BYTE, HEARTBEAT = b"1", b"\0"
"""What a worker writes to the pipe when it serves, and after that again and again while its event loop runs."""
TRACE_SIGNAL = signal.SIGUSR2
"""Makes a worker write its stack trace to the pipe, even while its event loop hangs."""
HEARTBEAT_INTERVAL = 0.25
"""Seconds between two beats, and between two checks whether the master still runs."""


class MasterLink:
    """The connection of this process to its master, whose process id is `pid`."""

    def __init__(self, pid: int, ready: int) -> None:
        self._pid = pid
        self._ready = ready

    def send_ready(self) -> None:
        """Tell the master that this worker serves now, and be ready to tell it where it hangs."""
        os.set_blocking(self._ready, False)
        faulthandler.register(TRACE_SIGNAL, self._ready)
        self._write(READY_BYTE)

    def _write(self, sign: bytes) -> None:
        # A full pipe has enough beats for the master. A broken one means that the master has ended.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._ready, sign)

    def watch(self, gone: Callable[[], None]) -> None:
        """Send beats to the master, and call `gone` when it has ended without stopping this worker. Blocks.

        The worker must give up the port then.
        """
        while os.getppid() == self._pid:
            self._write(HEARTBEAT)
            # In a worker gevent has patched this; the master, which imports this file too, does without gevent.
            time.sleep(HEARTBEAT_INTERVAL)
        gone()


def is_worker(environ: Mapping[str, str]) -> bool:
    """Whether a master has started this process itself, rather than one of its parents."""
    return environ.get(MASTER_VARIABLE) == str(os.getppid())


def master_of(environ: Mapping[str, str]) -> MasterLink | None:
    """The link to the master of this process; None when it has none."""
    return MasterLink(os.getppid(), int(environ[READY_VARIABLE])) if is_worker(environ) else None
