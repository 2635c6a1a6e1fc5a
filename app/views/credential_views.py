"""Two paths where web pages request credentials: signatures for private channels, and new tokens. Hooks decide.

The format of requests and responses is that of centrifuge-js (docs/hooks.md).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec
from flask import Flask, Response, copy_current_request_context, request
from gevent.pool import Pool

from ..http.cors import access_headers, preflight_headers
from ..http.head import HTTPError
from ..http.opening_request import Opening
from ..http.response import HTTPResponse, json_response
from ..model import signing
from ..model.errors import INTERNAL_ERROR, Refused
from ..model.json_codec import InvalidJSON, decode
from ..node.hooks import PRIVATE_SUBSCRIBE, REFRESH, Context
from ..runtime.running_clock import TimeLimit
from ..service import Service
from .request_body import limited_body
from .views import current_service, ready, refuse, respond

MAX_REQUEST_SIZE = 65536
"""Maximum size of a request in bytes."""
MAX_PARALLEL = 10
"""Channels of one request for which hooks are called at the same time."""
MANY_CHANNELS_FACTOR = 2
"""A request with many channels may take this many times as long as a request with one channel."""
PREFLIGHT_LIFETIME = 600
"""Seconds for which browsers cache the response to a preflight request, also after a reload of allowed_origins."""
CHANNEL_REFUSED: dict[str, Any] = {"status": 403}
CHANNEL_FAILED: dict[str, Any] = {"status": 500}

View: TypeAlias = Callable[[Service], Response]


class _HooksTimeout(BaseException):
    """Raised when the hooks have not decided before the timeout."""


class SignaturesRequest(msgspec.Struct):
    """The request of a page: signatures for these channels, for its own client ID."""

    client: str
    channels: list[str]


_asked = msgspec.json.Decoder(SignaturesRequest)


def register_credential_views(app: Flask, service: Service) -> None:
    """Add the paths for which hooks exist. Can be called again for more hooks before the first request."""
    config, hooks = service.config, service.node.hooks
    if config.auth_endpoint and hooks.has(PRIVATE_SUBSCRIBE):
        _add(app, config.auth_endpoint, "gentrifugo_auth", _sign_channels)
    if config.refresh_endpoint and hooks.has(REFRESH):
        _add(app, config.refresh_endpoint, "gentrifugo_refresh", _refresh)


def _add(app: Flask, path: str, name: str, view: View) -> None:
    if name not in app.view_functions:
        methods = ["POST", "OPTIONS"]
        app.add_url_rule(path, name, _for_allowed_pages(view), methods=methods, provide_automatic_options=False)


def _for_allowed_pages(view: View) -> Callable[[], Response]:
    """Return a view for pages that may connect, with headers that let these pages read the response (CORS).

    Other pages are refused, because a browser would send cookies with their requests, and hooks use cookies to decide.
    It is not enough that these pages cannot read the response, because the application may allow that for all paths.
    """
    answer = ready(view)

    @functools.wraps(view)
    def checked() -> Response:
        origin = request.headers.get("Origin")
        try:
            current_service().credential_origins.check(origin, request.host)
        except HTTPError as error:
            return refuse(error)
        response = _preflight() if request.method == "OPTIONS" else answer()
        response.headers.update(access_headers(origin))
        return response

    return checked


def _preflight() -> Response:
    """Return the response to a CORS preflight request, which allows any headers."""
    asked = request.headers.get("Access-Control-Request-Headers")
    return respond(HTTPResponse(204, preflight_headers("POST", asked, PREFLIGHT_LIFETIME)))


def _sign_channels(service: Service) -> Response:
    try:
        asked = decode(_asked, _read_body(service))
    except HTTPError as error:
        return refuse(error)
    except InvalidJSON as error:
        return refuse(HTTPError(400, f'expected {{"client": "...", "channels": ["..."]}}: {error}'))
    if not signing.CLIENT_ID.fullmatch(asked.client):
        return refuse(HTTPError(400, "client: expected the client ID, which the client has received when it connected"))
    channels, limit = dict.fromkeys(asked.channels), service.config.client_channel_limit
    if len(channels) > limit:
        # Hooks are called for each channel and may ask a backend, so a small request must not cause thousands of them.
        return refuse(HTTPError(400, f"channels: expected at most {limit} (option client_channel_limit)"))
    return respond(json_response(msgspec.json.encode(_sign_all(service, asked.client, channels))))


def _sign_all(service: Service, client: str, channels: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the answer for each channel. Hooks are called in parallel; those that reach the timeout have failed."""
    answers = dict.fromkeys(channels, CHANNEL_FAILED)

    def sign(channel: str) -> None:
        answers[channel] = _sign(service, client, channel)

    pool = Pool(MAX_PARALLEL)
    limit = MANY_CHANNELS_FACTOR * service.node.hooks.max_timeout(PRIVATE_SUBSCRIBE)
    try:
        with suppress(_HooksTimeout), TimeLimit(limit, _HooksTimeout()):
            for channel in answers:
                pool.spawn(copy_current_request_context(sign), channel)
            pool.join()
    finally:
        pool.kill()
    return answers


def _sign(service: Service, client: str, channel: str) -> dict[str, Any]:
    if not service.node.rules.is_private(channel):
        return CHANNEL_REFUSED
    try:
        outcome = service.node.hooks.ask(_context(PRIVATE_SUBSCRIBE, client, channel))
    except Refused as refused:
        return CHANNEL_FAILED if refused.error.text == INTERNAL_ERROR.text else CHANNEL_REFUSED
    info = outcome.info.decode()
    return {"sign": signing.channel_sign(service.config.secret, client, channel, info), "info": info}


def _refresh(service: Service) -> Response:
    try:
        _read_body(service)  # for hooks, which must not get a body that is too large or too slow
        outcome = service.node.hooks.ask(_context(REFRESH))
    except HTTPError as error:
        return refuse(error)
    except Refused as refused:
        status = 500 if refused.error.text == INTERNAL_ERROR.text else 403
        return refuse(HTTPError(status, refused.error.text))
    if outcome.user is None:
        return refuse(HTTPError(403, "permission denied: no hook has set a user"))
    credentials = signing.credentials(service.config.secret, outcome.user, int(time.time()), outcome.info.decode())
    return respond(json_response(msgspec.json.encode(credentials)))


def _read_body(service: Service) -> bytes:
    """Return the body of the request, which stays readable for hooks. Raises HTTPError."""
    with limited_body(MAX_REQUEST_SIZE, service.config.http_header_timeout):
        return request.get_data()


def _context(event: str, client: str = "", channel: str = "") -> Context:
    headers = {name.lower(): value for name, value in request.headers.items()}
    opening = Opening(request.method, request.full_path, headers, request.remote_addr or "")
    return Context(event, client=client, channel=channel, opening=opening, request=request)
