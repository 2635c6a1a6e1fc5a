"""Serves the admin sockets: WebSockets whose messages an AdminConnection carries out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..app.model.errors import CLOSE_LIMIT_EXCEEDED, CLOSE_SHUTDOWN, Closing
from ..app.net.flusher import Flusher
from ..app.service import Service
from ..app.websocket.connection import WebSocket
from .access import Access
from .connection import AdminConnection
from .unauthenticated import UnauthenticatedSockets

MAX_OPERATORS = 1000
"""Maximum number of admin sockets of one process that have sent a valid token."""


class AdminSockets:
    """The admin sockets of one process. Those without a valid token are counted separately."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._flusher = Flusher()
        """Writes to the operators. That of the node counts its frames and bytes as sent to clients."""
        self._authenticated: set[AdminConnection] = set()
        self._unauthenticated = UnauthenticatedSockets()

    def serve(self, service: Service, address: str, session: str, socket: Any, recv: Callable[[int], bytes]) -> None:
        """Serve an operator at `address` whose WebSocket handshake is done; returns when the connection has ended.

        `session` is the token in the cookie of the handshake; empty if there is none.
        """
        node, config = service.node, service.config
        max_size = config.client_request_max_size
        websocket = WebSocket(socket, recv, self._flusher, node.timers, config, max_size)
        connection = AdminConnection(node, self._access, websocket, self._admit, session)
        service.operators.add(connection)
        try:
            self._add(connection, address)
            if node.stopping:
                connection.close(CLOSE_SHUTDOWN)
            websocket.serve(connection, connection.handle)
        finally:
            service.operators.discard(connection)
            self._authenticated.discard(connection)
            self._unauthenticated.remove(connection)

    def _add(self, connection: AdminConnection, address: str) -> None:
        if not connection.authenticated:
            self._unauthenticated.add(connection, address)
            return
        try:
            self._admit(connection)
        except Closing as closing:
            connection.close(closing.disconnect)

    def _admit(self, connection: AdminConnection) -> None:
        """Count an authenticated operator. Raises Closing if there are too many."""
        self._unauthenticated.remove(connection)
        if connection not in self._authenticated and len(self._authenticated) >= MAX_OPERATORS:
            raise Closing(CLOSE_LIMIT_EXCEEDED)
        self._authenticated.add(connection)
