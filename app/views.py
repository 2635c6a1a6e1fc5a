"""The endpoints as Flask views, for servers and applications without our HTTP handler's short cuts."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app, request

from .http_head import HTTPError
from .service import API_PATH, WEBSOCKET_PATH, Answer, Service, refusal
from .stock_worker import close_clients_on_exit, take_over

log = logging.getLogger(__name__)


def current_service() -> Service:
    """The service of the application that handles this request."""
    service = current_app.extensions["gentrifugo"]
    assert isinstance(service, Service)
    return service


def api_blueprint() -> Blueprint:
    """The HTTP API (docs/api.md)."""
    blueprint = Blueprint("gentrifugo_api", __name__)
    # Whatever the method: the sign guards the request, and v1 did not ask for the method either.
    blueprint.add_url_rule(
        API_PATH, "api", _ready(_api), methods=["GET", "POST", "PUT"], provide_automatic_options=False
    )
    return blueprint


def client_blueprint() -> Blueprint:
    """What clients connect to."""
    blueprint = Blueprint("gentrifugo_client", __name__)
    for websocket in (True, False):  # a rule either is for WebSocket requests or refuses them
        blueprint.add_url_rule(WEBSOCKET_PATH, f"websocket_{websocket}", _ready(_websocket), websocket=websocket)
    return blueprint


def _ready(view: Callable[[Service], Response]) -> Callable[[], Response]:
    """A view that finds the service started and not about to stop."""

    def checked() -> Response:
        service = current_service()
        if service.is_single and request.environ.get("wsgi.multiprocess"):
            return _respond(refusal(503, _alone()))
        if not service.started:
            service.start()
            if "gentrifugo.handler" not in request.environ:
                close_clients_on_exit(service)
        if service.node.stopping:
            return _respond(refusal(503, "the server is shutting down"))
        return view(service)

    return checked


@functools.cache  # the log needs to hear it once
def _alone() -> str:
    reason = "several workers need --engine=redis: with the memory engine each would be a server of its own"
    log.error("%s; every request is refused", reason)
    return reason


def _respond(answer: Answer) -> Response:
    return Response(answer.body, answer.status, content_type=answer.content_type)


def _api(service: Service) -> Response:
    if (request.content_type or "").lower().startswith("application/json"):
        return _respond(service.answer_api(request.headers.get("X-API-Sign", ""), request.get_data()))
    form = request.form
    return _respond(service.answer_api(form.get("sign", ""), form.get("data", "").encode()))


def _websocket(service: Service) -> Response:
    try:
        socket, recv = _upgraded(request.environ)
    except HTTPError as error:
        answer = refusal(error.status, error.reason)
        return Response(answer.body, answer.status, error.headers, content_type=answer.content_type)
    service.serve_websocket(socket, recv)
    return Response()  # for nobody: the connection is no longer HTTP


def _upgraded(environ: dict[str, Any]) -> tuple[Any, Callable[[int], bytes]]:
    handler = environ.get("gentrifugo.handler")
    if handler is not None:
        socket, recv = handler.upgrade()
        return socket, recv
    stock = environ.get("wsgi.websocket")
    if stock is not None:
        return take_over(stock)
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        raise HTTPError(501, "this server cannot open WebSockets: run gentrifugo, or gunicorn with its worker")
    raise HTTPError(400, 'this is a WebSocket endpoint: the request has no "Upgrade: websocket"')
