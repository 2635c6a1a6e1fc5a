"""Says in a response with status 404 what the server has instead: the path of a method, or the option that is off."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ..api.http_api import given_key
from ..api.methods import NAMES
from ..config.config import Config
from ..config.endpoints import ADMIN, API, API_PATH, SOCKJS_PATH, WEBSOCKET_PATH
from ..http.response import JSON_TYPE

METHOD_PATH = re.compile(r"((api|v[0-9])/)*(?P<name>\w+)/?")
"""A path below the prefix that probably means a method of the API."""


def not_found_text(prefix: str) -> str:
    """Return the text for a path about which nothing else is known; `prefix` is the option http_prefix."""
    return f"not found; the endpoints are {prefix}{SOCKJS_PATH}, {prefix}{WEBSOCKET_PATH} and {prefix}{API_PATH}"


def find_hint(config: Config, endpoints: Collection[str], method: str, path: str) -> str:
    """Return what a request to a missing `path` probably needs; empty if that is not known.

    `endpoints` are the groups that the port serves: nothing is said about the others.
    """
    if not path.startswith(f"{config.http_prefix}/"):
        return ""
    name = path.removeprefix(f"{config.http_prefix}/")
    found = METHOD_PATH.fullmatch(name)
    if found and found["name"] in NAMES and method == "POST" and API in endpoints:
        return f"not found; the path of this method is {config.http_prefix}{API_PATH}{found['name']}"
    if name == "metrics" and ADMIN in endpoints and not config.prometheus:
        return 'not found; metrics are off: they need "prometheus": true in the configuration'
    if name == "health" and not config.health:
        return 'not found; health checks are off: they need "health": true in the configuration'
    return ""


def is_api_call(method: str, path: str, headers: Mapping[str, str], query: str) -> bool:
    """Return whether a request to a missing `path` looks like a call of the API.

    Such a request is a POST with a key, a signature or JSON, or with a part of the path that is named as the API.
    `query` is the query of the target, without the question mark. Header names are in lower case.
    """
    if method != "POST":
        return False
    has_proof = "x-api-sign" in headers or bool(given_key(headers, query))
    is_json = headers.get("content-type", "").lower().startswith(JSON_TYPE)
    return has_proof or is_json or API_PATH in f"{path}/"
