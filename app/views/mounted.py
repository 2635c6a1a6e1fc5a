"""The server in a WSGI application: a service, and the groups of its endpoints that the application serves.

Every Flask application with a server has this record among its extensions, whether it uses the Flask extension
(app/extension/extension.py) or was created by `create_app`. The HTTP server and the views use it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from flask import Flask

from ..config.endpoints import ENDPOINTS
from ..runtime.gunicorn import settings_of_gunicorn
from ..service import Service

SERVER = "gentrifugo_server"
"""The key of the record in `app.extensions`, where `gentrifugo` is the key of the extension object."""
UNDER_TEST = "gentrifugo_under_test"
"""The key in `app.extensions` of a function that returns the service of an application under test."""


class Mounted(NamedTuple):
    """One server in an application."""

    service: Service
    endpoints: frozenset[str]
    """The groups of endpoints that the application serves itself, without those on a separate port."""
    workers: int = 1
    """The number of processes that serve the application, according to gunicorn's settings."""


def attach_service(application: Any, service: Service, endpoints: Collection[str] = ENDPOINTS) -> None:
    """Attach a service to a Flask application."""
    settings = settings_of_gunicorn()
    workers = 1 if settings is None else settings.workers
    service.needs_own_name = workers > 1
    application.extensions[SERVER] = Mounted(service, frozenset(endpoints), workers)


def service_of(application: Any) -> Service | None:
    """Return the service of a WSGI application; None if it has none."""
    mounted = mounted_server(application)
    return None if mounted is None else mounted.service


def service_for_requests(application: Flask) -> Service:
    """Return the service that the views of an application use.

    With `TESTING` in the configuration of the application, it is the service of the test, unless a server has started.
    """
    service = service_of(application)
    assert service is not None
    if application.testing and not service.started and UNDER_TEST in application.extensions:
        under_test: Service = application.extensions[UNDER_TEST]()
        return under_test
    return service


def endpoints_of(application: Any) -> frozenset[str]:
    """Return the groups of endpoints that a WSGI application serves; empty if it has no service."""
    mounted = mounted_server(application)
    return frozenset() if mounted is None else mounted.endpoints


def mounted_server(application: Any) -> Mounted | None:
    """Return the server in a WSGI application; None if it has none."""
    mounted: Mounted | None = getattr(application, "extensions", {}).get(SERVER)
    return mounted
