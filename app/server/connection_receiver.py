"""Receives client connections from other processes on this machine, and serves them."""

from __future__ import annotations

import logging
from contextlib import suppress
from socket import AF_UNIX, IPPROTO_TCP, TCP_NODELAY
from typing import Any

from ..exchange import fd_passing
from ..sockjs.session_directory import SessionDirectory
from .accepting import AcceptingServer
from .http_connection import HTTPConnection

log = logging.getLogger(__name__)

SENDING_TIMEOUT = 5.0
"""Seconds that another process may take to send a connection."""


class ConnectionReceiver:
    """Serves received connections with `application`; other processes find this one in `directory`."""

    def __init__(self, application: Any, directory: SessionDirectory) -> None:
        self._application = application
        self._directory = directory
        self._server: _PassedConnectionServer | None = None

    def start(self) -> None:
        """Register in the directory and serve the connections that other processes send. Raises OSError."""
        listener = self._directory.join()
        self._server = _PassedConnectionServer(listener, self._application, log=None, error_log=log)
        self._server.start()

    def stop(self) -> None:
        """Unregister from the directory. Received connections stay open. A second call does nothing."""
        server, self._server = self._server, None
        if server is not None:
            self._directory.leave()
            server.close()


class _PassedConnectionServer(AcceptingServer):
    """Accepts Unix socket connections, each of which transfers one client connection."""

    def handle(self, channel: Any, address: Any) -> None:
        """Receive one client connection over `channel`, and serve it."""
        try:
            channel.settimeout(SENDING_TIMEOUT)
            connection, request = fd_passing.receive_connection(channel)
        except OSError as error:
            log.debug("cannot receive a connection from another process: %s", error)
            return
        finally:
            channel.close()
        if connection.family != AF_UNIX:
            with suppress(OSError):  # closed already, as below
                # HTTPServer has set this for the connections that it accepts, but servers of other kinds may not have.
                connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        peer = _peer(connection)
        opened = HTTPConnection(connection, peer, self, received=request, was_passed=True).serve_requests()
        if opened is not None:
            opened.serve()


def _peer(connection: Any) -> Any:
    try:
        return connection.getpeername()
    except OSError:  # closed already, which the first read will find
        return ("closed", 0)
