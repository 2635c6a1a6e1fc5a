"""The flag `--debug` with `--app`: shows errors of an application in the browser, with Werkzeug's debugger."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from flask import Flask
from werkzeug.debug import DebuggedApplication

FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")
"""Headers that show that a proxy has forwarded a request."""


def show_errors(application: Flask) -> str:
    """Enable the debug mode of an application, with the debugger for requests from this machine. Returns a warning."""
    application.debug = True
    debugger = LocalDebugger(application.wsgi_app)
    application.wsgi_app = debugger  # type: ignore[method-assign]
    return f"debug mode is on: the debugger runs any code that is typed into it; its PIN is {debugger.pin}"


class LocalDebugger:
    """A WSGI application that shows the errors of another one, and lets a developer run code where the error occurred.

    This is only for requests from this machine. Behind a proxy, all requests come from this machine, so requests with a
    header of a proxy are excluded.
    """

    def __init__(self, application: Any) -> None:
        self._application = application
        self._debugged = DebuggedApplication(application, evalex=True, pin_logging=False)

    @property
    def pin(self) -> str | None:
        """The PIN that is required to run code; None if WERKZEUG_DEBUG_PIN disables it."""
        return self._debugged.pin

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        application = self._debugged if _is_local(environ) else self._application
        response: Iterable[bytes] = application(environ, start_response)
        return response


def _is_local(environ: dict[str, Any]) -> bool:
    try:
        is_loopback = ip_address(environ.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # a Unix socket has no address, and is for a proxy
        return False
    return is_loopback and not any(name in environ for name in FORWARDED)
