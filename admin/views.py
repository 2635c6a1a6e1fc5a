"""The admin endpoints as Flask blueprints: log in, admin socket, web interface, metrics, health, debug.

Each is served only if an option enables it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import msgspec
from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import MethodNotAllowed

from ..app.config.endpoints import SOCKET_PATH
from ..app.http.body import too_large_error
from ..app.http.head import HTTPError
from ..app.http.origins import MAX_LOGGED_HEADER, is_own
from ..app.http.outer_address import client_of, peer_of
from ..app.http.response import HTTPResponse, json_response, text_response
from ..app.http.upgrade import open_websocket
from ..app.service import Service
from ..app.views.several_workers import refusal
from ..app.views.views import OTHER_METHODS, current_service, ready, refuse, respond
from ..engines.health import ServerHealth, describe_unreachable
from . import centrifugo_metrics, debug, metrics, web
from .access import INSECURE_TOKEN, Access
from .session import begin_session, end_session, session_token
from .socket import AdminSockets

AUTH_PATH = "/auth/"
SESSION_PATH = f"{AUTH_PATH}session"
METRICS_PATH = "/metrics"
HEALTH_PATH = "/health"

MAX_LOGIN_SIZE = 4096
"""Maximum bytes of a login request."""


def register_admin_views(app: Flask, service: Service) -> None:
    """Add the admin endpoints that are enabled in the configuration to an application with `service`."""
    config = service.config
    prefix = config.http_prefix or None
    if config.admin or config.web:
        app.register_blueprint(socket_blueprint(Access(lambda: service.config)), url_prefix=prefix)
    if config.prometheus:
        app.register_blueprint(metrics_blueprint(service), url_prefix=prefix)
    if config.debug:
        app.register_blueprint(debug.debug_blueprint(), url_prefix=prefix)
    if config.web:
        app.register_blueprint(web.web_blueprint(config.web_path), url_prefix=prefix)
    register_health(app, service)


def register_health(app: Flask, service: Service) -> None:
    """Add `/health`, which load balancers request on the port for clients too."""
    if service.config.health:
        blueprint = Blueprint("gentrifugo_health", __name__)
        blueprint.add_url_rule(HEALTH_PATH, "health", lambda: respond(_health(service)))
        app.register_blueprint(blueprint, url_prefix=service.config.http_prefix or None)


def socket_blueprint(access: Access) -> Blueprint:
    """Create the blueprint of the login and the admin socket."""
    blueprint = Blueprint("gentrifugo_admin", __name__)
    sockets = AdminSockets(access)
    logins = {
        AUTH_PATH: ("auth", _own_origin_only(lambda: _log_in(access))),
        SESSION_PATH: ("session", _own_origin_only(lambda: _session(access))),
    }
    for path, (name, view) in logins.items():
        # With all methods, which the views check: the web interface has files at all paths, and allows others there.
        methods = ("POST", *OTHER_METHODS)
        blueprint.add_url_rule(path, name, view, methods=methods, provide_automatic_options=False)
    blueprint.before_app_request(lambda: _refuse_made_up_method({path: view for path, (_, view) in logins.items()}))
    serve = _own_origin_only(ready(lambda service: _socket(service, sockets)))
    # Werkzeug would not route requests without an upgrade to a WebSocket rule; they need an answer with the reason.
    blueprint.add_url_rule(SOCKET_PATH, "socket", serve, websocket=True)
    blueprint.add_url_rule(SOCKET_PATH, "no_socket", serve)
    return blueprint


def metrics_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of the metrics for Prometheus."""
    blueprint = Blueprint("gentrifugo_metrics", __name__)
    scrapes = {
        "gentrifugo": metrics.exposition(service.node),
        "centrifugo": centrifugo_metrics.centrifugo_exposition(service.node),
    }

    def answer() -> Response:
        if refused := refusal(current_app):
            return refuse(HTTPError(503, refused))
        wanted = dict.fromkeys(request.args.getlist("names") or ["gentrifugo"])
        if unknown := wanted.keys() - scrapes.keys():
            return refuse(HTTPError(400, f"names is one of {', '.join(scrapes)}, not {min(unknown)[:100]!r}"))
        return Response(b"".join(scrapes[name]() for name in wanted), content_type=metrics.CONTENT_TYPE)

    blueprint.add_url_rule(METRICS_PATH, "metrics", answer)
    return blueprint


