"""Where sibling processes give connections to this one: each is served by our handler, as if it had come here."""

from __future__ import annotations

import logging
from typing import Any

from gevent.pywsgi import WSGIServer

from ..sockjs import fd_passing
from ..sockjs.session_directory import Siblings
from .http_connection import Handler

log = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds that a sibling may take to give a connection."""


class Reception:
    """The inner door of one process. Only processes of the same user come near it."""

    def __init__(self, application: Any, siblings: Siblings) -> None:
        self._application = application
        self._siblings = siblings
        self._server: _Server | None = None

    def start(self) -> None:
        """Join the siblings and serve what they give. Raises OSError."""
        listener = self._siblings.join()
        self._server = _Server(listener, self._application, log=None, error_log=log)
        self._server.start()

    def stop(self) -> None:
        """Leave the siblings. What was given is served on; a second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            self._siblings.leave()
            server.close()


class _Server(WSGIServer):
    """Accepts connections that hold a connection each."""

    def handle(self, channel: Any, address: Any) -> None:
        try:
            channel.settimeout(TIMEOUT)
            connection, request = fd_passing.receive(channel)
        except OSError as error:
            log.debug("a connection was not given: %s", error)
            return
        finally:
            channel.close()
        handler = Handler(connection, _peer(connection), self)
        handler.go_on(request)
        handler.handle()


def _peer(connection: Any) -> Any:
    try:
        return connection.getpeername()
    except OSError:  # gone already, which the handler will find
        return ("gone", 0)
