"""Serves the admin socket: a WebSocket whose messages an AdminConnection carries out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..app.model.errors import CLOSE_LIMIT_EXCEEDED, CLOSE_SHUTDOWN
from ..app.service import TOO_LARGE, Service
from ..app.websocket.connection import WebSocket
from .access import Access
from .connection import AdminConnection

MAX_OPERATORS = 1000
"""Admin sockets of one process. Operators need fewer, and each costs memory before it has shown a token."""


def serve_operator(service: Service, access: Access, socket: Any, recv: Callable[[int], bytes]) -> None:
    """Serve an operator whose WebSocket handshake is done; returns when the connection has ended."""
    node, config = service.node, service.config
    max_size = config.client_request_max_size
    websocket = WebSocket(socket, recv, node.flusher, node.timers, config, max_size, TOO_LARGE)
    connection = AdminConnection(node, service.api, access, websocket)
    if len(service.operators) >= MAX_OPERATORS:
        connection.close(CLOSE_LIMIT_EXCEEDED)
    elif node.stopping:
        connection.close(CLOSE_SHUTDOWN)
    service.operators.add(connection)
    try:
        websocket.serve(connection, connection.handle)
    finally:
        service.operators.discard(connection)
