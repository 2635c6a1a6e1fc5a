"""Refuses the server in an application that several processes serve while its engine does not connect them.

Each process would have clients of its own, and what is published in one of them would not reach those of the others.
"""

from __future__ import annotations

import functools
import logging

from flask import Flask, has_request_context, request

from .mounted import mounted_server

log = logging.getLogger(__name__)

ONE_SERVER = (
    "several workers require the Redis engine, because the memory engine does not connect processes: "
    'set app.config["GENTRIFUGO_ENGINE"] = "redis" in a Flask application, or "engine": "redis" in a configuration '
    "file, or CENTRIFUGO_ENGINE=redis in the environment of gentrifugo:create_app(); or start one worker"
)
"""Why such a server refuses everything, and what to do."""


def refusal(application: Flask) -> str:
    """Return why the server in an application may not serve in this process; empty if it may. The log gets it once."""
    mounted = mounted_server(application)
    if mounted is None or not mounted.service.is_single:
        return ""
    if mounted.workers <= 1 and not (has_request_context() and request.environ.get("wsgi.multiprocess")):
        return ""
    _log_once()
    return ONE_SERVER


@functools.cache
def _log_once() -> None:
    log.error("%s; until then, every request and every call is refused", ONE_SERVER)
