"""The flag `--reload`: a master with one worker, which is restarted when a file of its application changes.

The master keeps the listening sockets open, so requests wait during a restart.
"""

from __future__ import annotations

import logging

from .master import Master
from .worker import Worker

log = logging.getLogger(__name__)

FILE_CHANGED_STATUS = 3
"""Exit status of a worker that stopped because a file has changed."""


class Reloader(Master):
    """A master that restarts its worker immediately when a file has changed."""

    def _check_heartbeats(self) -> None:
        """Do nothing: a developer may pause the worker in a debugger, or broken code may wait for a change."""

    def _handle_exit(self, worker: Worker, code: int) -> None:
        if code == FILE_CHANGED_STATUS and not worker.is_stopping:
            log.info("worker %d stopped because a file has changed", worker.pid)
        else:
            super()._handle_exit(worker, code)
