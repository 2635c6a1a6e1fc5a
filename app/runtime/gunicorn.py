"""The gunicorn that loads an application in this process: its settings, and what its worker can serve."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

GENTRIFUGO_WORKER = "gentrifugo.GentrifugoWorker"
STOCK_WORKER = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
SUPPORTED_WORKERS = f"`gunicorn -k {GENTRIFUGO_WORKER}` or `gunicorn -k {STOCK_WORKER}`"
"""The workers that can serve everything, as one types them."""
NO_WEBSOCKETS = f"this server cannot open WebSockets: instead, run {SUPPORTED_WORKERS}, or the command `gentrifugo`"
NO_SOCKJS = f"this server cannot serve SockJS: instead, run {SUPPORTED_WORKERS}, or the command `gentrifugo`"

GEVENT_WORKERS = "gunicorn.workers.ggevent"
"""The module with the base class of all workers whose process gevent patches."""


def settings_of_gunicorn() -> Any | None:
    """gunicorn's settings while it loads an application; None in every other process, and later.

    gunicorn does not pass them to applications, so they are taken from its functions that are running.
    """
    if "gunicorn" not in sys.modules:
        return None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("gunicorn."):
            settings = getattr(frame.f_locals.get("self"), "cfg", None)
            if settings is not None:
                return settings
        frame = frame.f_back
    return None


def is_patching(worker: type) -> bool:
    """Return whether gevent patches the processes of a class of workers.

    Both of `SUPPORTED_WORKERS` are among these.
    """
    return any(base.__module__ == GEVENT_WORKERS for base in worker.__mro__)


def opens_websockets(worker: type) -> bool:
    """Return whether the handler of a worker class can open WebSockets: that of Gentrifugo or of gevent-websocket."""
    handler = getattr(worker, "wsgi_handler", None)
    return hasattr(handler, "upgrade") or hasattr(handler, "upgrade_websocket")


def shows_sockets(worker: type) -> bool:
    """Return whether a class of workers lets the application find the socket of a request, which SockJS needs."""
    return getattr(worker, "server_class", None) is not None
