"""What a process knows of the master that has started it as one of several workers (workers.py), if one has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

MASTER = "GENTRIFUGO_MASTER"
"""Environment variable with the master's process id."""
READY = "GENTRIFUGO_READY"
"""Environment variable with the descriptor at which the master waits for a worker to serve."""
LOOK_INTERVAL = 1.0
"""Seconds between two looks at whether the master is still there."""


class Master:
    """The master of this process."""

    def __init__(self, pid: int, ready: int) -> None:
        self._pid = pid
        self._ready = ready

    def say_ready(self) -> None:
        """Tell it that this worker serves."""
        os.write(self._ready, b"1")
        os.close(self._ready)

    def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` when it has ended without a word: a worker that nobody watches must not keep the port."""
        while os.getppid() == self._pid:
            time.sleep(LOOK_INTERVAL)  # gevent's, by then; the master, which shares this file, has no use for gevent
        gone()


def is_worker(environ: Mapping[str, str]) -> bool:
    """Whether a master has started this very process, and none of its parents."""
    return environ.get(MASTER) == str(os.getppid())


def master_of(environ: Mapping[str, str]) -> Master | None:
    """The master of this process; None when it is a server by itself."""
    return Master(os.getppid(), int(environ[READY])) if is_worker(environ) else None