def _own_origin_only(view: Callable[[], Response]) -> Callable[[], Response]:
    """Wrap a view to refuse pages of other sites, and to answer errors with their reason."""

    @functools.wraps(view)
    def checked() -> Response:
        try:
            if refused := refusal(current_app):
                raise HTTPError(503, refused)
            origin = request.headers.get("Origin")
            if not is_own(origin, request.host):
                current_service().origin_policy.refusals.note(
                    origin or "", "which are not the server's own, at the admin endpoints", request.host
                )
                reason = (
                    f"the header Origin does not name the host of the request, {request.host[:MAX_LOGGED_HEADER]!r}"
                )
                raise HTTPError(403, f"pages of other sites may not use the admin endpoints: {reason}")
            return view()
        except HTTPError as error:
            return refuse(error)

    return checked


def _refuse_made_up_method(views: Mapping[str, Callable[[], Response]]) -> Response | None:
    """Refuse a request with an HTTP method that Flask does not route to the `views`, which are given by path."""
    if not isinstance(request.routing_exception, MethodNotAllowed):
        return None
    prefix = current_service().config.http_prefix
    return next((view() for path, view in views.items() if request.path == f"{prefix}{path}"), None)


def _log_in(access: Access) -> Response:
    if request.method != "POST":
        raise HTTPError(405, "method not allowed: log in with POST and the form field password", {"Allow": "POST"})
    return _not_stored({"token": _log_in_by_form(access)})


def _log_in_by_form(access: Access) -> str:
    """Check the password in the form of the request, and return a new token. Raises HTTPError."""
    if (request.content_length or 0) > MAX_LOGIN_SIZE:
        raise too_large_error(MAX_LOGIN_SIZE)
    request.max_content_length = MAX_LOGIN_SIZE  # also for a request without a length
    return access.log_in(_client_address(), request.form.get("password", ""), _read_operator())


def _read_operator() -> str:
    """Return the name of the operator that a trusted proxy has put into the header of option admin_trusted_header.

    Raises HTTPError if the header has several values: the proxy has passed one on that the client has sent.
    """
    service = current_service()
    name = service.config.admin_trusted_header
    value = request.headers.get(name, "").strip() if name else ""
    if not value:
        return ""
    peer = peer_of(request.environ)
    if not service.proxies.trusts(peer):
        service.proxies.note_ignored(name, peer)
        return ""
    if "," in value:
        raise HTTPError(400, f"the header {name} has several values: the proxy must replace what clients send")
    return value


def _session(access: Access) -> Response:
    """Log in or out with a cookie, or return whether this needs a password.

    POST and DELETE need the header Origin, which all browsers send with these methods.
    """
    if request.method in ("GET", "HEAD"):
        return _not_stored({"needs_password": access.needs_password(_read_operator())})
    if request.method not in ("POST", "DELETE"):
        raise HTTPError(
            405, "method not allowed: a session requires GET, POST or DELETE", {"Allow": "GET, HEAD, POST, DELETE"}
        )
    if request.headers.get("Origin") is None:
        raise HTTPError(403, "only pages of the server can have a session; programs log in at /auth/")
    service = current_service()
    if request.method == "DELETE":
        response = _not_stored({})
        end_session(service, request, response)
        return response
    token = _log_in_by_form(access)
    response = _not_stored({"insecure": token == INSECURE_TOKEN})
    begin_session(service, request, response, token)
    return response


def _not_stored(data: dict[str, object]) -> Response:
    response = respond(json_response(msgspec.json.encode(data)))
    response.headers["Cache-Control"] = "no-store"
    return response


def _socket(service: Service, sockets: AdminSockets) -> Response:
    sockets.serve(service, _client_address(), session_token(request), *open_websocket(request.environ))
    return Upgraded()


def _client_address() -> str:
    """Return the address of the client, which a trusted proxy may have reported; empty for a Unix socket."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    return client_of(request.environ, headers, current_service().proxies)


class Upgraded(Response):
    """The response object for a request that was upgraded to a WebSocket, which has been closed."""

    def __call__(self, environ: object, start_response: object) -> list[bytes]:
        """Send nothing, because the connection is closed."""
        return []


def _health(service: Service) -> HTTPResponse:
    if refused := refusal(current_app):
        return text_response(503, refused)
    if service.node.stopping:
        return text_response(503, "the server is shutting down")
    if request.args.get("engine") and (away := describe_unreachable(_servers(service))):
        return text_response(503, away)
    return json_response(b"{}")


def _servers(service: Service) -> list[ServerHealth]:
    return [figures.health for figures in service.node.engine_servers()]
