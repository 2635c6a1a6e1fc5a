"""The endpoints of a server: their groups, the paths of the busiest, and which groups have a port of their own."""

from __future__ import annotations

from .config import Config

CLIENT, API, ADMIN = "client", "api", "admin"
ENDPOINTS = (CLIENT, API, ADMIN)

# Below option http_prefix.
API_PATH = "/api/"
SOCKJS_PATH = "/connection"
WEBSOCKET_PATH = f"{SOCKJS_PATH}/websocket"
SOCKET_PATH = "/socket"
"""The admin socket."""


def own_ports(config: Config) -> dict[str, int]:
    """The endpoints that have a port of their own, and which (options api_port and admin_port)."""
    ports = {API: config.api_port, ADMIN: config.admin_port}
    return {endpoint: int(port) for endpoint, port in ports.items() if port and int(port) != config.port}
