"""Whether gevent has monkey-patched the standard library. In a process without that, no server can run."""

from __future__ import annotations

import functools
import logging
import sys

import click
from gevent import monkey

log = logging.getLogger(__name__)

NOT_PATCHED = (
    "Gentrifugo cannot run here: gevent has not patched this process. "
    "Instead, run `gentrifugo --app module:name`, or `gunicorn -k gentrifugo.GentrifugoWorker`. "
    'In a test, set app.config["TESTING"] = True.'
)
"""Why no server can run in this process, and what to do."""


def is_patched() -> bool:
    """Whether blocking code, such as that of an application, lets other greenlets run."""
    return bool(monkey.is_module_patched("socket"))


@functools.cache  # one line in the log is enough
def warn_once() -> None:
    """Log a warning that no server can run in this process. Further calls do nothing."""
    log.warning("%s", NOT_PATCHED)


def warn_if_serving() -> None:
    """`warn_once` in a process that will serve an application without gevent: `flask run`, or a gunicorn worker."""
    if not is_patched() and (_is_flask_run() or _is_gunicorn_without_gevent()):
        warn_once()


def _is_flask_run() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"


def _is_gunicorn_without_gevent() -> bool:
    # With --preload, gunicorn loads the application before its gevent worker patches, but after it imports the worker.
    return "gunicorn.arbiter" in sys.modules and "gunicorn.workers.ggevent" not in sys.modules
