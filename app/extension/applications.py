"""The Flask applications of one extension, and the selection of the one that a call applies to."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakSet

from flask import Flask, current_app, has_app_context

from ..views.mounted import service_of
from .backends import number_of_test_server


class Applications:
    """The applications that one extension was initialized with, as weak references, which keep none of them alive."""

    def __init__(self) -> None:
        self._applications: WeakSet[Flask] = WeakSet()

    def add(self, app: Flask) -> None:
        """Add an application to those of this extension."""
        self._applications.add(app)

    def __iter__(self) -> Iterator[Flask]:
        return iter(list(self._applications))

    @property
    def current(self) -> Flask:
        """The application of the current application context; without a context, the only application.

        Without a context and with several applications, it is the one with the newest test server.

        Raises RuntimeError if there is no such application, or if it is ambiguous.
        """
        return self._of_context() if has_app_context() else self._only()

    def _of_context(self) -> Flask:
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        if app in self._applications:
            return app
        if service_of(app) is None:
            raise RuntimeError(f"the application {app.name!r} has no Gentrifugo server: call init_app(app)")
        raise RuntimeError(
            f"the server of the application {app.name!r} belongs to another Gentrifugo object: "
            'use app.extensions["gentrifugo"]'
        )

    def _only(self) -> Flask:
        apps = list(self)
        if not apps:
            raise RuntimeError("this Gentrifugo object has no application: call init_app(app)")
        if len(apps) > 1:
            # Applications of earlier tests may still exist. The running test has the newest test server.
            newest = max(apps, key=number_of_test_server)
            if number_of_test_server(newest):
                return newest
            names = ", ".join(sorted(repr(app.name) for app in apps))
            raise RuntimeError(
                f"this Gentrifugo object has {len(apps)} applications ({names}), and there is no application context "
                "to choose one: use `with app.app_context():`"
            )
        return apps[0]
