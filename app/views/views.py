"""The endpoints as Flask views: for other servers, and for requests that HTTPConnection does not serve itself."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import MethodNotAllowed

from ..api.http_api import OPENAPI, OTHER_SCHEME, has_key
from ..api.methods import NAMES
from ..config.endpoints import API_PATH, API_PATH_WITHOUT_SLASH, WEBSOCKET_PATH
from ..exchange.wsgi_exchange import serve_wsgi
from ..http import upgrade
from ..http.client_address import peer_name
from ..http.head import HTTPError
from ..http.misplaced_handshake import is_handshake, note_misplaced_handshake
from ..http.outer_address import client_of
from ..http.response import JSON_TYPE, HTTPResponse, error_response
from ..protocol.v1.http_api import NO_SIGN
from ..runtime import monkey
from ..service import Service
from ..sockjs.endpoint import RAW_WEBSOCKET, SockJS
from ..streams.endpoint import Streams
from .mounted import service_for_requests, service_of
from .request_body import limited_body
from .several_workers import refusal
from .stock_worker import close_clients_on_exit, log_speedups

MULTIPART = "multipart/form-data"
FORM_TYPES = ("application/x-www-form-urlencoded", MULTIPART)
MAX_LEADING_WHITESPACE = 64
"""Bytes at the beginning of a body that are searched for its first character other than white space."""
OTHER_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT", "TRACE")
"""The HTTP methods that a method of the API refuses. Otherwise another view, such as the web interface, answers 404."""

READING_METHODS = ("GET", "HEAD")


def current_service() -> Service:
    """Return the service of the application that handles this request."""
    return service_for_requests(current_app)


def api_blueprint() -> Blueprint:
    """Create the blueprint of the HTTP API (docs/api.md)."""
    blueprint = Blueprint("gentrifugo_api", __name__)
    view = ready(_api)
    all_methods = ("POST", *OTHER_METHODS)
    for path in (API_PATH, API_PATH_WITHOUT_SLASH):
        blueprint.add_url_rule(path, "api", view, methods=all_methods, provide_automatic_options=False)
    blueprint.add_url_rule(f"{API_PATH}<method>", "method", _method, methods=["POST"], provide_automatic_options=False)
    blueprint.add_url_rule(
        f"{API_PATH}<method>", "not_post", _require_post, methods=OTHER_METHODS, provide_automatic_options=False
    )
    document = f"{API_PATH}{OPENAPI}"
    others = ("POST", *(method for method in OTHER_METHODS if method not in READING_METHODS))
    blueprint.add_url_rule(document, "openapi", ready(_openapi), methods=["GET"], provide_automatic_options=False)
    blueprint.add_url_rule(document, "not_get", _require_get, methods=others, provide_automatic_options=False)
    blueprint.before_app_request(_refuse_unknown_verb)
    return blueprint


def client_blueprint() -> Blueprint:
    """Create the blueprint of the endpoints for clients."""
    blueprint = Blueprint("gentrifugo_client", __name__)
    # This runs before routing, because Werkzeug would merge slashes, redirect, and answer some requests itself.
    blueprint.before_app_request(_serve_client)
    return blueprint


def ready(view: Callable[[Service], Response]) -> Callable[[], Response]:
    """Wrap a view: start the service if needed, and refuse requests while it shuts down."""

    @functools.wraps(view)  # so that an application can name it, to exempt it from CSRF protection
    def checked() -> Response:
        service = current_service()
        if refused := refusal(current_app):
            return refuse(HTTPError(503, refused))
        if not service.started:
            if not (monkey.is_patched() or "gentrifugo.handler" in request.environ):
                monkey.warn_once()
                return refuse(HTTPError(501, monkey.NOT_PATCHED))
            service.start()
        if "gentrifugo.handler" not in request.environ and service is service_of(current_app):
            close_clients_on_exit(service)  # here, since a call of the application may have started the service
            log_speedups()
        if service.node.stopping and not upgrade.is_open(request.environ):  # that is closed with the reason
            return refuse(HTTPError(503, "the server is shutting down"))
        return view(service)

    return checked


def respond(response: HTTPResponse) -> Response:
    """Convert a response to a response of Flask."""
    return Response(response.body, response.status, response.headers)


def refuse(error: HTTPError) -> Response:
    """Return the response to a refused request, with the headers of the error."""
    response = respond(error_response(error))
    response.headers.extend(error.headers)
    return response


def _api(service: Service) -> Response:
    if request.method != "POST" and not _has_usable_body():
        return _refuse_verb()
    try:
        with limited_body(service.config.api_request_max_size, service.config.http_header_timeout):
            return _carry_out(service)
    except HTTPError as error:
        return refuse(error)


def _has_usable_body() -> bool:
    """Return whether a request with another HTTP method than POST has a body, and a method that has one.

    With GET and PUT a body is accepted: the signature protects the request, and v1 did not check the method either.
    """
    return request.method in ("GET", "PUT") and bool(request.content_length or "Transfer-Encoding" in request.headers)


def _carry_out(service: Service) -> Response:
    """Carry out a request. Raises HTTPError for an invalid one, if possible before its body is read."""
    content_type = request.content_type or ""
    headers = {name.lower(): value for name, value in request.headers.items()}
    sign = headers.get("x-api-sign", "")
    says_json = content_type.lower().startswith(JSON_TYPE)
    client = functools.partial(_client, service)
    answer = service.authorize_api_request(headers, client) if says_json or has_key(headers) else None
    if answer is None and request.mimetype not in FORM_TYPES and not (sign or service.config.insecure_api):
        advice = f"; {OTHER_SCHEME}" if headers.get("authorization") else ""
        raise HTTPError(400, f"{_content_type_error(content_type)}; {NO_SIGN}{advice}")
    if says_json or _begins_as_json():
        answer = answer or service.authorize_api_request(headers, client)
        return respond(answer(request.get_data()))
    form = request.form
    if not (form or request.files) and request.mimetype not in FORM_TYPES and request.get_data():
        raise HTTPError(400, _content_type_error(content_type))
    source = functools.partial(client, headers)
    return respond(service.http_api.answer(form.get("sign", ""), form.get("data", "").encode(), source))


def _client(service: Service, headers: Mapping[str, str]) -> str:
    """Return the address of the client of the current request, for log lines."""
    return peer_name(client_of(request.environ, headers, service.proxies))


def _method(method: str) -> Response:
    """Carry out one method of the API of later versions, which has a path for each method."""
    return ready(lambda service: _answer_method(service, method))()


def _require_post(method: str) -> Response:
    """Refuse a request for a method of the API with another HTTP method than POST."""
    if method not in NAMES:
        abort(404)
    return _refuse_verb()


def _refuse_verb() -> Response:
    return refuse(HTTPError(405, f"{request.method} is not allowed: the API requires POST", {"Allow": "POST"}))


def _require_get() -> Response:
    allowed = {"Allow": ", ".join(READING_METHODS)}
    return refuse(HTTPError(405, f"{request.method} is not allowed: the document requires GET", allowed))


def _refuse_unknown_verb() -> Response | None:
    """Refuse a request to the API with a made-up HTTP method, for which Flask would list all of OTHER_METHODS."""
    path = f"{current_service().config.http_prefix}{API_PATH_WITHOUT_SLASH}"
    if not isinstance(request.routing_exception, MethodNotAllowed) or not f"{request.path}/".startswith(f"{path}/"):
        return None
    name = request.path.removeprefix(path).removeprefix("/")
    if "/" in name:  # a view of the application
        return None
    if name == OPENAPI:
        return _require_get()
    return _require_post(name) if name else _refuse_verb()


def _answer_method(service: Service, method: str) -> Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    query = request.environ.get("QUERY_STRING", "")
    try:
        authorized = service.method_api.authorize(method, headers, query, functools.partial(_client, service))
        with limited_body(service.config.api_request_max_size, service.config.http_header_timeout):
            body = request.get_data(cache=False, parse_form_data=False)
    except HTTPError as error:
        return refuse(error)
    return respond(authorized.answer(body))


def _openapi(service: Service) -> Response:
    return respond(service.method_api.openapi(request.script_root))


def _begins_as_json() -> bool:
    """Return whether the body begins like a JSON object or array, as no form does, whatever its content type is."""
    return request.mimetype != MULTIPART and request.get_data()[:MAX_LEADING_WHITESPACE].lstrip()[:1] in (b"{", b"[")


def _content_type_error(content_type: str) -> str:
    named = f"unsupported content type {content_type[:100]!r}" if content_type else "missing header Content-Type"
    return f"{named}: expected application/json or a form"


def _serve_client() -> Response | None:
    service, path = current_service(), request.environ["PATH_INFO"]
    for endpoint in (service.streams, service.sockjs):  # some paths of streams are below that of SockJS
        below = endpoint.path_below(path)
        if below is not None:
            return _client_response(endpoint, below)
    if path.endswith(WEBSOCKET_PATH) and is_handshake(request.method, request.headers.get("Upgrade", "")):
        note_misplaced_handshake(path, f"{service.sockjs.prefix}{RAW_WEBSOCKET}")  # the application refuses it
    return None


def _client_response(endpoint: SockJS | Streams, path: str) -> Response:
    return ready(lambda service: EndpointResponse(service, endpoint, path))()


class EndpointResponse(Response):
    """A placeholder that Flask returns; when the server calls it, the endpoint writes its own response."""

    def __init__(self, service: Service, endpoint: SockJS | Streams, path: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._service = service
        self._path = path

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Serve the request, for as long as it lasts."""
        if self._endpoint is self._service.sockjs and self._path != RAW_WEBSOCKET:
            self._service.node.metrics.counters.http_sockjs_num_requests += 1
        return serve_wsgi(self._endpoint, self._path, environ, start_response)
