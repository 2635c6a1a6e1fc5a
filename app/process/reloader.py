"""`--reload`: a master of one worker, which ends when a file of its application changes, and is started again.

The master keeps the listening sockets, so that requests wait while there is no worker.
"""

from __future__ import annotations

import logging

from .master import Master
from .worker import Worker

log = logging.getLogger(__name__)

CHANGED = 3
"""Exit status of a worker that has to be started again, because a file has changed."""


class Reloader(Master):
    """Starts the worker again at once when a file has changed, and otherwise does what the master of several does."""

    def _check_heartbeats(self) -> None:
        """Let a worker be silent: a developer may stop it in a debugger, and broken code waits for a change."""

    def _handle_exit(self, worker: Worker, code: int) -> None:
        if code == CHANGED and not worker.is_stopping:
            log.info("worker %d stopped because a file has changed", worker.pid)
        else:
            super()._handle_exit(worker, code)
