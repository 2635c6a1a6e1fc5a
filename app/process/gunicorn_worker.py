"""The gunicorn worker (docs/deployment.md)."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import gevent
from gevent.monkey import MonkeyPatchWarning
from gunicorn.workers.ggevent import GeventPyWSGIWorker

from .. import logs
from ..config.options import ConfigError
from ..net.bulk_send import describe_speedups
from ..runtime import limits
from ..runtime.serving_process import tune_for_serving
from ..server.http_connection import HTTPConnection
from ..server.http_server import HTTPServer
from ..service import Service
from ..views.mounted import service_of
from ..views.several_workers import REDIS_REQUIRED
from ..views.stock_worker import STOP_TIME

QUICK_SHUTDOWN_TIMEOUT = 1.0
"""Seconds in which the connections of clients are closed if the worker must exit quickly."""
MIN_WORKER_CONNECTIONS = 65536
"""Number of connections per worker that is high enough, because the CPU is the limit then."""
UNPATCHED_TYPE_HINT = r"Monkey-patching ssl .*\(NOT patched\): \['jwt\.jwks_client \([^']*\)'\]"
"""The warning of gevent about a module that was imported before it patches the process, and uses SSLContext only as a
type hint. A longer list of modules does not match, such as that of an application loaded with `--preload`.
"""
APP_FAILED_TO_LOAD = 4
"""Exit status that makes gunicorn stop instead of starting the worker again."""


def worker_warnings(settings: Any) -> Iterator[str]:
    """Yield a sentence for each limit of the system or of gunicorn that is lower than a server should have."""
    yield from (str(limit) for limit in limits.all_limits() if not limit.is_enough)
    connections = settings.worker_connections
    if connections < MIN_WORKER_CONNECTIONS:
        yield (
            f"worker_connections: {connections:,}; further connections to a worker would hang without an error; "
            "raise the setting as in conf/gunicorn.conf.py"
        )


class GentrifugoWorker(GeventPyWSGIWorker):  # type: ignore[misc]
    """A gunicorn worker for Gentrifugo: it serves HTTP with HTTPConnection, and closes all clients before it stops."""

    server_class = HTTPServer
    wsgi_handler = HTTPConnection
    _leave_by = 0.0
    """Monotonic time until which this worker may wait for hooks; 0 before TERM."""

    def patch(self) -> None:
        """Let gevent patch the process, without its warning about a type hint."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", UNPATCHED_TYPE_HINT, MonkeyPatchWarning)
            super().patch()

    def load_wsgi(self) -> None:
        """Load the application; an invalid configuration stops gunicorn, with a log line for each sentence."""
        try:
            super().load_wsgi()
        except ConfigError as error:
            for warning in error.warnings:
                self.log.warning("%s", warning)
            for problem in error.problems:
                self.log.error("%s", problem)
            sys.exit(APP_FAILED_TO_LOAD)

    def run(self) -> None:
        """Serve until gunicorn ends this worker."""
        service = service_of(self.wsgi)
        if service is not None:
            if service.is_single and self.cfg.workers > 1:
                self.log.error("cannot serve with %d workers: %s", self.cfg.workers, REDIS_REQUIRED)
                sys.exit(APP_FAILED_TO_LOAD)
            limits.raise_open_files()
            if self.age == 1:  # of those that gunicorn starts later the same would hold
                self.log.info("%s", describe_speedups())
                for warning in worker_warnings(self.cfg):
                    self.log.warning("%s", warning)
            tune_for_serving()
            service.start()
        super().run()
        if service is not None:
            self._wait_for(service)
            service.stop()

    def _wait_for(self, service: Service) -> None:
        """Wait for running hooks and for connections from other processes, which gunicorn does not know about."""
        deadline = max(self._leave_by, time.monotonic() + QUICK_SHUTDOWN_TIMEOUT)
        service.wait_until_idle(deadline, self.notify)

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """Handle SIGUSR1: reopen the log files."""
        super().handle_usr1(sig, frame)
        logs.reopen()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Handle SIGTERM: close all clients, then wait until their connections have ended."""
        self._leave_by = time.monotonic() + self.cfg.graceful_timeout - STOP_TIME
        gevent.spawn(self._close_connections)
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Handle SIGINT and SIGQUIT: close all clients, then exit."""
        gevent.spawn(self._quit, sig, frame)

    def _quit(self, sig: int, frame: Any) -> None:
        with gevent.Timeout(QUICK_SHUTDOWN_TIMEOUT, False):  # type: ignore[arg-type]  # False: end the block silently
            self._close_connections()
        super().handle_quit(sig, frame)

    def _close_connections(self) -> None:
        service = service_of(getattr(self, "wsgi", None))  # gunicorn sets it when the application is loaded
        if service is not None:
            service.close_connections()
