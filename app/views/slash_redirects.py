"""Redirects to paths of the server that end with a slash, for requests without it."""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, Response, current_app, request
from werkzeug.routing import RequestRedirect

ENDPOINT_PREFIX = "gentrifugo"
"""How the names of all endpoints of the server begin in an application."""


def redirect_relatively(app: Flask) -> None:
    """Redirect to the paths of the server with addresses that are relative to the request's.

    Werkzeug's are absolute, with the scheme, host and path of the inner request: behind a proxy they lead elsewhere.
    """
    app.before_request(_redirect)


def _redirect() -> Response | None:
    if not isinstance(request.routing_exception, RequestRedirect) or not _is_own(f"{request.path}/"):
        return None
    query = request.query_string.decode("latin-1")
    location = quote(request.path.rpartition("/")[2]) + "/" + (f"?{query}" if query else "")
    return Response(status=request.routing_exception.code, headers={"Location": location})


def _is_own(path: str) -> bool:
    rules = current_app.url_map.iter_rules()
    return any(rule.rule == path and rule.endpoint.startswith(ENDPOINT_PREFIX) for rule in rules)
