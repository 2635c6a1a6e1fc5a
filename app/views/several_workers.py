"""Refuses requests if several processes serve an application, but its engine does not connect them.

Each process would have its own clients, and a message that is published in one process would not reach the others.
"""

from __future__ import annotations

import functools
import logging

from flask import Flask, has_request_context, request

from .mounted import mounted_server

log = logging.getLogger(__name__)

REDIS_REQUIRED = (
    "several workers require the Redis engine, because the memory engine does not connect processes: "
    'set app.config["GENTRIFUGO_ENGINE"] = "redis" in a Flask application, or "engine": "redis" in a configuration '
    "file, or CENTRIFUGO_ENGINE=redis in the environment of gentrifugo:create_app(); or start one worker"
)
"""The error text for such a server: the reason, and what to do."""


def refusal(application: Flask) -> str:
    """Return the reason why an application must not be served in this process; empty if it may. Logs it once."""
    mounted = mounted_server(application)
    if mounted is None or not mounted.service.is_single:
        return ""
    if mounted.workers <= 1 and not (has_request_context() and request.environ.get("wsgi.multiprocess")):
        return ""
    _log_once()
    return REDIS_REQUIRED


@functools.cache
def _log_once() -> None:
    log.error("%s; refusing all requests and calls", REDIS_REQUIRED)
