"""Checks whether gevent has monkey-patched the standard library, without which no server can run."""

from __future__ import annotations

import functools
import logging

import click
from gevent import monkey

from .gunicorn import SUPPORTED_WORKERS, is_patching, opens_websockets, provides_sockets, settings_of_gunicorn

log = logging.getLogger(__name__)

NOT_PATCHED = (
    "Gentrifugo cannot run here: gevent has not patched this process. "
    f"Instead, run `gentrifugo --app module:name`, {SUPPORTED_WORKERS}. "
    'In a test, set app.config["TESTING"] = True.'
)
"""The log message if no server can run in this process."""
HOW_TO_SERVE = f"The HTTP API and calls such as publish work. Instead, run {SUPPORTED_WORKERS}."
NO_CONNECTIONS_WARNING = (
    f"The worker {{}} of gunicorn cannot serve WebSockets and SockJS, so no client can connect. {HOW_TO_SERVE}"
)
NO_WEBSOCKETS_WARNING = (
    "The worker {} of gunicorn cannot open WebSockets, so clients can connect only through the other transports of "
    f"SockJS. {HOW_TO_SERVE}"
)


def is_patched() -> bool:
    """Return whether blocking code, such as that of an application, lets other greenlets run."""
    return bool(monkey.is_module_patched("socket"))


@functools.cache  # one line in the log is enough
def warn_once(warning: str = NOT_PATCHED) -> None:
    """Log a warning that a server, or a part of it, cannot run in this process. Further calls do nothing."""
    log.warning("%s", warning)


def warn_if_serving() -> None:
    """Log once which features do not work in this process, if it is `flask run` or a gunicorn worker."""
    settings = settings_of_gunicorn()
    if settings is None:
        if _is_flask_run() and not is_patched():
            warn_once()
        return
    worker = settings.worker_class
    # With --preload, gunicorn loads the application before its worker patches the process.
    if not (is_patching(worker) or is_patched()):
        warn_once()
    elif not opens_websockets(worker):
        warning = NO_WEBSOCKETS_WARNING if provides_sockets(worker) else NO_CONNECTIONS_WARNING
        warn_once(warning.format(settings.worker_class_str))


def _is_flask_run() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name == "run"
