"""The link between a worker process and the master that has started it (master.py)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

MASTER = "GENTRIFUGO_MASTER"
"""Environment variable with the master's process id."""
READY = "GENTRIFUGO_READY"
"""Environment variable with the descriptor over which a worker tells the master that it serves."""
MASTER_CHECK_INTERVAL = 1.0
"""Seconds between two checks whether the master still runs."""


class MasterLink:
    """The connection of this process to its master, whose process id is `pid`."""

    def __init__(self, pid: int, ready: int) -> None:
        self._pid = pid
        self._ready = ready

    def say_ready(self) -> None:
        """Tell the master that this worker serves now."""
        os.write(self._ready, b"1")
        os.close(self._ready)

    def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` when the master has ended without stopping this worker, which must give up the port. Blocks."""
        while os.getppid() == self._pid:
            # In a worker gevent has patched this; the master, which imports this file too, does without gevent.
            time.sleep(MASTER_CHECK_INTERVAL)
        gone()


def is_worker(environ: Mapping[str, str]) -> bool:
    """Whether a master has started this process itself, rather than one of its parents."""
    return environ.get(MASTER) == str(os.getppid())


def master_of(environ: Mapping[str, str]) -> MasterLink | None:
    """The link to the master of this process; None when it has none."""
    return MasterLink(os.getppid(), int(environ[READY])) if is_worker(environ) else None
