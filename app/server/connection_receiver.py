"""Accepts the connections that other processes of this machine pass over, and serves each as if it had come here."""

from __future__ import annotations

import logging
from typing import Any

from gevent.pywsgi import WSGIServer

from ..sockjs import fd_passing
from ..sockjs.session_directory import SessionDirectory
from .http_connection import HTTPConnection

log = logging.getLogger(__name__)

SENDING_TIMEOUT = 5.0
"""Seconds that another process may take to send a connection."""


class ConnectionReceiver:
    """Serves passed connections with `application`; `directory` is where other processes look for this one."""

    def __init__(self, application: Any, directory: SessionDirectory) -> None:
        self._application = application
        self._directory = directory
        self._server: _PassedConnectionServer | None = None

    def start(self) -> None:
        """Join the directory, and serve what other processes send. Raises OSError."""
        listener = self._directory.join()
        self._server = _PassedConnectionServer(listener, self._application, log=None, error_log=log)
        self._server.start()

    def stop(self) -> None:
        """Leave the directory. Connections that were received are served on; a second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            self._directory.leave()
            server.close()


class _PassedConnectionServer(WSGIServer):
    """Accepts Unix sockets, each of which brings one connection."""

    def handle(self, channel: Any, address: Any) -> None:
        try:
            channel.settimeout(SENDING_TIMEOUT)
            connection, request = fd_passing.receive_connection(channel)
        except OSError as error:
            log.debug("cannot receive a connection from another process: %s", error)
            return
        finally:
            channel.close()
        HTTPConnection(connection, _peer(connection), self, received=request).handle()


def _peer(connection: Any) -> Any:
    try:
        return connection.getpeername()
    except OSError:  # closed already, which the first read will find
        return ("closed", 0)
