"""Adds the endpoints of a service to a Flask application: one of the service's own, or a site with pages."""

from __future__ import annotations

import os
from collections.abc import Collection

from flask import Flask

from ...admin.views import register_admin_views, register_health
from ..config.endpoints import ADMIN, API, CLIENT, ENDPOINTS, own_ports
from ..runtime.monkey import warn_if_serving
from ..server.systemd_sockets import names_passed_by_systemd
from ..service import Service
from ..views.credential_views import register_credential_views
from ..views.mounted import attach_service
from ..views.several_workers import refusal
from ..views.slash_redirects import redirect_relatively
from ..views.stock_worker import answer_handshakes_late
from ..views.views import api_blueprint, client_blueprint


def mount(app: Flask, service: Service, endpoints: Collection[str] = ENDPOINTS) -> None:
    """Add the endpoints without a separate port or socket to the application, and log features that cannot work."""
    elsewhere = own_ports(service.config).keys() | names_passed_by_systemd(os.environ)
    mount_all(app, service, set(endpoints) - elsewhere)
    answer_handshakes_late(service)
    refusal(app)
    warn_if_serving()


def mount_all(app: Flask, service: Service, endpoints: Collection[str]) -> None:
    """Add all given endpoints below option http_prefix, and `/health` for load balancers.

    Raises AssertionError, like Flask, if the application has already handled a request.
    """
    prefix = service.config.http_prefix or None
    if API in endpoints:
        app.register_blueprint(api_blueprint(), url_prefix=prefix)
    if CLIENT in endpoints:
        app.register_blueprint(client_blueprint(), url_prefix=prefix)
        register_credential_views(app, service)
    if ADMIN in endpoints:
        register_admin_views(app, service)
    else:
        register_health(app, service)
    redirect_relatively(app)
    attach_service(app, service, endpoints)  # at the end: an application to which this could not be added has no server
