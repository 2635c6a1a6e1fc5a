"""Redirects to paths of the server that end with a slash, for requests without it."""

from __future__ import annotations

from urllib.parse import quote

from flask import Flask, Response, current_app, request
from werkzeug.routing import RequestRedirect

ENDPOINT_PREFIX = "gentrifugo"
"""The beginning of the names of all Flask endpoints of the server."""


def redirect_relatively(app: Flask) -> None:
    """Use relative addresses for redirects to the paths of the server.

    Werkzeug's addresses are absolute, with scheme, host and path of the inner request, which are wrong behind a proxy.
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
