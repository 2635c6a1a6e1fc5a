"""Two paths that web pages ask for credentials, where hooks decide: signs of private channels, and new tokens.

What centrifuge-js posts, and what it takes (docs/hooks.md).
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from . import auth
from .errors import INTERNAL_ERROR, Refused
from .hooks import PRIVATE_SUBSCRIBE, REFRESH, Context
from .json_text import InvalidJSON, decode
from .opening import Opening
from .service import Answer, Service, refusal
from .views import ready, respond

LARGEST = 65536
"""Bytes of a request."""
FORBIDDEN = {"status": 403}
FAILED = {"status": 500}


class Asked(msgspec.Struct):
    """What a page asks: signs for these channels, for a client of its own."""

    client: str
    channels: list[str]


_asked = msgspec.json.Decoder(Asked)


def register(app: Flask, service: Service) -> None:
    """Add the paths for which there are hooks. Call it again when there are more; before the first request."""
    config, hooks = service.config, service.node.hooks
    if config.auth_endpoint and hooks.has(PRIVATE_SUBSCRIBE):
        _add(app, config.auth_endpoint, "gentrifugo_auth", _sign_channels)
    if config.refresh_endpoint and hooks.has(REFRESH):
        _add(app, config.refresh_endpoint, "gentrifugo_refresh", _refresh)


def _add(app: Flask, path: str, name: str, view: Any) -> None:
    if name not in app.view_functions:
        app.add_url_rule(path, name, ready(view), methods=["POST"], provide_automatic_options=False)


def _sign_channels(service: Service) -> Response:
    request.max_content_length = LARGEST
    try:
        asked = decode(_asked, request.get_data())
    except RequestEntityTooLarge:
        return respond(refusal(413, f"the request is larger than {LARGEST} bytes"))
    except InvalidJSON as error:
        return respond(refusal(400, f'expected {{"client": "...", "channels": ["..."]}}: {error}'))
    answers = {channel: _sign(service, asked.client, channel) for channel in dict.fromkeys(asked.channels)}
    return respond(Answer(200, "application/json", msgspec.json.encode(answers)))


def _sign(service: Service, client: str, channel: str) -> dict[str, Any]:
    if not (client and service.node.rules.is_private(channel)):
        return FORBIDDEN
    try:
        outcome = service.node.hooks.ask(_context(PRIVATE_SUBSCRIBE, client, channel))
    except Refused as refused:
        return FAILED if refused.error.text == INTERNAL_ERROR.text else FORBIDDEN
    info = outcome.info.decode()
    return {"sign": auth.channel_sign(service.config.secret, client, channel, info), "info": info}


def _refresh(service: Service) -> Response:
    try:
        outcome = service.node.hooks.ask(_context(REFRESH))
    except Refused as refused:
        status = 500 if refused.error.text == INTERNAL_ERROR.text else 403
        return respond(refusal(status, refused.error.text))
    if outcome.user is None:
        return respond(refusal(403, "no hook has said who this is"))
    credentials = auth.credentials(service.config.secret, outcome.user, int(time.time()), outcome.info.decode())
    return respond(Answer(200, "application/json", msgspec.json.encode(credentials)))


def _context(event: str, client: str = "", channel: str = "") -> Context:
    headers = {name.lower(): value for name, value in request.headers.items()}
    opening = Opening(request.method, request.full_path, headers, request.remote_addr or "")
    return Context(event, client=client, channel=channel, opening=opening, request=request)
