"""Says in a response with status 404 what the server has instead: the path of a method, or the option that is off."""

from __future__ import annotations

from collections.abc import Collection

from ..api.methods import NAMES
from ..config.config import Config
from ..config.endpoints import ADMIN, API, API_PATH

NOT_FOUND_TEXT = "not found; the endpoints are /connection, /connection/websocket and /api/"


def find_hint(config: Config, endpoints: Collection[str], method: str, path: str) -> str:
    """Return what a request to a missing `path` probably needs; empty if that is not known.

    `endpoints` are the groups that the port serves: nothing is said about the others.
    """
    if not path.startswith(f"{config.http_prefix}/"):
        return ""
    name = path.removeprefix(f"{config.http_prefix}/")
    if name in NAMES and method == "POST" and API in endpoints:
        return f"not found; the path of this method is {config.http_prefix}{API_PATH}{name}"
    if name == "metrics" and ADMIN in endpoints and not config.prometheus:
        return 'not found; metrics are off: they need "prometheus": true in the configuration'
    if name == "health" and not config.health:
        return 'not found; health checks are off: they need "health": true in the configuration'
    return ""
