"""The gunicorn worker: see docs/deployment.md for how it is named."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventPyWSGIWorker

from .. import logs
from ..config.options import ConfigError
from ..runtime import limits
from ..server.http_connection import Handler
from ..server.http_server import HTTPServer
from ..service import Service
from ..views.mounted import service_of

LEAVE_TIME = 1.0
"""Seconds that clients get to hear of a quick shutdown."""
STOP_TIME = 2.0
"""Seconds of gunicorn's graceful_timeout that are kept for the stop of the node; at its end gunicorn kills."""
LEAVE_CHECK = 0.02
"""Seconds between two looks at who is still there."""
ENOUGH_CONNECTIONS = 65536
"""Connections of a worker that let it be limited by its CPU rather than by this."""
APP_FAILED_TO_LOAD = 4
"""Exit status on which gunicorn stops instead of starting the worker again for ever."""


def cautions(settings: Any) -> Iterator[str]:
    """What will limit the process, given gunicorn's settings, as far as it is less than a server should have."""
    yield from (str(limit) for limit in limits.all_limits() if not limit.is_enough)
    connections = settings.worker_connections
    if connections < ENOUGH_CONNECTIONS:
        yield (
            f"worker_connections: {connections:,}; client number {connections + 1:,} of a worker would hang without "
            "a word; set it higher, as conf/gunicorn.conf.py does"
        )


class GentrifugoWorker(GeventPyWSGIWorker):  # type: ignore[misc]
    """gunicorn's gevent worker with our HTTP handler, and a proper leave-taking."""

    server_class = HTTPServer
    wsgi_handler = Handler
    _leave_by = 0.0
    """Until when this worker may wait for hooks, as time.monotonic() has it; 0 as long as TERM has not come."""

    def load_wsgi(self) -> None:
        """Load the application; a configuration that is not valid ends gunicorn with one line for each problem."""
        try:
            super().load_wsgi()
        except ConfigError as error:
            for problem in error.problems:
                self.log.error("%s", problem)
            sys.exit(APP_FAILED_TO_LOAD)

    def run(self) -> None:
        """Serve until gunicorn ends this worker."""
        service = service_of(self.wsgi)
        if service is not None:
            if service.is_single and self.cfg.workers > 1:
                self.log.error(
                    "%d workers need --engine=redis: with the memory engine each would be a server of its own. "
                    "Start one worker, or set the Redis engine.",
                    self.cfg.workers,
                )
                sys.exit(APP_FAILED_TO_LOAD)
            limits.raise_open_files()
            if self.age == 1:  # of those that gunicorn starts later the same would hold
                for caution in cautions(self.cfg):
                    self.log.warning("%s", caution)
            service.start()
        super().run()
        if service is not None:
            self._wait_for(service)
            service.stop()

    def _wait_for(self, service: Service) -> None:
        """Until nothing is left to do: gunicorn knows nothing of hooks, nor of what others gave to us."""
        deadline = max(self._leave_by, time.monotonic() + LEAVE_TIME)
        while service.is_busy and time.monotonic() < deadline:
            self.notify()
            gevent.sleep(LEAVE_CHECK)

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """USR1: go on in new log files."""
        super().handle_usr1(sig, frame)
        logs.reopen()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM: tell the clients, then wait for them."""
        self._leave_by = time.monotonic() + self.cfg.graceful_timeout - STOP_TIME
        gevent.spawn(self._close_connections)
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """INT and QUIT: tell the clients, and go."""
        gevent.spawn(self._quit, sig, frame)

    def _quit(self, sig: int, frame: Any) -> None:
        with gevent.Timeout(LEAVE_TIME, False):  # type: ignore[arg-type]  # False: end the block silently
            self._close_connections()
        super().handle_quit(sig, frame)

    def _close_connections(self) -> None:
        service = service_of(self.wsgi)
        if service is not None:
            service.close_connections()
