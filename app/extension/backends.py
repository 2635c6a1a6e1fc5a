"""The two ways in which the calls of one application reach its server: the node in this process, or Redis."""

from __future__ import annotations

from flask import Flask

from ..runtime.monkey import NOT_PATCHED, is_patched
from ..service import Service
from .backend import Backend
from .publisher import Publisher

BACKENDS = "gentrifugo_backends"
"""The key of an application's backends in `app.extensions`."""
NEEDS_REDIS = (
    "with the memory engine only the HTTP API reaches the server from here; "
    'set GENTRIFUGO_ENGINE="redis" for calls from other processes'
)


class Backends:
    """Where the calls of one application go. Neither way is used before the first call."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._node = Backend(service.node)
        self._redis: Publisher | None = None

    def nearest(self) -> Backend:
        """The node of this process, which is started if necessary; Redis where gevent has not patched the process.

        Raises RuntimeError there with the memory engine.
        """
        service = self._service
        if not (service.started or is_patched()):
            if service.is_single:
                raise RuntimeError(NOT_PATCHED)
            return self.outside()
        service.start()
        return self._node

    def outside(self) -> Backend:
        """Redis, without a node in this process. Raises RuntimeError with the memory engine."""
        if self._service.is_single:
            raise RuntimeError(NEEDS_REDIS)
        if self._redis is None:
            self._redis = Publisher(self._service.config)
        return self._redis


def backends_of(app: Flask) -> Backends:
    """The backends of an application that the extension was initialized with."""
    backends: Backends = app.extensions[BACKENDS]
    return backends
