"""Flask applications with a server in the process of the test, and blocking clients in threads."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from flask import Flask
from gevent.pywsgi import WSGIServer

from gentrifugo.app.server.http_connection import HTTPConnection
from gentrifugo.app.service import Service
from gentrifugo.app.views.mounted import service_of
from tests.greenlets import nothing_left_behind
from tests.waiting import seconds

__all__ = ["nothing_left_behind"]

NO_FLUSH_DELAY = {"GENTRIFUGO_CLIENT_WRITE_DELAY": 0}


def site(**config: Any) -> Flask:
    app = Flask("site")
    app.config.update(SECRET_KEY="key", **NO_FLUSH_DELAY)
    app.config.update(config)
    return app


def service_in(app: Flask) -> Service:
    service = service_of(app)
    assert service is not None
    return service


def port_of(server: WSGIServer) -> int:
    """Return where a server that has started listens."""
    assert server.server_port is not None
    return server.server_port


@pytest.fixture
def serve(nothing_left_behind: None) -> Iterator[Callable[[Flask], int]]:
    """Serve an application with HTTPConnection, and return its port."""
    servers: list[tuple[WSGIServer, Service | None]] = []

    def start(app: Flask) -> int:
        service = service_of(app)
        if service is not None:
            service.start()
        server = WSGIServer(("127.0.0.1", 0), app, handler_class=HTTPConnection, log=None)
        server.start()
        servers.append((server, service))
        return port_of(server)

    yield start
    for server, service in servers:
        if service is not None:
            service.close_connections()
            service.stop()
        server.stop(timeout=seconds(5))


def in_thread(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Run a client that blocks while the server runs in this thread."""
    raised: list[Exception] = []

    def run() -> Any:
        try:
            return function(*arguments, **named)
        except Exception as error:  # for the test, and not for the event loop to report
            raised.append(error)

    result = gevent.get_hub().threadpool.spawn(run).get(timeout=seconds(10))
    if raised:
        raise raised[0]
    return result


def status(port: int, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds(5))
    try:
        connection.request(method, path, body=b"" if method == "POST" else None, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
