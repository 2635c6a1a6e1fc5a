"""The server as a Flask application, for gunicorn: `gunicorn -c conf/gunicorn.conf.py 'gentrifugo:create_app()'`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, current_app, request
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.routing.exceptions import WebsocketMismatch
from werkzeug.wrappers import Response

from ...admin.web import WEB_BLUEPRINT
from .. import logs
from ..config.config import Config
from ..config.endpoints import API, CLIENT, WEBSOCKET_PATH, own_ports
from ..config.loading import LoadedConfig, from_mapping, load
from ..http.misplaced_handshake import is_handshake, note_misplaced_handshake
from ..http.response import TEXT_TYPE, text_response
from ..runtime.gunicorn import settings_of_gunicorn
from ..server.connection_receiver import ConnectionReceiver
from ..service import Service
from ..views.mounted import mounted_server
from .missing_paths import find_hint, is_api_call, not_found_text
from .mount import mount, mount_all

log = logging.getLogger(__name__)


def create_app(config: str | Path | Mapping[str, Any] | Config | None = None) -> Flask:
    """Return a Flask application that is a whole Gentrifugo server, and nothing else.

    `config` is the path of a configuration file (by default `config.json`), which is read together with the
    environment, or the options by name. The service starts with the worker, or with the first request. The application
    does not have the Flask extension, and `Gentrifugo(app)` raises RuntimeError. Raises ConfigError.
    """
    loaded = _load_config(config)
    if not logs.root.handlers:
        logs.configure(loaded.config, _log_mark())
    for warning in (*loaded.warnings_elsewhere, *loaded.notes):
        log.warning("%s", warning)
    for endpoints in own_ports(loaded.config):
        name = f"{endpoints}_port"
        log.warning(
            "option %s has no effect here: a WSGI application has no separate port, so the %s endpoints are not served",
            name,
            endpoints,
        )
    if loaded.config.is_tls_only and not _gunicorn_has_certificate():
        log.warning(
            "option %s has no effect here: gunicorn handles TLS; set its options --certfile and --keyfile, "
            "otherwise connections are not encrypted",
            "ssl" if loaded.config.ssl else "ssl_autocert",
        )
    return flask_app(loaded.config)


def _log_mark() -> str:
    """Return what begins the log lines of this process, if gunicorn runs several workers."""
    settings = settings_of_gunicorn()
    return logs.PID_MARK if settings is not None and settings.workers > 1 else ""


def _gunicorn_has_certificate() -> bool:
    """Return whether the command line of gunicorn sets a certificate. Its configuration file is not read."""
    return any(argument.startswith("--certfile") for argument in sys.argv)


def flask_app(config: Config) -> Flask:
    """Return a Flask application with a service, and with all its endpoints without a separate port.

    Raises ConfigError.
    """
    app = _bare_app()
    mount(app, Service(config, passed_connections=partial(ConnectionReceiver, app)))
    return app


def port_app(service: Service, endpoints: Collection[str]) -> Flask:
    """Return a Flask application with only these endpoints, for a separate port."""
    app = _bare_app()
    mount_all(app, service, endpoints)
    return app


def _bare_app() -> Flask:
    app = Flask("gentrifugo", static_folder=None)
    app.register_error_handler(HTTPException, _error_response)
    return app


def _load_config(config: str | Path | Mapping[str, Any] | Config | None) -> LoadedConfig:
    if isinstance(config, Config):
        return LoadedConfig(config, [])
    if isinstance(config, Mapping):
        return from_mapping(config)
    return load([] if config is None else [f"--config={config}"], os.environ)


def _error_response(error: HTTPException) -> Response:
    """Convert HTTP errors of Werkzeug, such as 404 and 413, to plain text responses."""
    hint = _hint(error.code) if error.code in (404, 405) or isinstance(error, WebsocketMismatch) else ""
    if hint:
        error = NotFound()  # also where the web interface has files, for which only GET is allowed
    response = error.get_response()
    assert isinstance(response, Response)
    reason = hint or error.description or error.name
    refused = text_response(error.code or 500, reason)
    response.data, response.content_type = refused.body, TEXT_TYPE
    return response


def _hint(status: int | None) -> str:
    """Return the text of a response with status 404 instead of `status`; empty if that remains."""
    mounted = mounted_server(current_app)
    assert mounted is not None
    config = mounted.service.config
    if CLIENT in mounted.endpoints and is_handshake(request.method, request.headers.get("Upgrade", "")):
        return note_misplaced_handshake(request.path, f"{config.http_prefix}{WEBSOCKET_PATH}")
    hint = find_hint(config, mounted.endpoints, request.method, request.path)
    if not hint and (status == 404 or (status == 405 and _is_api_call(mounted.endpoints))):
        return not_found_text(config.http_prefix)
    return hint


def _is_api_call(endpoints: Collection[str]) -> bool:
    """Return whether the request looks like a call of the API, and only the web interface has a page at its path."""
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    try:
        endpoint, _ = adapter.match(method="GET")
    except HTTPException:
        return False
    if not endpoint.startswith(f"{WEB_BLUEPRINT}."):
        return False
    headers = {name.lower(): value for name, value in request.headers.items()}
    return API in endpoints and is_api_call(
        request.method, request.path, headers, request.environ.get("QUERY_STRING", "")
    )
