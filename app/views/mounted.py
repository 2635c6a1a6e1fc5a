"""What a WSGI application carries of Gentrifugo: a service, and which of its endpoints it serves."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ..config.endpoints import ENDPOINTS
from ..service import Service

EXTENSION = "gentrifugo"
"""Where a Flask application keeps its service, among its extensions."""
SERVED = "gentrifugo_endpoints"
"""Where it keeps which endpoints it serves."""


def carry(application: Any, service: Service, endpoints: Collection[str] = ENDPOINTS) -> None:
    """Let a Flask application carry a service."""
    application.extensions[EXTENSION] = service
    application.extensions[SERVED] = frozenset(endpoints)


def service_of(application: Any) -> Service | None:
    """The service that a WSGI application carries, if it carries one."""
    service = getattr(application, "extensions", {}).get(EXTENSION)
    return service if isinstance(service, Service) else None


def endpoints_of(application: Any) -> frozenset[str]:
    """The endpoints that it serves."""
    served: frozenset[str] = getattr(application, "extensions", {}).get(SERVED, frozenset())
    return served
