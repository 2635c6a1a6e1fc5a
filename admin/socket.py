"""The admin socket's way onto the network: a WebSocket whose messages an AdminConnection carries out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..app.model.errors import CLOSE_LIMIT_EXCEEDED, CLOSE_SHUTDOWN
from ..app.service import Service
from ..app.websocket.connection import WebSocket
from .access import Access
from .connection import AdminConnection

log = logging.getLogger(__name__)

MOST_OPEN = 1000
"""Admin sockets of one process: more come from no operator, and each costs memory before it has shown a token."""


def serve(service: Service, access: Access, socket: Any, recv: Callable[[int], bytes]) -> None:
    """Serve an operator whose WebSocket handshake is done; returns when the connection has ended."""
    node = service.node
    websocket = WebSocket(
        socket,
        recv,
        node.flusher,
        node.timers,
        service.config,
        max_size=service.config.client_request_max_size,
        too_big=(CLOSE_LIMIT_EXCEEDED.code, CLOSE_LIMIT_EXCEEDED.close_reason),
    )
    connection = AdminConnection(node, service.api, access, websocket)
    websocket.owner = connection
    too_many = len(service.operators) >= MOST_OPEN
    service.operators.add(connection)
    try:
        if too_many:
            connection.close(CLOSE_LIMIT_EXCEEDED)
        elif node.stopping:
            connection.close(CLOSE_SHUTDOWN)
        while (message := websocket.receive()) is not None:
            connection.handle(message.data)
    except Exception:
        log.exception("an admin connection is closed because of an error of ours")
        connection.close_broken()
    finally:
        connection.close()
        websocket.finish()
        service.operators.discard(connection)
