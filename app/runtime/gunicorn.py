"""The gunicorn process that loads an application: its settings, and the features of its worker class."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

GENTRIFUGO_WORKER = "gentrifugo.GentrifugoWorker"
STOCK_WORKER = "geventwebsocket.gunicorn.workers.GeventWebSocketWorker"
SUPPORTED_WORKERS = f"`gunicorn -k {GENTRIFUGO_WORKER}` or `gunicorn -k {STOCK_WORKER}`"
"""The commands of gunicorn with worker classes that support everything."""
NO_WEBSOCKETS = f"this server cannot open WebSockets: instead, run {SUPPORTED_WORKERS}, or the command `gentrifugo`"
NO_SOCKJS = f"this server cannot serve SockJS: instead, run {SUPPORTED_WORKERS}, or the command `gentrifugo`"

GEVENT_WORKERS = "gunicorn.workers.ggevent"
"""The module with the base class of all workers whose process gevent patches."""


def settings_of_gunicorn() -> Any | None:
    """Return gunicorn's settings while it loads an application; None later, and in other processes.

    gunicorn does not pass them to applications, so they are read from the frames of its running functions.
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
    """Return whether a worker class lets gevent patch its process, as those in `SUPPORTED_WORKERS` do."""
    return any(base.__module__ == GEVENT_WORKERS for base in worker.__mro__)


def opens_websockets(worker: type) -> bool:
    """Return whether the handler of a worker class is one of Gentrifugo or gevent-websocket, which open WebSockets."""
    handler = getattr(worker, "wsgi_handler", None)
    return hasattr(handler, "upgrade") or hasattr(handler, "upgrade_websocket")


def provides_sockets(worker: type) -> bool:
    """Return whether a worker class provides the socket of a request to the application, which SockJS requires."""
    return getattr(worker, "server_class", None) is not None
