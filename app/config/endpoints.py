"""The groups of endpoints of a server, the most used paths, and the groups with a separate port."""

from __future__ import annotations

from .config import Config

CLIENT, API, ADMIN = "client", "api", "admin"
ENDPOINTS = (CLIENT, API, ADMIN)

# Below option http_prefix.
API_PATH = "/api/"
API_PATH_WITHOUT_SLASH = "/api"
"""The path of the API without the slash at its end, to which libraries for Centrifugo 2 to 4 send requests.

Those in PHP do not follow redirects.
"""
SOCKJS_PATH = "/connection"
WEBSOCKET_PATH = f"{SOCKJS_PATH}/websocket"
SOCKET_PATH = "/socket"
"""The admin socket."""


def own_ports(config: Config) -> dict[str, int]:
    """Return the groups of endpoints with a separate port, and that port (options api_port and admin_port)."""
    ports = {API: config.api_port, ADMIN: config.admin_port}
    return {endpoint: int(port) for endpoint, port in ports.items() if port and int(port) != config.port}
