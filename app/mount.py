"""Puts the endpoints of a service into a Flask application, its own or one that has other things to do as well."""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask

from ..admin import views as admin
from .mounted import ADMIN, API, CLIENT, ENDPOINTS, carry
from .reception import Reception
from .service import Service
from .views import api_blueprint, client_blueprint


def mount(app: Flask, service: Service, endpoints: Collection[str] = ENDPOINTS) -> None:
    """Add these endpoints below option http_prefix; those of operators only if they have no port of their own."""
    carry(app, service, endpoints)
    prefix = service.config.http_prefix or None
    if API in endpoints:
        app.register_blueprint(api_blueprint(), url_prefix=prefix)
    if CLIENT in endpoints:
        app.register_blueprint(client_blueprint(), url_prefix=prefix)
        if service.siblings is not None:
            service.reception = Reception(app, service.siblings)
    if ADMIN in endpoints and not service.config.admin_port:
        admin.register(app, service)
    else:
        admin.register_health(app, service)
