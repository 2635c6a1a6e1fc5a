"""Whether gevent has patched the standard library: a server in an application cannot run where it has not."""

from __future__ import annotations

import functools
import logging
import sys

import click
from gevent import monkey

log = logging.getLogger(__name__)

HOW = "run `gentrifugo --app module:name`, or gunicorn with a gevent worker"
REASON = f"Gentrifugo cannot run here: gevent has not patched this process. Instead, {HOW}."
"""What is said where it is needed."""


def is_patched() -> bool:
    """Whether blocking code of the application lets others run."""
    return bool(monkey.is_module_patched("socket"))


@functools.cache  # the log needs to hear it once
def warn() -> None:
    """Say in the log that no server can run here."""
    log.warning("%s", REASON)


def warn_where_it_serves() -> None:
    """The same, if what has loaded the application is about to serve it: `flask run`, or gunicorn without gevent."""
    if not is_patched() and (_is_flask_run() or _is_gunicorn_without_gevent()):
        warn()


def _is_flask_run() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"


def _is_gunicorn_without_gevent() -> bool:
    # A gevent worker may load the application before it patches (--preload); its class is known by then.
    return "gunicorn.arbiter" in sys.modules and "gunicorn.workers.ggevent" not in sys.modules
